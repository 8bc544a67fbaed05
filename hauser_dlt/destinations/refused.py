"""Destinations of dlt's where loads would not be exactly once, or not exact, and what stands against each.

docs/other-destinations.md says how each of these is known.
"""

_TIMES = "its times end at milliseconds, and FullStory's have microseconds"
_T_SQL = "its SQL knows neither LIMIT nor FALSE, which the ledger of loads is asked with"
_VECTORS = "it has no SQL that inserts and deletes rows"

REASONS = {
    "athena": _TIMES,
    "clickhouse": "its joins give '' instead of NULL where nothing matches, so that each load would count as complete",
    "dremio": _TIMES,
    "fabric": _T_SQL,
    "lance": _VECTORS,
    "lancedb": _VECTORS,
    "mssql": _T_SQL,
    "qdrant": _VECTORS,
    "sqlalchemy": "the databases behind it store and compare times each in a way of its own",
    "synapse": _T_SQL,
    "weaviate": _VECTORS,
}
"""dlt's type of a destination -> the reason."""
