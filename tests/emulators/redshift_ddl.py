"""CREATE TABLE and ALTER TABLE: Redshift's types and attributes in PostgreSQL's words, or why Redshift refuses them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from emulators.redshift_lexer import Reader, Refused, Token, quoted, source

Table = tuple[str, ...]
MAX_BYTES = 65535
BYTES_CHECK = "bytes_"  # then the limit: what a violated constraint tells
_NUMBERS = count()

_SIMPLE = {
    ("SMALLINT", "INT2"): "smallint",
    ("INTEGER", "INT", "INT4"): "integer",
    ("BIGINT", "INT8"): "bigint",
    ("REAL", "FLOAT4"): "real",
    ("DOUBLE PRECISION", "FLOAT8", "FLOAT"): "double precision",
    ("BOOLEAN", "BOOL"): "boolean",
    ("DATE",): "date",
    ("TIMESTAMP", "TIMESTAMP WITHOUT TIME ZONE"): "timestamp",
    ("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"): "timestamptz",
    ("TIME", "TIME WITHOUT TIME ZONE"): "time",
    ("TIMETZ", "TIME WITH TIME ZONE"): "timetz",
    ("SUPER",): "pg_catalog.super",
}
_TYPES = {name: into for names, into in _SIMPLE.items() for name in names}
_TEXTS = {"VARCHAR": 256, "CHARACTER VARYING": 256, "NVARCHAR": 256, "TEXT": 256} | dict.fromkeys(
    ("CHAR", "CHARACTER", "NCHAR"), 1
)
_BINARIES = dict.fromkeys(("VARBYTE", "VARBINARY", "BINARY VARYING"), 64000)
_LONGER = {
    "DOUBLE": [("PRECISION",)],
    "CHARACTER": [("VARYING",)],
    "BINARY": [("VARYING",)],
    "TIMESTAMP": [("WITH", "TIME", "ZONE"), ("WITHOUT", "TIME", "ZONE")],
    "TIME": [("WITH", "TIME", "ZONE"), ("WITHOUT", "TIME", "ZONE")],
}
_ATTRIBUTES = {"DEFAULT", "NOT", "NULL", "ENCODE", "DISTKEY", "SORTKEY", "UNIQUE", "PRIMARY", "REFERENCES", "IDENTITY"}
_WHEN_ADDED = {"DEFAULT", "NOT", "NULL", "ENCODE"}


@dataclass
class Plan:
    """What PostgreSQL is asked instead.

    Attributes:
        sorted_table: the table whose sort keys are `sort_keys` from now on, or those of `like`.
        widened: a column whose former limit is to be dropped first.
        commits: whether it ends the transaction that it runs in.
        alone: whether it refuses to run in a transaction.
    """

    sql: str
    sorted_table: Table = ()
    sort_keys: list[str] = field(default_factory=list)
    like: Table = ()
    widened: tuple[Table, str, int] | None = None
    commits: bool = False
    alone: str = ""


@dataclass
class _Column:
    name: str
    sql: str
    sort: bool = False


def create_table(reader: Reader) -> Plan:
    """Read on after CREATE."""
    reader.accept("LOCAL")
    words = "CREATE TEMPORARY TABLE" if reader.accept("TEMP") or reader.accept("TEMPORARY") else "CREATE TABLE"
    reader.expect("TABLE")
    if reader.accept("IF", "NOT", "EXISTS"):
        words += " IF NOT EXISTS"
    table = reader.qualified()
    if reader.peek() != "(":
        sort_keys = _attributes(reader)
        reader.expect("AS")
        return Plan(f"{words} {path(table)} AS {source(_spaced(reader.rest()))}", table, sort_keys)
    items, sort_keys, like = [], [], ()
    for tokens in reader.inside():
        item = Reader(tokens)
        if item.accept("LIKE"):
            like = item.qualified()
            items.append(f"LIKE {path(like)} INCLUDING CONSTRAINTS{_defaults(item)}")
        elif item.peek() in ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT"):
            items += _key(item)
        else:
            column = _column(item, table)
            items.append(column.sql)
            sort_keys += [column.name] * column.sort
    return Plan(f"{words} {path(table)} ({', '.join(items)})", table, sort_keys + _attributes(reader), like)


def alter_table(reader: Reader) -> Plan:
    """Read on after ALTER."""
    reader.expect("TABLE")
    table = reader.qualified()
    head = f"ALTER TABLE {path(table)}"
    nothing = f"{head} REPLICA IDENTITY DEFAULT"
    if reader.accept("ADD"):
        if reader.peek() in ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT"):
            return Plan(nothing)  # Redshift keeps such constraints for its planner, and does not enforce them
        reader.accept("COLUMN")
        return Plan(f"{head} ADD COLUMN {_added(reader, table)}")
    if reader.accept("DROP"):
        reader.accept("COLUMN")
        column = quoted(reader.name())
        cascade = " CASCADE" if reader.accept("CASCADE") else ""
        return _last(reader, Plan(f"{head} DROP COLUMN {column}{cascade}"))
    if reader.accept("RENAME", "TO"):
        return _last(reader, Plan(f"{head} RENAME TO {quoted(reader.name())}"))
    if reader.accept("RENAME"):
        reader.accept("COLUMN")
        old = quoted(reader.name())
        reader.expect("TO")
        return _last(reader, Plan(f"{head} RENAME COLUMN {old} TO {quoted(reader.name())}"))
    if reader.accept("OWNER", "TO"):
        return Plan(f"{head} OWNER TO {quoted(reader.name())}")
    reader.expect("ALTER")
    if reader.peek() in ("DISTSTYLE", "DISTKEY", "COMPOUND", "INTERLEAVED", "SORTKEY"):
        return Plan(nothing, table, _attributes(reader))
    reader.accept("COLUMN")
    return _altered(reader, table, nothing)


def path(table: Table) -> str:
    """Return a table's name for PostgreSQL."""
    return ".".join(map(quoted, table))


