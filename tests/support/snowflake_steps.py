"""What changes something in Snowflake, seen in the connections of its driver. See `steps`."""

from typing import Any

import snowflake.connector

from support.steps import Around, _telling_statements, _told


def watch(around: Around) -> None:
    """Have each statement to Snowflake be told, too; its driver takes a while to import."""
    statement, last = _telling_statements()

    def of_snowflake(self: Any, sql: Any, *_: Any, **__: Any) -> str | None:
        return None if sql in (None, "COMMIT") else statement(self, sql)

    cursor, connection = snowflake.connector.cursor.SnowflakeCursor, snowflake.connector.SnowflakeConnection
    cursor.execute = _told(cursor.execute, around, of_snowflake)
    connection.commit = _told(connection.commit, around, last)
