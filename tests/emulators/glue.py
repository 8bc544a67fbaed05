"""A Glue out of the pip package moto, with a proxy that refuses what was made for another version of a table.

moto takes any update. Glue takes one only "at" the version that it names, and answers a later one that two processes
modify the same table: https://docs.aws.amazon.com/goto/WebAPI/glue-2017-03-31/UpdateTable
"""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emulators.faulty import Answer, Fault, Faulty, Proxied, Request, listening
from emulators.postgres import free_port

_PATIENCE = 60.0  # seconds
_CONCURRENT = "ConcurrentModificationException"


@dataclass(frozen=True, slots=True)
class Glue(Proxied):
    """A running server; what faults are matched with is the name of the action, such as `POST UpdateTable`."""


class Versions(Faulty):
    """See `Faulty`. One change of a table at a time, and each only to the version that it names."""

    def __init__(self, port: int, upstream: int) -> None:
        super().__init__(port, upstream, _error)
        self._changing = threading.Lock()

    def admit(self, request: Request) -> Fault | None:
        """See `Faulty`."""
        return super().admit(replace(request, path=_action(request)))

    def serve(self, request: Request) -> Answer:
        """See `Faulty`."""
        if _action(request) != "UpdateTable":
            return self.forward(request)
        with self._changing:
            wanted = json.loads(request.body)
            if wanted.get("VersionId", there := self._version(request, wanted)) == there:
                return self.forward(request)
            return _error(Fault("", "error", status=400, reason=_CONCURRENT, message=f"the version is {there}"))

    def _version(self, request: Request, wanted: dict[str, Any]) -> str:
        body = json.dumps({"DatabaseName": wanted["DatabaseName"], "Name": wanted["TableInput"]["Name"]}).encode()
        headers = tuple((name, "AWSGlue.GetTable" if _is_target(name) else value) for name, value in request.headers)
        found = self.forward(replace(request, body=body, headers=headers))
        return str(json.loads(found.body)["Table"]["VersionId"])


@contextmanager
def glue() -> Iterator[Glue]:
    """Start an empty catalog."""
    port = free_port()
    command = [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", f"{port}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(server, port)
        with listening(proxy := Versions(free_port(), port)):
            yield Glue(proxy)
    finally:
        server.kill()
        server.wait(_PATIENCE)


def _action(request: Request) -> str:
    return next((value.rpartition(".")[2] for name, value in request.headers if _is_target(name)), "")


def _is_target(header: str) -> bool:
    return header.lower() == "x-amz-target"


def _error(fault: Fault) -> Answer:
    document = {"__type": fault.reason, "Message": fault.message}
    return Answer(fault.status, json.dumps(document).encode(), (("x-amzn-errortype", fault.reason),))


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=_PATIENCE):
                return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError("moto's server does not answer")
