"""What lies between this machine and others: proxies, and the certificates that are trusted.

Environment variables name both. They are checked before requests or aiohttp use them, whose errors do not name the
variable, and show passwords.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import select_proxy

from hauser_dlt.errors import ConfigError, HauserError, TransientError

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")  # so says Python's http.client
_NO_TLS = re.compile(
    r"WRONG_VERSION|HTTP_REQUEST|PROXY_REQUEST|RECORD_LAYER_FAILURE|UN(KNOWN|SUPPORTED)_PROTOCOL"
    r"|HANDSHAKE_FAILURE|PROTOCOL_VERSION"
)
# of requests, urllib3, botocore and aiohttp; the last two need not be installed
_OF_PROXIES = ("ProxyError", "ProxyConnectionError", "ClientProxyConnectionError", "ClientHttpProxyError")
_BY_CLOCK = (9, 10)  # OpenSSL's codes of certificates that are not yet valid, or have expired


def is_this_machine(host: str | None) -> bool:
    """Tell whether a host is this very machine, which no proxy can reach."""
    host = (host or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost") or host == socket.gethostname().lower():
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        return address.is_loopback or address.is_unspecified or is_this_machine(str(address.ipv4_mapped or ""))
    return address.is_loopback or address.is_unspecified


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy as it may be shown, without user and password.

    Attributes:
        variable: what names it.
    """

    host: str
    variable: str

    def __str__(self) -> str:
        return f"the proxy {self.host} ({self.variable})"

    def problem(self, exc: BaseException, to: str) -> HauserError | None:
        """Return what to tell of an error on the way to a host if it is the proxy's doing."""
        chain = list(chained(exc))
        if status := next(filter(None, map(_status, chain)), 0):
            return self.refusal(status, to)
        if not any(_is_of_proxy(error) for error in chain):
            return None
        if any(isinstance(error, ssl.SSLCertVerificationError) for error in chain):
            return ConfigError(f"{self} shows a certificate that is not trusted: name the proxy as http://{self.host}")
        if any(isinstance(error, ssl.SSLError) and _NO_TLS.search(error.reason or "") for error in chain):
            return ConfigError(f"{self} is not one of https: name it as http://{self.host}")
        return TransientError(f"{self} cannot be reached, or breaks off")

    def refusal(self, status: int, to: str) -> HauserError:
        """Return what to tell of a status with which a proxy answers instead of connecting."""
        if status == 407:
            return ConfigError(
                f"{self} asks for a user and password, or does not take those that it is given (407): put them into"
                f" {self.variable}, percent-encoded, as in http://user:password@host:port"
            )
        if status in (408, 429) or status >= 500:
            return TransientError(f"{self} does not reach {to} at present ({status})")
        return ConfigError(
            f"{self} refuses to connect to {to} ({status}): have it allowed there, or put {to} into NO_PROXY"
        )


def proxy_at(address: str, url: str) -> Proxy:
    """Return the proxy of an address, by which `url` is to be reached.

    Raises:
        ConfigError: it cannot be used as it is spelled. The address is not shown then, for it may hold a password.
    """
    variable = _variable(urlsplit(url).scheme, address)
    full = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(full)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port == 0 or "@" in parts.path + parts.query + parts.fragment or not re.fullmatch(r"[\w.:-]+", host):
        raise ConfigError(
            f"{variable} is not the address of a proxy: it must be like http://host:port, with user and password,"
            " if any, percent-encoded"
        )
    shown = f"[{host}]" if ":" in host else host
    proxy = Proxy(f"{shown}:{port}" if port else shown, variable)
    if parts.scheme.lower() not in _SCHEMES:
        raise ConfigError(f"{proxy}: its address must begin with http://")
    if parts.scheme.lower().startswith("socks") and not find_spec("socks"):
        raise ConfigError(f"{proxy} is one of SOCKS, for which a driver is missing: pip install 'requests[socks]'")
    return proxy


def _variable(scheme: str, address: str) -> str:
    """Return the name of the environment variable that holds a proxy's address."""
    names = (name for kind in (scheme, "all") for name in (f"{kind}_proxy", f"{kind}_proxy".upper()))
    return next((name for name in names if os.environ.get(name) == address), "the system's proxy")


def proxy_to(url: str) -> Proxy | None:
    """Return the proxy by which an address is reached, if any.

    Raises:
        ConfigError: it cannot be used as it is spelled.
    """
    address = None if is_this_machine(urlsplit(url).hostname) else select_proxy(url, _proxies(url))
    return proxy_at(address, url) if address else None


def _proxies(url: str) -> Any:
    return requests.utils.get_environ_proxies(url)


class Session(requests.Session):
    """Connections past proxies to this very machine; elsewhere through proxies, if they can be used."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return what the environment says of a request.

        Raises:
            ConfigError: it names a proxy or a file of certificates that cannot be used.
        """
        merged = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if not proxy_to(url):
            merged["proxies"] = {}
        if url.startswith("https:"):
            first = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), "")
            refuse_certificates(first)
        return merged

    def rebuild_proxies(self, prepared_request: requests.PreparedRequest, proxies: Any) -> Any:
        """Return the proxies for a request that is redirected."""
        found: Any = super().rebuild_proxies(prepared_request, proxies)  # type: ignore[no-untyped-call]
        return found if proxy_to(prepared_request.url or "") else {}


def refuse_certificates(*variables: str) -> None:
    """Make sure that the files and folders of certificates are there that environment variables name.

    Raises:
        ConfigError: one is not, or holds none.
    """
    for name in variables:
        place = Path(os.environ.get(name) or ".")
        try:
            if not place.is_dir():
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(place)
        except ssl.SSLError:
            raise ConfigError(f"{name} names {place}, which holds no certificates: it must be a PEM file") from None
        except OSError as exc:
            raise ConfigError(f"{name} names {place}, which cannot be read ({exc.strerror}): correct it") from None


def tls_problem(exc: BaseException, host: str, variable: str) -> ConfigError | None:
    """Return what to tell of an error on the way to a host if it is one of TLS that does not pass.

    Args:
        variable: names the file of the authorities that are trusted.
    """
    for error in chained(exc):
        if isinstance(error, ssl.SSLCertVerificationError):
            clock = "look at the clock of this machine; " if error.verify_code in _BY_CLOCK else ""
            return ConfigError(
                f"{host} shows a certificate that is not trusted ({error.verify_message}); {clock}where a proxy of"
                f" your own stands in between, {variable} names the file with its authority's certificate"
            )
        if isinstance(error, ssl.SSLError) and _NO_TLS.search(error.reason or ""):
            return ConfigError(
                f"{host} does not speak TLS as it should ({error.reason}); look at the address, its port, and what"
                " stands in between"
            )
    return None


def chained(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it; urllib3 and requests keep some as arguments of others."""
    seen: list[BaseException] = []
    waiting: list[Any] = [exc]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseException) and error not in seen:
            seen.append(error)
            yield error
            waiting += [getattr(error, "reason", None), error.__cause__, error.__context__, *error.args]


def _is_of_proxy(error: BaseException) -> bool:
    return type(error).__module__ == "socks" or type(error).__name__ in _OF_PROXIES


def _status(error: BaseException) -> int:
    """Return the status with which a proxy answered instead of connecting; 0 if this error is none of that."""
    if found := _TUNNEL.search(str(error)):
        return int(found[1])
    if type(error).__name__ == "ClientHttpProxyError":  # aiohttp's
        return int(getattr(error, "status", 0))
    return 407 if type(error).__module__ == "socks" and "Auth" in type(error).__name__ else 0
