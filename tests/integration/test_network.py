"""Proxies and certificates, as the environment names them: used where they can be, and named where they cannot."""

import datetime as dt
import socket
import threading
from contextlib import contextmanager

import pytest

from hauser_dlt.errors import ConfigError, HauserError, TransientError
from hauser_dlt.network import is_this_machine, proxy_at, proxy_to
from hauser_dlt.reports.posting import post
from support.encrypted import client, encrypted

API = "https://api.example.com"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Nothing of the machine's own stands in between."""
    for name in (*VARIABLES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Proxy:
    """A proxy on loopback; `asked` is what it was asked for.

    Args:
        answer: status line instead of a connection; None closes at once.
        to: where all connections lead.
    """

    def __init__(self, answer="", to=None):
        self._answer, self._to = answer, to
        self.asked = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer_to, args=(connection,), daemon=True).start()

    def _answer_to(self, connection):
        with connection:
            self.asked.append(connection.recv(1 << 16))
            if self._to is None:
                if self._answer:
                    connection.sendall(f"HTTP/1.1 {self._answer}\r\nContent-Length: 0\r\n\r\n".encode())
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", self._to)) as other:
                back = threading.Thread(target=pump, args=(other, connection), daemon=True)
                back.start()
                pump(connection, other)
                back.join(5)

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)  # else the thread goes on waiting, and the port stays open
        self._listening.close()


def pump(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def proxy(**how):
    server = Proxy(**how)
    yield server
    server.close()


# --- never for this machine


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost.", "api.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::",
     socket.gethostname()],
)  # fmt: skip
def test_this_machine_is_known_by_all_its_names(host):
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["", None, "api.fullstory.com", "localhost.example.com", "10.0.0.1", "::2", "127.1.x"])
def test_other_machines_are_not_taken_for_this_one(host):
    assert not is_this_machine(host)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("bypass", [None, "example.com"])
def test_no_proxy_stands_between_us_and_this_machine(sim, monkeypatch, variable, bypass):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    if bypass:
        monkeypatch.setenv("NO_PROXY", bypass)
    assert client(sim.url).base_url == sim.url
    monkeypatch.setattr(sim, "token", "na1.s3cret-Key")
    assert client(sim.url).me()["orgId"]


def test_storage_that_leads_to_this_machine_is_reached_without_a_proxy(sim, monkeypatch, tmp_path):
    """Signed links go the same ways."""
    with proxy(answer="502 Bad Gateway") as between, encrypted() as server:
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        client(API).download(server.url, tmp_path / "bundle")
    assert (tmp_path / "bundle").read_bytes() == b"{}"
    assert between.asked == []


def test_a_webhook_on_this_machine_is_told_without_a_proxy(monkeypatch, sim):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert post(sim.url + "/hook", {}).startswith("it answered with status")


# --- through proxies


def test_the_api_and_signed_links_are_reached_through_a_proxy_with_a_password(monkeypatch, tmp_path):
    with (
        encrypted(names=("api.example.com", "storage.example.com")) as server,
        proxy(to=int(server.url.rpartition(":")[2])) as between,
    ):
        monkeypatch.setenv("https_proxy", f"http://me:p%40ss@127.0.0.1:{between.port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        assert client(API).request("GET", "/me", promised="") == {}
        client(API).download("https://storage.example.com/x?X-Signature=1", tmp_path / "bundle")
    assert (tmp_path / "bundle").read_bytes() == b"{}"
    assert [asked.split()[1] for asked in between.asked] == [b"api.example.com:443", b"storage.example.com:443"]
    assert all(b"Proxy-Authorization: Basic bWU6cEBzcw==" in asked for asked in between.asked)
    assert not any(b"s3cret" in asked for asked in between.asked)


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        ("407 Proxy Authentication Required", ConfigError, r"asks for a user and password.*\(407\): put them into H"),
        ("403 Forbidden", ConfigError, r"refuses to connect to api.example.com \(403\): have it allowed there"),
        ("400 Bad Request", ConfigError, r"refuses to connect to api.example.com \(400\)"),
        ("502 Bad Gateway", TransientError, r"does not reach api.example.com at present \(502\)"),
        ("503 Service Unavailable", TransientError, r"does not reach api.example.com at present \(503\)"),
        ("", TransientError, "breaks off"),
    ],
)
def test_a_proxy_that_does_not_connect_is_named_without_its_password(monkeypatch, tmp_path, answer, kind, told):
    with proxy(answer=answer) as between:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cr%2Ft@127.0.0.1:{between.port}")
        for ask in (lambda: client(API).me(), lambda: client(API).download(f"{API}/x?X-Signature=1", tmp_path / "x")):
            named = rf"the proxy 127.0.0.1:{between.port} \(HTTPS_PROXY\)"
            with pytest.raises(HauserError, match=f"{named},? .*{told}") as caught:
                ask()
            assert isinstance(caught.value, kind)
            assert caught.value.exit_code == (2 if kind is ConfigError else 75)
            assert "s3cr" not in str(caught.value)
            assert caught.value.__cause__ is caught.value.__context__ is None  # a traceback would show it
    assert len(between.asked) == (2 if kind is ConfigError else 5)  # what passes by itself is tried again


