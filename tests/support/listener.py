"""A server on loopback that takes what alerts post."""

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Listener(ThreadingHTTPServer):
    """Takes what is posted: (path, body) in `heard`; answers with the next of `answers`, and then with `status`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Heard)
        self.heard = []
        self.answers = []
        self.status = 200
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def posted(self, beginning):
        return [body for path, body in self.heard if path.startswith(beginning)]


class Heard(BaseHTTPRequestHandler):
    """One connection."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        packed = self.headers.get("Content-Encoding") == "gzip"
        self.server.heard.append((self.path, (gzip.decompress(body) if packed else body).decode()))
        self.send_response(self.server.answers.pop(0) if self.server.answers else self.server.status)
        self.send_header("Location", self.path)
        self.end_headers()

    def log_message(self, *arguments):
        """Say nothing."""


@contextmanager
def listening():
    """Start a listener, which ends with the block."""
    with Listener() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
