"""JSON records as the standard library reads them: slow, and all at once."""

import json

import msgspec

from support.reference import without_nul

WHITE = " \t\r\n"


def number(text):
    """A number as Python has it: an integer as a float where 64 bits do not hold it."""
    if text.lstrip("-").isdigit() and -(2**63) <= int(text) < 2**64:
        return int(text)
    return float(text)


def unicode(value):
    """The same JSON value, with U+FFFD for lone surrogates."""
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)
    if isinstance(value, list):
        return [unicode(item) for item in value]
    if isinstance(value, dict):
        return {unicode(key): unicode(item) for key, item in value.items()}
    return value


def reference(text):
    """Records, or one, by the standard library: slow, and it wants all the text at once."""

    def refuse(name):
        raise ValueError(name)

    value = unicode(json.loads(text, parse_int=number, parse_constant=refuse))
    return [without_nul(row) for row in value] if isinstance(value, list) else without_nul(value)


def plain(value):
    """A value with floats for the numbers that are kept as they are written."""
    if isinstance(value, msgspec.Raw):
        return float(bytes(value))
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return number(str(value)) if type(value) is int else value


def read_slowly(data):
    """What the standard library reads, or None where it refuses."""
    text = data.decode("utf-8", "replace").strip(WHITE)
    try:
        if text[:1] == "[":
            found = reference(text)
        else:
            found = [reference(line) for line in text.split("\n") if line.strip(WHITE)]
    except ValueError:
        return None
    return found if all(isinstance(row, dict) for row in found) else None
