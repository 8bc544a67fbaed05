"""The page of `status --html`, as a browser shows it."""

import os
import re
import stat
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from hauser_dlt.cli import main
from hauser_dlt.errors import ConfigError
from hauser_dlt.reports.day_grid import Day, State
from hauser_dlt.reports.html import as_html, write_html
from hauser_dlt.reports.status import Status
from support import chromium
from support.destinations import MIDNIGHT

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"


def status_of(place, *days):
    return Status(MIDNIGHT, place, None, None, MIDNIGHT, 0, 0, 0, [], [], [], 0, [], list(days))


STATUS = status_of(
    HOSTILE,
    Day(MIDNIGHT - timedelta(days=1), 1234, [*State, *[State.LOADED] * 17]),
    Day(MIDNIGHT, 7, [State.SETTLING] + [State.NONE] * 23),
)


class Read(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.text = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The page in Chromium, light and dark."""
    page = tmp_path_factory.mktemp("page") / "status.html"
    write_html(STATUS, page)
    try:
        return [chromium.render(page, dark=dark) for dark in (False, True)]
    except chromium.Unavailable as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))


def test_a_browser_shows_it_light_or_dark_and_has_nothing_to_complain_of(shown):
    (_, complaints, light), (_, _, dark) = shown
    assert complaints == ""
    assert light == (255, 255, 255)
    assert dark == (13, 17, 23)


def test_in_a_browser_hostile_names_are_text(shown):
    read = Read(shown[0][0])
    assert f"hauser-dlt: {HOSTILE}" in read.text
    assert HOSTILE in read.text
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in read.elements}


def test_in_a_browser_it_is_a_table_with_a_word_for_each_symbol(shown):
    document = shown[0][0]
    read = Read(document)
    assert read.all("html") == [{"lang": "en"}]
    assert [th["scope"] for th in read.all("th")] == ["col"] * 26 + ["row"] * 2
    first, second = re.findall(r"<tr><th scope=\"row\">.*?</tr>", document)
    assert "2024-05-01" in first  # the newest day comes first
    for word in ("empty", "loaded", "not ready yet", "waiting", "missing", "loaded twice"):
        assert f'<span class="said">{word}</span>' in second
    assert "1,234" in second
    assert [rect["width"] for rect in read.all("rect")] == ["1", "100"]


def test_it_needs_nothing_from_anywhere_and_allows_nothing():
    read = Read(as_html(STATUS))
    (policy,) = (meta["content"] for meta in read.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [attributes for _, attributes in read.elements if {"src", "href", "style", "onload"} & set(attributes)]


def test_the_page_takes_the_place_of_the_old_one_and_leaves_nothing_beside_it(tmp_path):
    page = tmp_path / "status.html"
    write_html(status_of("old", Day(MIDNIGHT)), page)
    with page.open() as reader:  # who reads it meanwhile has the old page, to its end
        write_html(status_of("new", Day(MIDNIGHT)), page)
        assert "<dd>old</dd>" in reader.read()
    assert "<dd>new</dd>" in page.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["status.html"]
    assert stat.S_IMODE(page.stat().st_mode) & 0o444 == 0o444  # a web server is somebody else


def test_where_it_cannot_be_written_is_said_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(
        ConfigError, match=r"nowhere/status.html cannot be used \(No such file or directory\): name a file"
    ):
        write_html(STATUS, tmp_path / "nowhere" / "status.html")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAUSER__WORKING_DIR", str(tmp_path / "work"))
    assert CliRunner().invoke(main, ["status", "--html", "status.html"]).exit_code == 0
    assert "nothing is loaded yet" in (tmp_path / "status.html").read_text()
