"""What arrives is what was sent, or the load says so; and what a database says of a row is not passed on."""

import logging
import re
import traceback
from types import SimpleNamespace

import pytest

from hauser_dlt.errors import LoadError
from support.destinations import HOUR, MIDNIGHT

EARLY = MIDNIGHT + 30 * HOUR  # one window has settled
JANE = "jane@example.com"

in_postgres = pytest.mark.parametrize("target", ["postgres"], indirect=True)
FUNCTION = "CREATE FUNCTION nosy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"
EACH_ROW = "CREATE TRIGGER nosy {} INSERT ON fs_export FOR EACH ROW EXECUTE FUNCTION nosy()"
UNDO = "DROP FUNCTION nosy() CASCADE"
SPOILERS = {
    "rows are dropped": (FUNCTION.format("RETURN NULL;"), EACH_ROW.format("BEFORE"), UNDO),
    "some rows are dropped": (
        FUNCTION.format("""IF NEW."EventType" = 'click' THEN RETURN NULL; END IF; RETURN NEW;"""),
        EACH_ROW.format("BEFORE"),
        UNDO,
    ),
    "rows are doubled": (
        FUNCTION.format("IF pg_trigger_depth() < 2 THEN INSERT INTO fs_export SELECT NEW.*; END IF; RETURN NEW;"),
        EACH_ROW.format("BEFORE"),
        UNDO,
    ),
    "rows are deleted afterwards": (
        FUNCTION.format("""DELETE FROM fs_export WHERE "_dlt_load_id" = NEW."_dlt_load_id"; RETURN NULL;"""),
        EACH_ROW.format("AFTER"),
        UNDO,
    ),
    "rows get another load": (
        FUNCTION.format("""NEW."_dlt_load_id" := 'mine'; RETURN NEW;"""),
        EACH_ROW.format("BEFORE"),
        UNDO,
    ),
    "rows get another time": (
        FUNCTION.format("""NEW."EventStart" := '2001-01-01'; RETURN NEW;"""),
        EACH_ROW.format("BEFORE"),
        UNDO,
    ),
    "sync rows go nowhere": (
        "CREATE RULE nosy AS ON INSERT TO fs_sync DO INSTEAD NOTHING",
        "SELECT 1",
        "DROP RULE nosy ON fs_sync",
    ),
    "loads are not noted": (
        "CREATE RULE nosy AS ON INSERT TO _dlt_loads DO INSTEAD NOTHING",
        "SELECT 1",
        "DROP RULE nosy ON _dlt_loads",
    ),
    "loads under way are not noted": (
        "CREATE RULE nosy AS ON INSERT TO fs_sync_pending DO INSTEAD NOTHING",
        "SELECT 1",
        "DROP RULE nosy ON fs_sync_pending",
    ),
    "sync rows tell of another window": (
        FUNCTION.format("""NEW."BundleEndTime" := now(); RETURN NEW;"""),
        EACH_ROW.format("BEFORE").replace("fs_export", "fs_sync"),
        UNDO,
    ),
}


@in_postgres
def test_a_load_whose_rows_are_altered_on_the_way_fails_and_the_next_one_makes_it_good(runs):
    runs.load(EARLY)
    for number, (spoil, too, undo) in enumerate(SPOILERS.values()):
        table = next(name for name in ("fs_sync_pending", "fs_sync", "_dlt_loads", "fs_export") if name in spoil + too)
        runs.target.query(spoil)
        runs.target.query(too)
        with pytest.raises(LoadError, match=rf"^table {table}: .* \(load [0-9.]+\); a trigger") as refused:
            runs.load(EARLY + 6 * (number + 1) * HOUR)
        assert len(runs.target.complete()) == number + 1
        counts = re.findall(r"([0-9,]+) (?:rows were sent|arrived)", str(refused.value))
        assert len(set(counts)) == 2 or "another window" in list(SPOILERS)[number]
        runs.target.query(undo)
        runs.load(EARLY + 6 * (number + 1) * HOUR)
    runs.expect(MIDNIGHT, EARLY + 6 * len(SPOILERS) * HOUR - 24 * HOUR)


REFUSALS = {
    "function nosy": (
        FUNCTION.format("""RAISE EXCEPTION 'no %', NEW."UserEmail" USING DETAIL = NEW."UserEmail";"""),
        EACH_ROW.format("BEFORE"),
        UNDO,
    ),
    "constraint nosy": (
        """ALTER TABLE fs_export ADD CONSTRAINT nosy CHECK ("UserEmail" NOT LIKE 'jane%') NOT VALID""",
        "SELECT 1",
        "ALTER TABLE fs_export DROP CONSTRAINT nosy",
    ),
}


@in_postgres
def test_what_a_database_says_of_a_row_is_in_no_message_log_or_file(runs, monkeypatch, caplog, capfd):
    """What lies in the working folder while it is at work stays there for this test, files of events apart."""
    runs.sim.events = lambda start, end: [{"EventStart": start.isoformat(), "UserEmail": JANE}]
    runs.load(EARLY)
    monkeypatch.setattr("hauser_dlt.sync.workdir.shutil", SimpleNamespace(rmtree=lambda path, **_: None))
    for number, (says, (spoil, too, undo)) in enumerate(REFUSALS.items()):
        runs.working_dir = runs.working_dir.with_name(f"work{number}")
        runs.target.query(spoil)
        runs.target.query(too)
        with caplog.at_level(logging.INFO), pytest.raises(LoadError, match=says) as refused:
            runs.load(EARLY + 6 * HOUR, **{"runtime.log_level": "INFO"})
        runs.target.query(undo)
        out = capfd.readouterr()
        texts = ["".join(traceback.format_exception(refused.value)), caplog.text, out.out, out.err]
        files = [file for file in runs.working_dir.rglob("*") if file.is_file() and file.suffix not in (".parquet", "")]
        assert len(files) > 3
        texts += [file.read_bytes().decode(errors="replace") for file in files]
        assert not [text for text in texts if "jane" in text]


@in_postgres
def test_a_trigger_that_alters_nothing_and_one_that_fills_a_column_of_the_users_are_let_be(runs):
    runs.load(EARLY)
    runs.target.query("ALTER TABLE fs_export ADD COLUMN mine TEXT")
    runs.target.query(FUNCTION.format("NEW.mine := 'x'; RETURN NEW;"))
    runs.target.query(EACH_ROW.format("BEFORE"))

    runs.load(EARLY + 6 * HOUR)

    assert {row["_hauser_window"] for row in runs.target.rows() if row.get("mine")} == {MIDNIGHT + 6 * HOUR}
