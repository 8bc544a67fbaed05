"""Load ids, which put loads in order: each new one is above those that the destination has, whatever clock made them.

dlt's own are the time of this machine, as text of ten digits and a fraction. dlt compares them, too, and as text: the
state of the pipeline with the highest load id is the one that it restores. So all of ours have ten digits before the
point, whether a clock says 1970 or 2300.
"""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hauser_dlt.dlt_internals import make_load_ids_by
from hauser_dlt.errors import LoadError

_LOAD_ID = re.compile(r"[0-9]{1,10}\.[0-9]+")
_FIRST, _LAST = 1e9, 1e10 - 10  # the years 2001 and 2286
_floor = ContextVar("_floor", default=0.0)
_reserved: ContextVar[str | None] = ContextVar("_reserved", default=None)
_chance = random.SystemRandom()


def number(load_id: str | None) -> float:
    """Return what load ids are compared by; 0 for whatever is none."""
    return float(load_id) if load_id and _LOAD_ID.fullmatch(load_id) else 0.0


def refuse_last(newest: float) -> float:
    """Return the newest load of a destination, unless no other can come after it.

    Raises:
        LoadError: a clock far ahead, or somebody, has chosen its id.
    """
    if newest > _LAST:
        raise LoadError(
            f"the destination holds load {newest}, an id of the year 2286 (of a clock far ahead, or made by hand), and"
            " none can come after it; delete what has that id (in the columns _dlt_load_id and load_id, or in the"
            " names of files) and run again, which loads it anew"
        )
    return newest


@contextmanager
def above(newest: float, reserved: str | None = None) -> Iterator[None]:
    """While inside, the load packages that dlt extracts have ids above `newest`; or the one that is `reserved`."""
    tokens = _floor.set(max(refuse_last(newest), _FIRST)), _reserved.set(reserved)
    try:
        yield
    finally:
        _floor.reset(tokens[0])
        _reserved.reset(tokens[1])


def reserve(newest: float) -> str:
    """Return an id above `newest`, for a load package that will be extracted later."""
    with above(newest):
        return _create_load_id()


def _create_load_id() -> str:
    if reserved := _reserved.get():
        return reserved
    load_id = _by_clock()
    newest = _floor.get()
    if newest < float(load_id) < _LAST or not newest:
        return load_id
    return str(newest + _chance.uniform(0.001, 1))  # machines that see the same newest id must not choose the same one


_by_clock = make_load_ids_by(_create_load_id)
