"""Snowflake's SQL into Postgres's: what is folded, typed and allowed as Snowflake does it. sqlglot parses.

Names: https://docs.snowflake.com/en/sql-reference/identifiers-syntax. Subqueries:
https://docs.snowflake.com/en/sql-reference/operators-subquery. Types: https://docs.snowflake.com/en/sql-reference/data-types.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from emulators import snowflake_functions
from emulators.snowflake_errors import compilation_error

LONGEST = 16_777_216  # characters of a VARCHAR that is declared without a length
_MOST_OF_POSTGRES = 10_485_760
_CLUSTERED = re.compile(r"\bCLUSTER\s+BY\s*\((?P<keys>(?:[^()]|\([^()]*\))*)\)", re.IGNORECASE)
_ALTERS_CLUSTERING = re.compile(
    r"ALTER\s+TABLE\s+(?P<table>\S+)\s+(?:DROP\s+CLUSTERING\s+KEY|CLUSTER\s+BY\s*\((?P<keys>.*)\))\s*$",
    re.IGNORECASE | re.DOTALL,
)
_TYPES = {
    exp.DataType.Type.DOUBLE: "double precision",
    exp.DataType.Type.FLOAT: "double precision",  # all of FLOAT, FLOAT4 and REAL have 64 bits
    exp.DataType.Type.TIMESTAMPLTZ: "timestamptz",
    exp.DataType.Type.TIMESTAMPTZ: "timestamptz",
    exp.DataType.Type.TIMESTAMPNTZ: "timestamp",
    exp.DataType.Type.TIMESTAMP: "timestamp",
    exp.DataType.Type.VARIANT: "json",
    exp.DataType.Type.BOOLEAN: "boolean",
    exp.DataType.Type.DATE: "date",
    exp.DataType.Type.TIME: "time",
    exp.DataType.Type.BINARY: "bytea",
    exp.DataType.Type.VARBINARY: "bytea",
}
_TEXTS = (exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT, exp.DataType.Type.CHAR, exp.DataType.Type.NVARCHAR)
_NUMBERS = (exp.DataType.Type.DECIMAL, exp.DataType.Type.INT, exp.DataType.Type.BIGINT, exp.DataType.Type.SMALLINT)


@dataclass(slots=True)
class Plan:
    """A statement as it is to be carried out.

    Attributes:
        sql: Postgres's.
        kind: DDL commits what is open; DML is counted; others only read.
        locked: the table whose rows nobody else may alter until the transaction ends.
        clustered: the table that is clustered anew, and by which expressions.
    """

    sql: str
    kind: str = "read"
    locked: str = ""
    clustered: tuple[str, list[str]] | None = None
    names: list[str] = field(default_factory=list)


def split(sql: str) -> list[str]:
    """Return the statements of a text."""
    tokens = sqlglot.tokenize(sql, read="snowflake")
    ends = [token for token in tokens if token.token_type == sqlglot.TokenType.SEMICOLON]
    parts, at = [], 0
    for token in ends:
        parts.append(sql[at : token.start])
        at = token.end + 1
    return [part.strip() for part in (*parts, sql[at:]) if part.strip()]


def planned(sql: str, database: str) -> Plan:
    """Return how a statement is carried out.

    Args:
        database: the session's.

    Raises:
        Refused: Snowflake would not take it.
    """
    if found := _ALTERS_CLUSTERING.match(sql):
        return Plan("SELECT 1", "ddl", clustered=(_table(found["table"]), _keys(found["keys"])))
    created = re.match(r"\s*CREATE\b.*\bTABLE\b", sql, re.IGNORECASE)
    clustering = _CLUSTERED.search(sql) if created else None
    try:
        tree = sqlglot.parse_one(_CLUSTERED.sub("", sql) if clustering else sql, read="snowflake")
    except ParseError as exc:
        raise compilation_error(1003, "42000", f"syntax error: {exc}") from exc
    _refuse_subqueries(tree)
    _fold(tree, database)
    plan = _plan(tree)
    if clustering:
        plan.clustered = (_table(_named(tree)), _keys(clustering["keys"]))
    return plan


def _plan(tree: Any) -> Plan:
    named = _named(tree)
    if isinstance(tree, exp.Create | exp.Drop | exp.Alter | exp.TruncateTable):
        if isinstance(tree, exp.Alter):
            _refuse_alteration(tree)
        _to_postgres(tree)
        return Plan(_sql(tree), "ddl")
    _to_postgres(tree)
    if isinstance(tree, exp.Delete | exp.Update | exp.Merge):
        return Plan(_sql(tree), "dml", locked=named)
    return Plan(_sql(tree), "dml" if isinstance(tree, exp.Insert) else "read")


def _sql(tree: Any) -> str:
    return str(tree.sql(dialect="postgres"))


def _named(tree: Any) -> str:
    table = tree.find(exp.Table)
    if table is None:
        return ""
    bare = exp.Table(this=table.this, db=table.args.get("db"))  # without its alias
    return str(bare.sql(dialect="postgres"))


def _table(name: str) -> str:
    """Return the last part of a name, as it is stored."""
    return identifiers(name)[-1]


def _keys(text: str | None) -> list[str]:
    return [part.strip() for part in re.split(r",(?![^(]*\))", text)] if text else []


def identifiers(name: str) -> list[str]:
    """Return the parts of a name as they are stored: without quotes, in upper case."""
    parts = re.findall(r'"((?:[^"]|"")+)"|([^".\s]+)', name)
    return [quoted.replace('""', '"') if quoted else plain.upper() for quoted, plain in parts]


def _fold(tree: Any, database: str) -> None:
    for table in tree.find_all(exp.Table):
        catalog = table.args.get("catalog")
        if catalog and _stored(catalog) != database:
            message = f"Database '{_stored(catalog)}' does not exist or not authorized."
            raise compilation_error(2003, "02000", message)
        table.set("catalog", None)
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", _stored(identifier))
        identifier.set("quoted", True)


def _stored(identifier: Any) -> str:
    name = str(identifier.this)
    return name if identifier.args.get("quoted") else name.upper()


def _refuse_subqueries(tree: Any) -> None:
    """IN with a subquery may stand in WHERE alone, and not below OR."""
    for found in tree.find_all(exp.In):
        if not found.args.get("query"):
            continue
        above = found.parent
        while isinstance(above, exp.Not | exp.And | exp.Paren):
            above = above.parent
        if not isinstance(above, exp.Where):
            raise compilation_error(2031, "42601", "Unsupported subquery type cannot be evaluated")


def _refuse_alteration(tree: Any) -> None:
    for column in tree.find_all(exp.ColumnDef):
        strict = column.find(exp.NotNullColumnConstraint)
        if strict and not column.find(exp.DefaultColumnConstraint):
            message = f"Non-nullable column '{column.name}' cannot be added to non-empty table without a default."
            raise compilation_error(2159, "22023", message)


def _to_postgres(tree: Any) -> None:
    for kind in list(tree.find_all(exp.DataType)):
        column = kind.parent if isinstance(kind.parent, exp.ColumnDef) else None
        if kind.this in _TEXTS:
            _limit(kind, column)
        elif kind.this in _NUMBERS:
            given = [int(parameter.name) for parameter in kind.expressions]
            precision, scale = (*given, 0)[:2] if given else (38, 0)
            kind.replace(exp.DataType.build(f"DECIMAL({precision}, {scale})", dialect="postgres"))
        elif kind.this in _TYPES:
            kind.replace(exp.DataType.build(_TYPES[kind.this], dialect="postgres"))
    for comment in list(tree.find_all(exp.CommentColumnConstraint)):
        comment.parent.pop()
    for properties in list(tree.find_all(exp.Properties)):
        properties.pop()
    snowflake_functions.to_postgres(tree)  # last: its types are Postgres's


def _limit(kind: Any, column: Any) -> None:
    """Have a text be as long as it may: counted in characters."""
    longest = int(kind.expressions[0].name) if kind.expressions else LONGEST
    if longest <= _MOST_OF_POSTGRES:
        kind.replace(exp.DataType.build(f"VARCHAR({longest})", dialect="postgres"))
        return
    kind.replace(exp.DataType.build("TEXT", dialect="postgres"))
    if column is not None:
        name = exp.column(exp.to_identifier(column.name, quoted=True))
        length = exp.func("char_length", name)
        check = exp.CheckColumnConstraint(this=exp.LTE(this=length, expression=exp.Literal.number(longest)))
        column.append("constraints", exp.ColumnConstraint(kind=check))
