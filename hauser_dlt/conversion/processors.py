"""How many worker processes this machine, or container, has processors and memory for."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MOST = 8  # what more of them made would lie on the disk until it can be loaded
_EACH = 350 << 20  # bytes that a process which converts bundles may take; see docs/performance.md


def usable_processors() -> int:
    """Return how many processes that convert bundles this machine, or container, has processors and memory for."""
    number = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = (
        _limit("cpu.max") or f"{_limit('cpu/cpu.cfs_quota_us')} {_limit('cpu/cpu.cfs_period_us')}"
    ).partition(" ")
    if quota.isdecimal() and period.isdecimal():
        number = min(number, int(quota) // int(period))
    memory = _limit("memory.max") or _limit("memory/memory.limit_in_bytes")
    room = min(int(memory) if memory.isdecimal() else _physical_memory(), _physical_memory())
    number = min(number, room // _EACH - 1, _MOST)  # this process needs as much
    return max(number, 1)


def _physical_memory() -> int:
    """Return how many bytes of memory the machine has; where it does not tell, as if there were plenty."""
    names = getattr(os, "sysconf_names", {})
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else 1 << 50


def _limit(name: str) -> str:
    """Return what the container is allowed, as version 2 or 1 of Linux' cgroups tells it; "" if it does not."""
    try:
        return (_CGROUP / name).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
