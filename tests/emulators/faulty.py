"""A proxy in front of a real server on loopback: it notes what is asked, and can fail at any request.

It knows HTTP and nothing of what is said in it: requests and answers pass byte for byte.
"""

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal

_PATIENCE = 60.0  # seconds
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "proxy-connection"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in; `path` has its query."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        """What faults are matched with: `PUT /bucket/key?query`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Fault:
    """A bad moment of the server.

    Attributes:
        match: a regular expression, searched for in `METHOD path?query`.
        what: `drop` the connection, answer with an `error`, `stall` until the client gives up, or what else the
            server in question has to offer.
        when: `before` the request reaches the server, `during` (half of its body has: drop only), or `after` the
            server has done what it was asked to.
        status: of an error, with the server's own words for it in `reason` and `message`.
        skip: so many matching requests are spared first.
        times: then so many are hit; None: all.
        hits: how many were.
    """

    match: str
    what: str = "drop"
    when: Literal["before", "during", "after"] = "before"
    status: int = 503
    reason: str = ""
    message: str = ""
    skip: int = 0
    times: int | None = 1
    hits: int = field(default=0, init=False)

    def strikes(self, request: Request) -> bool:
        """Return whether this request is hit; count it."""
        if not re.search(self.match, request.line) or self.hits == self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True


class Faulty:
    """What a running proxy was asked, and what is to go wrong.

    Attributes:
        requests: all that came in, oldest first.
        faults: the first that strikes counts.
    """

    running: ClassVar[list["Faulty"]] = []

    def __init__(self, port: int, upstream: int, shape: Callable[[Fault], Answer]) -> None:
        self.port = port
        self.upstream = upstream
        self.shape = shape
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    def asked(self, match: str) -> list[Request]:
        """Return the requests that match a regular expression."""
        return [request for request in self.requests if re.search(match, request.line)]

    def clear(self) -> None:
        """Forget the requests, and have nothing go wrong."""
        self.requests.clear()
        self.faults.clear()

    def admit(self, request: Request) -> Fault | None:
        """Note a request; return what is to go wrong with it."""
        with self._lock:
            self.requests.append(request)
            return next((fault for fault in self.faults if fault.strikes(request)), None)

    def answer(self, request: Request, fault: Fault | None) -> Answer | None:
        """Return what the client gets; None cuts the connection."""
        if fault is None:
            return self.serve(request)
        if fault.when == "during":
            self._send_half(request)
        elif fault.when == "after":
            self.serve(request)
        return self.shape(fault) if fault.what == "error" else None

    def serve(self, request: Request) -> Answer:
        """Have the server do what is asked."""
        return self.forward(request)

    def forward(self, request: Request) -> Answer:
        """Pass a request on to the server."""
        connection = HTTPConnection("127.0.0.1", self.upstream, timeout=_PATIENCE)
        try:
            self._put_head(connection, request)
            connection.send(request.body)
            response = connection.getresponse()
            size = response.headers.get("Content-Length")
            of_head = (("Content-Length", size),) if request.method == "HEAD" and size else ()
            return Answer(response.status, response.read(), _end_to_end(response.headers) + of_head)
        finally:
            connection.close()

    def _send_half(self, request: Request) -> None:
        connection = HTTPConnection("127.0.0.1", self.upstream, timeout=_PATIENCE)
        self._put_head(connection, request)
        connection.send(request.body[: len(request.body) // 2])
        connection.close()

    def _put_head(self, connection: HTTPConnection, request: Request) -> None:
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            connection.putheader(name, value)  # Host as it came: signatures cover it
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders()


@dataclass(frozen=True, slots=True)
class Proxied:
    """A running server, with a proxy in front of it that notes what it is asked, and can go wrong."""

    proxy: Faulty

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return self.proxy.url

    @property
    def requests(self) -> list[Request]:
        """What it was asked."""
        return self.proxy.requests

    @property
    def faults(self) -> list[Fault]:
        """What goes wrong; an `error` has the server's own `reason`."""
        return self.proxy.faults


@contextmanager
def listening(proxy: Faulty) -> Iterator[None]:
    """Have a proxy listen on its port."""
    server = _Server(("127.0.0.1", proxy.port), _Handler)
    server.proxy = proxy
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    Faulty.running.append(proxy)
    try:
        yield
    finally:
        Faulty.running.remove(proxy)
        proxy.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(_PATIENCE)


def _end_to_end(headers: HTTPMessage) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # clients keep their connections open
    request_queue_size = 64
    proxy: Faulty

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        proxy = self.server.proxy
        request = Request(self.command, self.path, self._body(), _end_to_end(self.headers))
        fault = proxy.admit(request)
        try:
            answer = proxy.answer(request, fault)
        except OSError:
            answer = None  # the server is gone, and so are we
        if fault and fault.what == "stall":
            self._stall()
        if answer is None:
            self.close_connection = True
            return
        with suppress(ConnectionError):  # some clients leave once they have read the status
            self._reply(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - as http.server calls them

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _reply(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _stall(self) -> None:
        """Say nothing for as long as the client waits."""
        self.connection.settimeout(0.05)
        while not self.server.proxy.closing.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def log_message(self, format: str, *args: Any) -> None:
        """Tell nothing."""
