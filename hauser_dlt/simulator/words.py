"""The words that believable events are made of. Data only."""

from __future__ import annotations

from typing import Any

SITE = "https://shop.example.com"

NAMES = (
    "Ada Lovelace", "Grace Hopper", "Zoë Müller", "José Peña", "Nguyễn Thị Hoa", "山田 太郎", "Ольга Иванова",
    "محمد علي", 'Robert "Bob" Tables', "O'Brien, Siobhán", "김서연", "Łukasz Żak", "Πηνελόπη Δέλτα", "Tess 🦊 Fox",
)  # fmt: skip

PAGES = (
    ("Home", "", "/"),
    ("Search", "search", "/search?q=winter+coat&sort=price"),
    ("Search", "search", "/search?q=%E3%82%B3%E3%83%BC%E3%83%88"),
    ("Product", "catalog", "/products/4711"),
    ("Product", "catalog", "/products/café-crème"),
    ("Product", "catalog", "/products/90210?utm_source=newsletter&utm_campaign=spring"),
    ("Cart", "checkout", "/cart"),
    ("Checkout", "checkout", "/checkout/payment"),
    ("Thank you", "checkout", "/checkout/thanks"),
    ("Account", "account", "/account/settings#profile"),
    ("", "", "/help/returns"),
)
VIEWS = ("HomeActivity", "ProductActivity", "CartActivity", "CheckoutActivity")

REFERRERS = ("", "https://www.google.com/", "https://news.example.org/2024/reviews?id=17", f"{SITE}/")

PLACES = (
    ("203.0.113.7", "52.52,13.405"), ("198.51.100.23", "40.7128,-74.006"), ("192.0.2.99", "35.6762,139.6503"),
    ("2001:db8::8a2e:370:7334", "-33.8688,151.2093"), ("", "48.8566,2.3522"),
)  # fmt: skip


def _device(
    agent: str, browser: tuple[str, str], device: str, platform: str, screen: tuple[int, int]
) -> dict[str, Any]:
    """Return the fields by which a page tells what it was seen on."""
    width, height = screen
    return {
        "PageUserAgent": agent,
        "PageBrowser": browser[0],
        "PageBrowserVersion": browser[1],
        "PageDevice": device,
        "PagePlatform": "Web",
        "PageOperatingSystem": platform,
        "PageScreenWidth": width,
        "PageScreenHeight": height,
        "PageViewportWidth": width - 15 if device == "Desktop" else width,
        "PageViewportHeight": height - 140,
    }


_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
DEVICES = (
    _device(f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36",
            ("Chrome", "126.0.0"), "Desktop", "Windows", (1920, 1080)),
    _device(f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Chrome/125.0.0.0 Safari/537.36",
            ("Chrome", "125.0.0"), "Desktop", "OS X", (1512, 982)),
    _device("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            ("Firefox", "127.0"), "Desktop", "Linux", (2560, 1440)),
    _device("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1",
            ("Safari", "17.5"), "Mobile", "iOS", (390, 844)),
    _device(f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36",
            ("Chrome", "126.0.0"), "Mobile", "Android", (412, 915)),
)  # fmt: skip

APP = {
    "PageBrowser": "Mobile App",
    "PageDevice": "Mobile",
    "PagePlatform": "Native Mobile",
    "PageOperatingSystem": "Android",
    "PageScreenWidth": 412,
    "PageScreenHeight": 915,
    "AppName": "Shop",
    "AppPackageName": "com.example.shop",
    "AppDeviceModel": "Pixel 8",
    "AppDeviceVendor": "Google",
    "AppVersion": "4.2.0",
    "AppOsVersion": "14",
}

_BODY = "html body.no-js"
LABELS = (
    ("Add to cart", f"{_BODY} main.catalog button.btn.add-to-cart"),
    ("Buy now", f"{_BODY} div#buy button.btn.primary"),
    ("Size M\nin stock", f'{_BODY} ul.sizes li[data-size="M"]'),
    ('The "classic", blue', f"{_BODY} main.catalog div.card-3 a"),
    ("Übernehmen", f"{_BODY} form#profile button[type=submit]"),
    ("カートに入れる", f"{_BODY} main.catalog button.btn.add-to-cart"),
    ("Оформить заказ", f"{_BODY} section#checkout button"),
    ("❤️ 42", f"{_BODY} main span.like"),
    ("", f"{_BODY} div.hero img"),
    ("Next", f"{_BODY} nav.pager a.next"),
)
WATCHED = (("Free delivery this week", f"{_BODY} div.promo"), ("", f"{_BODY} footer div.newsletter"))
FORM = f"{_BODY} form#profile"
FIELD = f"{FORM} input[name=city]"

MESSAGES = (
    'Failed to load resource: the server responded with a status of 502 ("Bad Gateway")',
    "価格を更新できません ❌",
)
EXCEPTIONS = (
    "TypeError: Cannot read properties of undefined (reading 'id')\n    at render (app.js:10:42)",
    "Uncaught (in promise) Error: cart is empty",
)
APP_EXCEPTIONS = ("java.lang.NullPointerException: cart\n    at com.example.shop.CheckoutActivity.pay",)
ATTACKS = ("' OR 1=1; --", "<script>alert(1)</script>")  # SQL injection, cross-site scripting
ATTACK_PATHS = ("/search?q=%27%20OR%201%3D1%3B%20--", "/search?q=%3Cscript%3Ealert(1)%3C/script%3E")

CALLS = (
    ("GET", "/api/products/4711"), ("GET", "/api/search?q=winter+coat"), ("POST", "/api/cart"), ("PUT", "/api/profile"),
    ("POST", "/api/checkout"), ("DELETE", "/api/cart/items/3"),
)  # fmt: skip
STATUSES = (200, 200, 200, 200, 201, 204, 304, 404, 422, 500, 503)

PLANS = ("free", "basic", "pro", "enterprise")
TAGS = ("new", "sale", "winter", "été", "50% off", "限定")
COMMENTS = (
    "Great, thanks!",
    'He said "no"; I left.',
    "Line one\nline two\r\nline three",
    "Danke schön 🙏",
    "Очень хорошо",
    "",
)
