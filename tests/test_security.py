"""What strangers cannot do: read along, pose as FullStory, or have their text taken for anything else."""

import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
import trustme

from hauser_dlt.errors import ConfigError, ExportError, HauserError
from hauser_dlt.exports import Client
from hauser_dlt.settings import SourceSettings, read

TOKEN = "na1.s3cret-Key"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Encrypted:
    """An https server on loopback with a certificate of an authority of our own; `heard` is what reached it."""

    def __init__(self, answer=OK, names=("localhost", "127.0.0.1")):
        self.authority = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*names).configure_cert(self._context)
        self._answer = answer
        self.heard = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    self.heard.append(connection.recv(1 << 16))
                    connection.sendall(self._answer)
            except OSError:
                plain.close()

    def trusted(self, folder):
        """Return a file with the authority's certificate."""
        file = folder / "authority.pem"
        self.authority.cert_pem.write_to_path(file)
        return str(file)

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def encrypted(**how):
    server = Encrypted(**how)
    yield server
    server.close()


def client(url, pauses=None):
    spelled = {"api_token": TOKEN, "backoff": "10ms", "max_retries": 3, "request_timeout": "5s"}
    settings = read(SourceSettings, lambda name: (spelled[name], "test") if name in spelled else None)
    return Client(settings, url, (lambda _: None) if pauses is None else pauses.append)


# --- nobody poses as FullStory


@pytest.mark.parametrize("names", [("localhost",), ("api.example.com",)], ids=["unknown authority", "another's name"])
def test_a_certificate_that_proves_nothing_is_refused_at_once_and_sees_no_key(tmp_path, monkeypatch, names):
    pauses = []
    with encrypted(names=names) as server:
        if names != ("localhost",):
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        with pytest.raises(ConfigError, match=r"^localhost shows a certificate that is not trusted \(.*REQUESTS_CA"):
            client(server.url, pauses).me()
    assert server.heard == []
    assert not any(pauses)  # no second try makes it any better


def test_a_certificate_of_an_authority_that_the_user_trusts_is_accepted(tmp_path, monkeypatch):
    with encrypted() as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        assert client(server.url).me() == {}
    assert f"Authorization: Basic {TOKEN}".encode() in server.heard[0]


def test_the_storages_certificate_is_looked_at_too(tmp_path):
    with encrypted() as server, pytest.raises(ConfigError, match="not trusted"):
        client("https://api.example.com").download(f"{server.url}/x?X-Signature=1", tmp_path / "bundle")
    assert server.heard == []


def test_what_was_asked_for_with_encryption_does_not_come_without(tmp_path):
    with pytest.raises(ExportError, match="not one of https"):
        client("https://api.example.com").download("http://127.0.0.1:9/x?X-Signature=1", tmp_path / "bundle")


def test_storage_cannot_lead_away_from_encryption(tmp_path, monkeypatch):
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/y?X-Signature=2\r\nContent-Length: 0\r\n\r\n"
    with encrypted(answer=answer) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        with pytest.raises(HauserError, match="not a web address") as caught:
            client("https://api.example.com").download(f"{server.url}/x", tmp_path / "bundle")
    assert "X-Signature" not in str(caught.value)
    assert len(server.heard) == 1
    assert TOKEN.encode() not in server.heard[0]
