"""A Postgres that speaks German is used and understood as one that speaks English."""

from datetime import timedelta

import psycopg2
import pytest

from emulators.postgres import Unavailable, postgres
from hauser_dlt.errors import ConfigError, LoadError, TransientError
from hauser_dlt.ledger.sql_leases import is_made_elsewhere
from support.destinations import HOUR, MIDNIGHT

DAY = timedelta(days=1)
NOW = MIDNIGHT + 5 * DAY

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.parametrize("target", ["postgres"], indirect=True)]


@pytest.fixture(scope="module")
def server():
    """A Postgres that speaks German: it takes the place of the one of all tests."""
    try:
        with postgres("de_DE") as running:
            yield running
    except Unavailable as exc:
        pytest.skip(str(exc))


def refused(runs, address):
    with pytest.raises((ConfigError, LoadError, TransientError)) as caught:
        runs.load(NOW, end=MIDNIGHT + 6 * HOUR, **{"destination.postgres.credentials": address})
    return caught.value


def test_it_speaks_german(target):
    with pytest.raises(psycopg2.Error, match="Relation »nirgends« existiert nicht"):
        target.query("SELECT * FROM nirgends")


def test_loads_reloads_and_new_columns_are_as_ever(runs):
    runs.load(NOW, end=MIDNIGHT + 6 * HOUR)
    runs.target.query('ALTER TABLE fs_export DROP COLUMN "PageUrl", ADD COLUMN mine TEXT')
    runs.load(NOW, end=MIDNIGHT + DAY)
    runs.reload(NOW, MIDNIGHT, MIDNIGHT + DAY)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


def test_that_another_run_has_made_a_table_is_understood(target):
    making = "CREATE SCHEMA IF NOT EXISTS german; CREATE TABLE german.made (a INT)"
    target.query(making)
    with pytest.raises(psycopg2.Error, match="existiert bereits") as caught:
        target.query(making)
    assert is_made_elsewhere(caught.value)


def test_backfills_that_begin_together_make_the_same_tables(runs):
    days = [MIDNIGHT + number * DAY for number in range(4)]
    commands = [runs.command("run", "--start", f"{day:%F}", "--end", f"{day + DAY:%F}") for day in days]
    ended = [command.communicate(60) for command in commands]
    assert [command.returncode for command in commands] == [0] * 4, ended
    runs.expect(MIDNIGHT, MIDNIGHT + 4 * DAY)


def test_what_it_refuses_is_told_with_what_to_do(runs, server):
    wrong = refused(runs, server.dsn("falsch"))
    assert type(wrong) is ConfigError
    assert "fehlgeschlagen; look at the credentials" in str(wrong)
    read_only = refused(runs, f"{server.dsn()}?options=-cdefault_transaction_read_only%3Don")
    assert type(read_only) is LoadError
    assert "the database is read-only" in str(read_only)
    runs.load(NOW, end=MIDNIGHT + 6 * HOUR)
    runs.target.query("ALTER TABLE fs_export ADD CONSTRAINT early CHECK (\"EventStart\" < '2024-05-01 06:00Z')")
    with pytest.raises(LoadError, match="constraint of yours"):
        runs.load(NOW, end=MIDNIGHT + 12 * HOUR)
