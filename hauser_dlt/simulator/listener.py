"""A listener on loopback: HTTP/1.1 with keep-alive, quiet, and gone at once when it is closed."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from hauser_dlt.simulator.faults import ResetError
from hauser_dlt.simulator.messages import Answer, Request, json_answer

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Listener(ThreadingHTTPServer):
    """Serves one port with one function from requests to answers, a thread for each connection."""

    request_queue_size = 128
    block_on_close = False

    def __init__(
        self,
        name: Literal["api", "storage"],
        port: int,
        respond: Callable[[Request], Answer],
        report: Callable[[BaseException], None],
        date: Callable[[], float],
    ) -> None:
        """Bind the port; `report` is told of exceptions that are not the network's, `date` is for the header."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.name, self.respond, self.report, self.date = name, respond, report, date
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._open: set[socket.socket] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name=f"simulator-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._closing = True
        socket.create_connection(("127.0.0.1", self.server_port)).close()  # wakes the thread, which has no time-out
        self._thread.join()
        self.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def server_bind(self) -> None:
        """Bind without asking the DNS for our own name, as http.server does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that went away, report what is a mistake of ours or of a test."""
        error = sys.exception()
        if error and not isinstance(error, OSError):
            self.report(error)

    def _serve(self) -> None:
        while not self._closing:
            self.handle_request()


class _Handler(BaseHTTPRequestHandler):
    """Reads requests, sends answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Listener

    def do_GET(self) -> None:
        """Serve a GET."""
        self._serve()

    def do_POST(self) -> None:
        """Serve a POST."""
        self._serve()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time for the `Date` of an answer."""
        return super().date_time_string(self.server.date() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        try:
            self._send(self._answer(self._request()))
        except ResetError:
            self._reset()
        except ConnectionAbortedError:
            self.close_connection = True

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        return Request(
            listener=self.server.name,
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )

    def _answer(self, request: Request) -> Answer:
        try:
            return self.server.respond(request)
        except OSError:
            raise
        except Exception as exc:  # noqa: BLE001 - a test's own events can raise anything
            self.server.report(exc)
            return json_answer({"code": "simulator_error", "message": repr(exc)}, 500)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        chunked = answer.framed and answer.length is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif answer.framed:
            self.send_header("Content-Length", str(answer.length))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        for chunk in answer.chunks:
            self._write(chunk, framed=chunked)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _write(self, chunk: bytes, *, framed: bool) -> None:
        if framed and chunk:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        elif chunk:
            self.wfile.write(chunk)
        self.wfile.flush()

    def _reset(self) -> None:
        """End the connection so that the client's system says "connection reset"."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        os.close(self.connection.detach())