def _altered(reader: Reader, table: Table, nothing: str) -> Plan:
    column = reader.name()
    if reader.accept("ENCODE"):
        return Plan(nothing)
    reader.expect("TYPE")
    start = reader.peek()
    kind, limit = _type(reader, table, column)
    if start not in ("VARCHAR", "CHARACTER", "NVARCHAR"):
        raise Refused("0A000", f'cannot alter type of column "{column}"')
    alone = "ALTER TABLE ALTER COLUMN cannot run inside a transaction block"
    sql = f"ALTER TABLE {path(table)} ALTER COLUMN {quoted(column)} TYPE {kind}, ADD {_check(column, limit)}"
    return Plan(sql, widened=(table, column, limit), alone=alone)


def _added(reader: Reader, table: Table) -> str:
    if reader.accept("IF"):
        reader.fail()
    column = _column(reader, table, _WHEN_ADDED)
    _last(reader, column)
    if " NOT NULL" in column.sql and " DEFAULT " not in column.sql:
        raise Refused("42601", "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression")
    return column.sql


def _last(reader: Reader, result: Any) -> Any:
    if reader:
        reader.fail()
    return result


def _column(reader: Reader, table: Table, allowed: set[str] = _ATTRIBUTES) -> _Column:
    name = reader.name()
    kind, limit = _type(reader, table, name)
    column = _Column(name, f"{quoted(name)} {kind}")
    while reader.peek() in allowed:
        column.sql += _attribute(reader)
        column.sort |= reader.accept("SORTKEY")
    if allowed is _ATTRIBUTES:
        _last(reader, column)
    if limit:
        column.sql += f" {_check(name, limit)}"
    return column


def _attribute(reader: Reader) -> str:
    if reader.accept("NOT", "NULL"):
        return " NOT NULL"
    if reader.accept("PRIMARY", "KEY"):
        return " NOT NULL"
    if reader.accept("DEFAULT"):
        return f" DEFAULT {source(_spaced(list(_expression(reader))))}"
    if reader.accept("IDENTITY"):
        seed, step = (source(part) for part in reader.inside())
        return f" GENERATED ALWAYS AS IDENTITY (START {seed} INCREMENT {step})"
    if reader.accept("ENCODE"):
        reader.name()
    elif reader.accept("REFERENCES"):
        reader.qualified()
        if reader.peek() == "(":
            reader.names()
    elif not (reader.accept("NULL") or reader.accept("DISTKEY") or reader.accept("UNIQUE")) and (
        reader.peek() != "SORTKEY"
    ):
        reader.fail()
    return ""


