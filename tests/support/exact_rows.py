"""An independent, slow account of what becomes of each value of an event."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from hauser_dlt.fields import CUSTOM_VARS
from support import reference
from support.reference import Number, read, without_nul

write = partial(reference.write, colon=" : ")  # blanks wherever JSON allows them

TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d(?::\d\d(?::\d\d(?:\.(\d+))?)?)?)([Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)",
    re.ASCII,
)


MISMATCH = object()


def time_of(text):
    match = TIME.fullmatch(text)
    if not match:
        return MISMATCH
    day, clock, fraction, zone = match.groups()
    clock = (clock.partition(".")[0] + ":00:00")[:8]
    offset = (
        timedelta(0) if zone in "Zz" else timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:] if zone[3:] else 0))
    )
    micros = timedelta(microseconds=int(((fraction or "") + "000000")[:6]))
    try:
        return datetime.fromisoformat(f"{day}T{clock}+00:00") + micros - (-offset if zone[0] == "-" else offset)
    except (ValueError, OverflowError):
        return MISMATCH


def integer_of(number, bits):
    if re.fullmatch("-?[0-9]+", number) and -(2 ** (bits - 1)) <= int(number) < 2 ** (bits - 1):
        return int(number)
    return MISMATCH


def double_of(number):
    double = float(number)
    whole = re.fullmatch("-?[0-9]+", number)
    if abs(double) == float("inf") or (whole and Decimal(number) != Decimal(double)):
        return MISMATCH
    return double


def fit(kind, value, *, ascii_only=False):
    if value is None:
        return None
    if kind == "any":
        return value if type(value) is str else write(value, ascii_only=ascii_only)
    if kind == "text" and type(value) is str:
        return value
    if kind == "timestamp" and type(value) is str:
        return time_of(value)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in ("int", "int32") and isinstance(value, str):
        is_one_form = isinstance(value, Number) or re.fullmatch("0|-?[1-9][0-9]*", value, re.ASCII)
        return integer_of(value, 64 if kind == "int" else 32) if is_one_form else MISMATCH
    if kind == "float" and isinstance(value, Number):
        return double_of(value)
    return MISMATCH


LEGACY = {"pageagent": "PageUserAgent"}


def expected(event, kinds, *, ascii_only=False):
    """A row's columns, and its custom variables: column by column, spelling by spelling."""
    values = without_nul(dict(event))
    columns, taken = {}, {}
    for name, kind in kinds.items():
        spellings = [key for key in values if LEGACY.get(key.lower(), key).lower() == name.lower()]
        chosen = name if name in spellings else next(iter(spellings), None)
        columns[name] = fit(kind, values.get(chosen), ascii_only=ascii_only)
        if columns[name] is MISMATCH:
            columns[name], taken[name] = None, values[chosen]
        values.pop(chosen, None)
    return columns, values | taken, list(taken)


def as_found(row):
    columns = {name: value for name, value in row.items() if name != CUSTOM_VARS}
    return columns, read(row[CUSTOM_VARS])