def test_a_proxy_that_is_away_or_silent_is_named(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "127.0.0.1:9")
    with pytest.raises(TransientError, match=r"^the proxy 127.0.0.1:9 \(ALL_PROXY\) cannot be reached"):
        client(API).me()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        asking = client(API)
        asking._timeout = 0.2
        with pytest.raises(TransientError, match=r"the proxy 127.0.0.1:\d+ \(HTTPS_PROXY\)"):
            asking.me()


def test_a_proxy_of_http_that_is_named_as_one_of_https_is_told_apart(monkeypatch):
    with proxy(answer="400 Bad Request") as between:
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{between.port}")
        with pytest.raises(ConfigError, match=r"\(HTTPS_PROXY\) is not one of https: name it as http://127.0.0.1"):
            client(API).me()


@pytest.mark.parametrize(
    "address",
    ["http://me:s3cr/t@proxy:3128", "http://me:s3cr#t@proxy:3128", "http://me:s3cr?t@proxy", "http://:3128", "http://",
     "http://me:s3cret@proxy:port", "http://me:s3cret@proxy:99999", "http://me:s3cr et@pro xy:1", "http://[::1:3128",
     "me:s3cr/t@proxy:3128"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_shown(monkeypatch, address):
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY is not the address of a proxy: .*percent-encoded") as caught:
        client(API).me()
    assert "s3cr" not in str(caught.value)


def test_schemes_that_cannot_be_used_are_named(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "ftp://me:s3cret@proxy:21")
    with pytest.raises(ConfigError, match=r"^the proxy proxy:21 \(HTTPS_PROXY\): its address must begin with http://"):
        client(API).me()
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://me:s3cret@proxy:1080")
    monkeypatch.setattr("hauser_dlt.network.find_spec", lambda _: None)  # it may be installed here
    with pytest.raises(ConfigError, match=r"^the proxy proxy:1080 \(HTTPS_PROXY\) .*pip install 'requests\[socks\]'"):
        client(API).me()


def test_addresses_of_proxies_are_shown_without_what_is_secret(monkeypatch):
    for address, shown in (
        ("proxy:3128", "proxy:3128"),
        ("http://me@proxy", "proxy"),
        ("http://me:s3cret@[2001:db8::1]:3128", "[2001:db8::1]:3128"),
    ):
        monkeypatch.setenv("https_proxy", address)
        assert str(proxy_at(address, API)) == f"the proxy {shown} (https_proxy)"
        assert str(proxy_to(API)) == str(proxy_at(address, API))
    monkeypatch.setenv("no_proxy", "example.com")
    assert proxy_to(API) is None


# --- certificates


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_of_certificates_that_is_none_is_named_with_its_variable(monkeypatch, tmp_path, variable):
    (tmp_path / "text").write_text("no certificate")
    (tmp_path / "empty").touch()
    for name, told in (("gone", "cannot be read"), ("text", "holds no cert"), ("empty", "holds no cert")):
        monkeypatch.setenv(variable, str(tmp_path / name))
        with pytest.raises(ConfigError, match=rf"^{variable} names .*/{name}, which {told}"):
            client(API).me()
        assert f"{variable} names" in post("https://hooks.example.com/secret", {})


def test_what_is_wrong_with_tls_is_said_in_one_line(monkeypatch, tmp_path, sim):
    with encrypted() as server:
        past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        server.authority.issue_cert("localhost", not_before=past, not_after=past).configure_cert(server._context)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        with pytest.raises(ConfigError, match=r"not trusted \(certificate has expired\); look at the clock"):
            client(server.url).me()
    with pytest.raises(ConfigError, match="does not speak TLS as it should"):
        client(sim.url.replace("http:", "https:")).me()


@pytest.mark.parametrize("target", ["s3-parquet"], indirect=True)
def test_buckets_name_proxies_and_certificates_too(runs, monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with runs.sync() as sync:  # the bucket is on this machine
        sync.inspect()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"^AWS_CA_BUNDLE names .*/gone, which cannot be read"), runs.sync():
        pass
    monkeypatch.delenv("AWS_CA_BUNDLE")
    elsewhere = {"destination.filesystem.credentials.endpoint_url": "http://s3.example.com"}
    monkeypatch.setenv("HTTP_PROXY", "http://me:s3cr/t@proxy:3128")
    with pytest.raises(ConfigError, match=r"^HTTP_PROXY is not the address"), runs.sync(**elsewhere):
        pass
    with proxy(answer="407 Proxy Authentication Required") as between:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:s3cret@127.0.0.1:{between.port}")
        with (
            pytest.raises(ConfigError, match=r"the proxy 127.0.0.1:\d+ \(HTTP_PROXY\) asks for a user") as caught,
            runs.sync(**elsewhere),
        ):
            pass
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    elsewhere["destination.filesystem.credentials.endpoint_url"] = "http://other.example.com"  # fsspec keeps the first
    with pytest.raises(TransientError, match=r"the proxy 127.0.0.1:9 \(HTTP_PROXY\) cannot"), runs.sync(**elsewhere):
        pass
