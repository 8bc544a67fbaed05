"""Hosts on one machine: network namespaces with disks of their own, on two networks whose cables can be pulled.

`OFFICE` is where the scheduler is found, `WAREHOUSE` where databases and buckets are. Both are addresses of one more
namespace, the hub. What listens on loopback of the machine is relayed there, port for port. FullStory is relayed to
each host's own loopback, since nothing else is spoken to without TLS.
"""

import asyncio
import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OFFICE, WAREHOUSE = "10.77.0.1", "10.78.0.1"
_BRIDGES = {"office": OFFICE, "store": WAREHOUSE}
_CLONE_NEWNET = 0x40000000


class Unavailable(Exception):  # noqa: N818 - of the machine, not of a test
    """This machine lets nobody make network namespaces, and why."""


@dataclass(slots=True, eq=False)
class Host:
    """One of the hosts.

    Attributes:
        disk: a folder that no other host uses.
        clock: how wrong its clock is, as libfaketime spells it: "+3m", say; "" if it is right.
    """

    name: str
    hub: str
    number: int
    disk: Path
    clock: str = ""
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, command: Sequence[Any], environ: Mapping[str, str], faketime: Path) -> "subprocess.Popen[bytes]":
        """Start a program here, under a host name of its own; what it says goes to the end of `log`."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.disk), "TMPDIR": str(self.disk), **environ}
        if self.clock:
            own |= {"LD_PRELOAD": str(faketime), "FAKETIME": self.clock, "DONT_FAKE_MONOTONIC": "1"}
        with (self.disk / "log").open("ab") as log:
            named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name, *command]
            started = subprocess.Popen(inside(self.name, named), cwd=self.disk, env=own, stdout=log, stderr=log)
        self.processes.append(started)
        return started

    @property
    def log(self) -> str:
        """What its programs have said so far."""
        path = self.disk / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def share(self) -> int:
        """How many events it says to have loaded."""
        loaded = re.findall(r"loaded 20\d\d-.*: ([\d,]+) events? in .* \(load ([\d.]+)\)", self.log)
        by_load = {load_id: int(events.replace(",", "")) for events, load_id in loaded}  # told by more than one logger
        return sum(by_load.values())

    def kill(self) -> None:
        """Switch it off: all its processes, those that its programs have started as well."""
        for pid in _run("ip", "netns", "pids", self.name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self.processes:
            process.wait()

    def cut_off(self) -> None:
        """Have whatever is sent to the warehouse get lost on the way: nothing is answered, and nothing refused."""
        _run("ip", "-n", self.hub, "link", "set", f"store{self.number}", "nomaster")

    def connect(self) -> None:
        """Have it arrive again."""
        _run("ip", "-n", self.hub, "link", "set", f"store{self.number}", "master", "store")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Hosts, and the namespace that holds what they share."""

    hub: str
    hosts: list[Host]


@contextmanager
def cluster(
    folder: Path, count: int, *, fullstory: Iterable[int], office: Iterable[int] = (), warehouse: Iterable[int] = ()
) -> Iterator[Cluster]:
    """Provide hosts that find ports of this machine's loopback where these belong.

    Raises:
        Unavailable: there can be none.
    """
    names = [f"hauser{os.getpid()}-{number}" for number in range(count + 1)]
    hub, *others = names
    try:
        _lay(hub, others)
        made = Cluster(hub, [Host(name, hub, n, folder / f"host{n}") for n, name in enumerate(others, 1)])
        for host in made.hosts:
            host.disk.mkdir(parents=True)
        places = [(name, "127.0.0.1", port) for name in others for port in fullstory]
        places += [(hub, OFFICE, port) for port in office] + [(hub, WAREHOUSE, port) for port in warehouse]
        with _relays(places):
            try:
                yield made
            finally:
                for host in made.hosts:
                    host.kill()
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def inside(namespace: str, command: Sequence[Any]) -> list[str]:
    """Return the command that runs another one in a namespace."""
    return ["ip", "netns", "exec", namespace, *map(str, command)]


def _lay(hub: str, hosts: Sequence[str]) -> None:
    for name in (hub, *hosts):
        _run("ip", "netns", "add", name)
        _run("ip", "-n", name, "link", "set", "lo", "up")
    for bridge, address in _BRIDGES.items():
        _run("ip", "-n", hub, "link", "add", bridge, "type", "bridge", "forward_delay", "0")
        _run("ip", "-n", hub, "address", "add", f"{address}/24", "dev", bridge)
        _run("ip", "-n", hub, "link", "set", bridge, "up")
        for number, host in enumerate(hosts, 1):
            cable = f"{bridge}{number}"
            _run("ip", "-n", hub, "link", "add", cable, "type", "veth", "peer", "name", bridge, "netns", host)
            _run("ip", "-n", hub, "link", "set", cable, "master", bridge, "up")
            _run("ip", "-n", host, "address", "add", f"{address}{number}/24", "dev", bridge)
            _run("ip", "-n", host, "link", "set", bridge, "up")


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise Unavailable("there is no program `ip` (iproute2)") from None
    except subprocess.CalledProcessError as exc:
        raise Unavailable(f"no network namespaces here: {exc.stderr.strip()}") from None


@contextmanager
def _relays(places: Sequence[tuple[str, str, int]]) -> Iterator[None]:
    """Have what comes in at places (namespace, address, port) go on to the same ports of this machine's loopback."""
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as elsewhere:  # a thread of its own, which ends in another namespace
        listening = [elsewhere.submit(_listen, *place).result() for place in places]

    async def serve() -> list[asyncio.Server]:
        return [await asyncio.start_server(_passes_to(sock.getsockname()[1]), sock=sock) for sock in listening]

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_end(servers), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(servers: Sequence[asyncio.Server]) -> None:
    for server in servers:
        server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _listen(namespace: str, address: str, port: int) -> socket.socket:
    with Path("/run/netns", namespace).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
            raise Unavailable(f"a namespace cannot be entered: {os.strerror(ctypes.get_errno())}")
    return socket.create_server((address, port))


def _passes_to(port: int) -> Any:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):  # by `_end`
            onward, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pass(reader, back), _pass(onward, writer))

    return accepted


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()
