"""The internal stage through which files of this machine reach Snowflake.

Jobs remove what they have staged once it is loaded. What is left of a process that died, the next run removes.
"""

from collections.abc import Callable, Collection
from typing import Any

from dlt.common.data_writers.escape import escape_snowflake_literal

from hauser_dlt.destinations.snowflake_copy import staged_at
from hauser_dlt.destinations.staging import Staging


class InternalStage(Staging):
    """A stage of Snowflake's own: the user's, or one that `stage_name` names.

    Attributes:
        connect: returns dlt's client of SQL, to be entered.
    """

    def __init__(self, destination: Any) -> None:
        self._to = destination
        self.connect: Callable[[], Any] | None = None

    @property
    def url(self) -> str:  # type: ignore[override]
        """Where it is."""
        return staged_at(self._name)

    def destination(self, load_id: str = "next") -> Any:
        """Return dlt's staging destination: none."""

    def may_be_changed(self) -> bool:
        """See `Bucket`. Each user may change their own."""
        return not self._name

    def remove(self, load_id: str) -> None:
        """See `Staging`. Jobs have done that."""

    def remove_all_but(self, load_ids: Collection[str]) -> None:
        """See `Staging`."""
        if self.connect is None:
            return
        with self.connect() as client:
            folder = staged_at(self._name, client)
            inside = f"{folder.partition('/')[2]}/"
            listed = client.execute_sql(f"LIST {escape_snowflake_literal(f'{folder}/')}") or ()
            found = {name.partition(inside)[2].partition("/")[0] for name, *_ in listed}
            for load_id in found - {"", *load_ids}:
                client.execute_sql(f"REMOVE {escape_snowflake_literal(f'{folder}/{load_id}/')}")  # all that begins so

    @property
    def _name(self) -> str | None:
        found: str | None = self._to.configuration(self._to.spec(), accept_partial=True).stage_name
        return found