def _expression(reader: Reader) -> Iterator[Token]:
    yield reader.next()
    depth = 0
    while reader and (depth or reader.peek() not in _ATTRIBUTES | {","}):
        token = reader.next()
        depth += {"(": 1, ")": -1}.get(token.word, 0)
        yield token


def _type(reader: Reader, table: Table, column: str) -> tuple[str, int]:
    """Return a type for PostgreSQL, and how many bytes it may hold, where that is to be checked."""
    written = reader.next().text
    name = written.upper()
    arguments = [source(part) for part in reader.inside()] if reader.peek() == "(" else []
    for more in _LONGER.get(name, []):
        if reader.accept(*more):
            name += " " + " ".join(more)
    if not arguments and reader.peek() == "(":
        arguments = [source(part) for part in reader.inside()]
    if reader.accept("[", "]"):
        raise Refused("0A000", f'Column "{".".join(table)}.{column}" has unsupported type "{written}[]".')
    if name in _TYPES:
        return _TYPES[name], 0
    if name in _TEXTS:
        limit = _limit(arguments, _TEXTS[name], name)
        return f"{'char' if _TEXTS[name] == 1 else 'varchar'}({limit})", limit
    if name in _BINARIES:
        return "bytea", _limit(arguments, _BINARIES[name], name)
    if name in ("NUMERIC", "DECIMAL"):
        return _numeric(arguments), 0
    raise Refused("0A000", f'Column "{".".join(table)}.{column}" has unsupported type "{written}".')


def _limit(arguments: list[str], default: int, name: str) -> int:
    limit = default if not arguments else MAX_BYTES if arguments[0].upper() == "MAX" else int(arguments[0])
    if limit > (MAX_BYTES if name not in _BINARIES else 16777216):
        raise Refused("22023", f"length for type {name.lower()} cannot exceed {MAX_BYTES}")
    return limit


def _numeric(arguments: list[str]) -> str:
    precision, scale = [*map(int, arguments), *(18, 0)[len(arguments) :]]
    if precision > 38:
        raise Refused("22023", f"DECIMAL precision {precision} must be between 1 and 38")
    return f"numeric({precision},{scale})"


def _check(column: str, limit: int) -> str:
    # PostgreSQL counts characters where Redshift counts bytes
    return f"CONSTRAINT {BYTES_CHECK}{limit}_{next(_NUMBERS)} CHECK (octet_length({quoted(column)}) <= {limit})"


def _key(item: Reader) -> list[str]:
    if item.accept("CONSTRAINT"):
        item.name()
    if item.accept("PRIMARY", "KEY"):
        return [f"CHECK ({quoted(name)} IS NOT NULL)" for name in item.names()]
    return []


def _defaults(item: Reader) -> str:
    if item.accept("INCLUDING", "DEFAULTS"):
        return " INCLUDING DEFAULTS"
    item.accept("EXCLUDING", "DEFAULTS")
    return _last(item, "")


def _attributes(reader: Reader) -> list[str]:
    """Read what follows a table's columns, and return its sort keys."""
    sort_keys: list[str] = []
    while reader and reader.peek() != "AS":
        if reader.accept("SORTKEY"):
            if not (reader.accept("AUTO") or reader.accept("NONE")):
                sort_keys = reader.names()
        elif reader.accept("DISTKEY"):
            reader.names() if reader.peek() == "(" else reader.name()
        elif reader.accept("DISTSTYLE"):
            if reader.next().word not in ("AUTO", "EVEN", "KEY", "ALL"):
                raise Refused("42601", "invalid DISTSTYLE")
        elif reader.accept("BACKUP"):
            reader.next()
        elif not (reader.accept("COMPOUND") or reader.accept("INTERLEAVED") or reader.accept("ENCODE", "AUTO")):
            reader.fail()
    return sort_keys


def _spaced(tokens: list[Token]) -> list[Token]:
    """Return tokens with space between, for that was lost when they were read."""
    return [piece for token in tokens for piece in (token, Token("space", " "))]
