"""Who is loading: a process on some machine, and whether it can still be alive."""

import os
import platform
from contextlib import suppress
from pathlib import Path


def this() -> str:
    """Return what this process is called in the announcements of its loads."""
    return f"{_machine()}#{os.getpid()}"


def lives_here(runner: str | None) -> bool | None:
    """Tell whether a process of this machine is running; None for another machine's, of which nobody here knows."""
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
