"""Statements as Redshift takes them, in PostgreSQL's words; what Redshift refuses is refused as it does."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from emulators.redshift_ddl import Plan, Table, alter_table, create_table
from emulators.redshift_lexer import Reader, Refused, Token, quoted, significant, source

_MISPLACED = [
    ("INSERT INTO .* ON (?=CONFLICT)", "ON"),
    ("(INSERT|UPDATE|DELETE|MERGE) .* RETURNING", "RETURNING"),
    ("DELETE FROM \\S+( \\. \\S+)* (?!USING|WHERE|$)(?!\\.)\\S+", None),
    ("DROP COLUMN IF EXISTS", "EXISTS"),
    (".* FILTER \\( WHERE", "("),
    (".* LATERAL", "LATERAL"),
    ("LOCK .* IN", "IN"),
    ("COPY .* FROM STDIN", "STDIN"),
]
_UNSUPPORTED = [
    ("CREATE( UNIQUE)? INDEX", 'SQL command "{}" not supported on Redshift tables.'),
    (
        "(CREATE|DROP) (EXTENSION|TRIGGER|DOMAIN|TYPE|SEQUENCE|RULE|INDEX)|SAVEPOINT|LISTEN|NOTIFY|UNLOAD|REINDEX",
        'SQL command "{}" not supported.',
    ),
    ("SELECT DISTINCT ON \\(", "SELECT DISTINCT ON is not supported"),
    (".* FOR (UPDATE|SHARE)", "SELECT FOR UPDATE/SHARE is not supported"),
    (".*(^| )ARRAY \\[", "Specified types or functions (one per INFO message) not supported on Redshift tables."),
    ("SET ENABLE_CASE_SENSITIVE_IDENTIFIER", "the emulator folds all names"),
]
_FOREIGN = re.compile(
    "(string_agg|array_agg|unnest|generate_series|gen_random_uuid|pg_advisory_.*|pg_try_advisory_.*|jsonb?_(?!extract|parse"
    "|serialize|typeof|array_length|size).*|to_jsonb?|row_to_json|regexp_matches|make_.*|format|num_nonnulls)"
)
_WORDS = [
    (re.compile(r"(?i)^\s*SHOW\s+server_version\b"), "SELECT '8.0.2' AS server_version"),
    (re.compile(r"(?i)\bsysdate\b"), "sysdate()"),
    (re.compile(r"(?i)\bvarchar\s*\(\s*max\s*\)"), "varchar(65535)"),
    (re.compile(r'(?i)\binformation_schema\s*\.\s*"?columns\b"?'), "pg_catalog.svv_information_columns"),
    (re.compile(r"(?i)^(\s*SET\s+)(query_group|wlm_query_slot_count)\b"), r"\1redshift.\2"),
]


@dataclass
class Copy:
    """COPY from S3.

    Attributes:
        columns: what stands in parentheses, if anything does.
        options: name -> value; `True` where there is none.
    """

    table: Table
    columns: list[str] | None
    url: str
    options: dict[str, Any] = field(default_factory=dict)


def rewritten(tokens: list[Token]) -> Plan | Copy:
    """Return what is to be done about one statement.

    Raises:
        Refused: Redshift would not do it.
    """
    reader = Reader(tokens)
    if reader.peek() == "COPY" and "FROM" in {token.word for token in tokens}:
        _refuse(tokens)
        reader.next()
        return _copy(reader)
    if reader.accept("CREATE") and _makes_table(reader):
        return create_table(reader)
    if reader.accept("ALTER") and reader.peek() == "TABLE":
        return alter_table(reader)
    _refuse(tokens)
    return Plan(_plain(tokens), commits=reader.peek() == "TRUNCATE")


def controls_transaction(tokens: list[Token]) -> bool:
    """Whether a statement begins or ends a transaction."""
    return Reader(tokens).peek() in ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT")


def ends_transaction(tokens: list[Token]) -> bool:
    """Whether a statement is taken in a transaction that failed."""
    return Reader(tokens).peek() in ("COMMIT", "END", "ROLLBACK", "ABORT")


def _makes_table(reader: Reader) -> bool:
    return "TABLE" in {reader.peek(ahead) for ahead in range(3)} and reader.peek() in (
        "TABLE",
        "TEMP",
        "TEMPORARY",
        "LOCAL",
    )


def _refuse(tokens: list[Token]) -> None:
    shape = " ".join(token.word or "x" for token in significant(tokens))
    for pattern, message in _UNSUPPORTED:
        if re.match(pattern, shape):
            raise Refused("0A000", message.format(source(tokens)))
    for pattern, word in _MISPLACED:
        if found := re.match(pattern, shape):
            raise Refused("42601", f'syntax error at or near "{word or found[0].rpartition(" ")[2]}"')
    for token, following in zip(significant(tokens), significant(tokens)[1:], strict=False):
        if following.word == "(" and token.kind == "word" and _FOREIGN.fullmatch(token.text.lower()):
            raise Refused("42883", f"function {token.text.lower()}() does not exist")
        if token.word in ("->", "->>"):
            raise Refused("42883", f"operator does not exist: character varying {token.word} unknown")


def _plain(tokens: list[Token]) -> str:
    """Return a statement with its names folded, and with those words changed that PostgreSQL does not know."""
    folded = [Token("name", quoted(token.name)) if token.kind == "name" else token for token in tokens]
    parts = []
    for literal, run in groupby(folded, lambda token: token.kind == "string"):
        part = "".join(token.text for token in run)
        for pattern, replacement in () if literal else _WORDS:
            part = pattern.sub(replacement, part)
        parts.append(part)
    return "".join(parts).strip()


def _copy(reader: Reader) -> Copy:
    """Read on after COPY."""
    table = reader.qualified()
    columns = reader.names() if reader.peek() == "(" else None
    reader.expect("FROM")
    copy = Copy(table, columns, reader.string())
    while reader:
        reader.accept("WITH")
        name = reader.next().text.upper()
        if name not in _OPTIONS:
            raise Refused("42601", f'syntax error at or near "{name}"')
        reader.accept("AS")
        copy.options[name] = _OPTIONS[name](reader)
    if "FORMAT" in copy.options:
        name, value = copy.options.pop("FORMAT")
        copy.options[name] = value
    return copy


def _nothing(reader: Reader) -> bool:
    return True


def _either(reader: Reader) -> str:
    return reader.next().text.upper() if reader.peek() in ("ON", "OFF", "PRESET", "TRUE", "FALSE") else "ON"


def _number(reader: Reader) -> int:
    return int(reader.next().text)


def _auto(reader: Reader) -> str:
    return "auto" if reader.accept("AUTO") else reader.string()


def _role(reader: Reader) -> str:
    return "default" if reader.accept("DEFAULT") else reader.string()


def _perhaps(reader: Reader) -> Any:
    return reader.string() if reader.literal_comes else True


def _format(reader: Reader) -> tuple[str, Any]:
    name = reader.next().text.upper()
    reader.accept("AS")
    return name, _auto(reader) if name == "JSON" else True


_WITH_TEXT = "CREDENTIALS ACCESS_KEY_ID SECRET_ACCESS_KEY SESSION_TOKEN REGION DATEFORMAT TIMEFORMAT ENCODING NULL"
_ALONE = (
    "PARQUET ORC AVRO CSV GZIP BZIP2 LZOP ZSTD MANIFEST TRUNCATECOLUMNS FILLRECORD SERIALIZETOJSON BLANKSASNULL"
    " EMPTYASNULL TRIMBLANKS ROUNDEC ACCEPTANYDATE EXPLICIT_IDS IGNOREBLANKLINES NOLOAD"
)
_OPTIONS: dict[str, Callable[[Reader], Any]] = {
    **dict.fromkeys(_WITH_TEXT.split(), Reader.string),
    **dict.fromkeys(_ALONE.split(), _nothing),
    "FORMAT": _format,
    "JSON": _auto,
    "IAM_ROLE": _role,
    "MAXERROR": _number,
    "ACCEPTINVCHARS": _perhaps,
    "COMPUPDATE": _either,
    "STATUPDATE": _either,
}
