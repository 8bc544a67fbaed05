"""Functions of Snowflake's that sqlglot leaves as they are for Postgres, or that answer with another type there."""

from typing import Any

from sqlglot import exp


def to_postgres(tree: Any) -> None:
    """Put Postgres's functions in their place."""
    for found in list(tree.find_all(exp.GetExtract, exp.JSONExtract)):
        names = [found.expression]
        if isinstance(found.expression, exp.JSONPath):
            keys = found.expression.find_all(exp.JSONPathKey)
            names = [exp.Literal.string(key.this) for key in keys]
        found.replace(
            exp.Anonymous(this="json_extract_path_text", expressions=[found.this, *names])
        )  # dots lead nowhere
    for found in list(tree.find_all(exp.DayOfWeekIso)):
        found.replace(exp.cast(exp.Extract(this=exp.var("ISODOW"), expression=found.this), "int", dialect="postgres"))
    for found in list(tree.find_all(exp.DateAdd)):
        is_date = isinstance(found.this, exp.Cast) and found.this.to.this == exp.DataType.Type.DATE
        if is_date and found.unit.name == "DAY":  # of a date, Snowflake makes a date
            found.replace(exp.Paren(this=exp.Add(this=found.this, expression=exp.Paren(this=found.expression))))
