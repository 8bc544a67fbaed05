"""Parsers of settings that name fields of FullStory's or custom variables: a value as it is spelled -> what it means.

A `ValueError` says what is allowed.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from hauser_dlt.config.lists_and_tables import as_list, as_table, differ_in_case_only, parsed, split_list
from hauser_dlt.config.parsers import NAME, RESERVED, has_controls
from hauser_dlt.fields import (
    CUSTOM_TOKENS,
    CUSTOM_VARS,
    DECLARABLE,
    EVENT_START,
    KNOWN,
    MOBILE,
    SESSION_REPLAY_URL,
    Kind,
    canonical,
    column_of,
    is_field_name,
)


def field_list(value: Any) -> str | tuple[str, ...]:
    """Read `known`, `default`, or a list of FullStory's field names and tokens (`user_*`)."""
    value = parsed(value)
    if isinstance(value, str) and value.strip() in ("known", "default"):
        return value.strip()
    found = split_list(value)
    names = tuple(dict.fromkeys(item.strip() for item in found if isinstance(item, str)))
    wrong = [item for item in found if not isinstance(item, str) or not _is_export_field(item.strip())]
    if wrong or EVENT_START not in names or differ_in_case_only(names):
        raise ValueError(
            f"'known', 'default', or a list of field names, each once and as FullStory spells it, {EVENT_START} among"
            " them (by it, windows are told apart)"
        )
    return names


_CANONICAL = {name.lower(): name for name in (*KNOWN, *MOBILE, CUSTOM_VARS)}


def _is_export_field(item: str) -> bool:
    """Tell whether FullStory can be asked for it: a field, a custom variable, or a token."""
    spelled_well = _CANONICAL.get(item.lower(), item) == item
    is_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}", item) is not None
    return item in CUSTOM_TOKENS or (is_name and spelled_well)


def typed_fields(value: Any) -> dict[str, Kind]:
    """Read a table of field = type, or a list of fields (then text, unless they are known)."""
    value = as_table(value)
    if isinstance(value, list | tuple):
        value = {item: _KINDS.get(item, "text") for item in dict.fromkeys(map(str, value))}
    table = {"": ""} if not isinstance(value, Mapping) else {str(key): kind for key, kind in value.items()}
    if not all(_is_extra(key, kind) for key, kind in table.items()) or differ_in_case_only(table):
        raise ValueError(
            f'a table such as {{ EventFoo = "int" }}, with types {", ".join(DECLARABLE)}, and names of letters, digits'
            " and _, 63 at most, no two of which differ in case only; known fields keep their type"
        )
    return cast(dict[str, Kind], table)


_KINDS: dict[str, Kind] = {**KNOWN, **MOBILE}


def _is_extra(key: str, kind: Any) -> bool:
    """Tell whether a field may be declared: it is unknown, or known with this very type."""
    if not NAME.fullmatch(key) or kind not in DECLARABLE or not _is_free(key):
        return False
    return _CANONICAL.get(key.lower(), key) == key and _KINDS.get(key, kind) == kind


def _is_free(key: str) -> bool:
    """Tell whether no other column than a field's bears the name."""
    taken = (CUSTOM_VARS.lower(), SESSION_REPLAY_URL.lower())
    return key.lower() not in taken and not key.lower().startswith(RESERVED) and canonical(key) == key


def custom_columns(value: Any) -> dict[str, Kind]:
    """Read a table of custom variable = type; each has a column of its own, in SQL that folds case, too."""
    table = as_table(value)
    names = list(table) if isinstance(table, Mapping) else [""]
    columns = [column_of(name).lower() for name in names if isinstance(name, str)]
    fit = all(NAME.fullmatch(column) and _is_free(column) and column not in _CANONICAL for column in columns)
    distinct = len(set(columns)) == len(names) and not any(is_field_name(str(name)) for name in names)
    if not fit or not distinct or not all(kind in DECLARABLE for kind in table.values()):
        raise ValueError(
            f'a table such as {{ user_plan_str = "text" }}, with types {", ".join(DECLARABLE)}, and names of up to 63'
            " characters that differ in letters and digits (FullStory's own fields stand in extra_fields)"
        )
    return dict(table)


def variable_patterns(value: Any) -> tuple[str, ...]:
    """Read a list of custom variables' names, or names with commas between them; `*` stands for anything."""
    found = as_list(value)
    if not all(isinstance(item, str) and _is_pattern(item.strip()) for item in found):
        raise ValueError('a list of names, such as ["user_ssn_str", "*token*"]')
    return tuple(dict.fromkeys(item.strip() for item in found))


def field_patterns(value: Any) -> tuple[str, ...]:
    """Read a list of fields' names, or names with commas between them; `*` stands for anything."""
    found = as_list(value)
    if not all(isinstance(item, str) and re.fullmatch(r"[A-Za-z0-9_*?\[\]!-]+", item.strip()) for item in found):
        raise ValueError('a list of FullStory\'s fields, such as ["PageIp", "User*"]')
    return tuple(dict.fromkeys(item.strip() for item in found))


def _is_pattern(item: str) -> bool:
    """Tell whether an item is a name; quotes around it are what is left of a list that is no JSON."""
    return bool(item) and not has_controls(item) and not re.search(r"^\[?['\"]|['\"]\]?$", item)
