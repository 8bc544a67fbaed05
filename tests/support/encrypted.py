"""An https server on loopback, and a client of ours that talks to it."""

import socket
import ssl
import threading
from contextlib import contextmanager

import trustme

from hauser_dlt.config.reading import read
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.exports import Client

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
