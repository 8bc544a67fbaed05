"""Who is loading: a process on some machine, and whether it can still be alive."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def this() -> str:
    """Return what this process is called in the leases of its loads."""
    return f"{_machine()}#{os.getpid()}"


_at_work: set[str] = set()


@contextmanager
def at_work(load_id: str) -> Iterator[None]:
    """While inside, this process is known to be loading."""
    _at_work.add(load_id)
    try:
        yield
    finally:
        _at_work.discard(load_id)


def is_at_work(runner: str | None, load_id: str) -> bool | None:
    """Tell whether a process of this machine may be loading; None for another's, of which nobody here knows."""
    if runner == this():
        return load_id in _at_work
    machine, _, pid = (runner or "").rpartition("#")
    if os.name != "posix" or machine != _machine() or not pid.isdecimal():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, but running
    return True


def _machine() -> str:
    """Return a name that no two machines share, nor two containers or two boots of one."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)
