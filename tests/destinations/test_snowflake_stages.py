"""Snowflake, by way of its own stages and of buckets; nothing is left in them."""

from datetime import timedelta

import pytest
import tomlkit

from emulators.redshift import Fault
from hauser_dlt.destinations.snowflake import SnowflakeAdapter
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import CUSTOM_TOKENS, KNOWN
from hauser_dlt.simulator.bodies import keeper
from support.crash import CrashScenario, Moment, crash_at, fast_polling
from support.destinations import HOUR, MIDNIGHT, as_rows, bare
from support.shell import Shell

DAY = timedelta(days=1)
EARLY = MIDNIGHT + DAY + 6 * HOUR  # one window has settled
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR
SETTLED = NOW - DAY

in_snowflake = pytest.mark.parametrize("target", ["snowflake"], indirect=True)
elsewhere = pytest.mark.parametrize("target", ["snowflake-s3", "snowflake-gcs"], indirect=True)


@pytest.mark.slow
@elsewhere
def test_files_may_be_staged_in_a_bucket(runs):
    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)
    assert runs.target.staged() == []
    copies = [sql for sql in runs.target.server.statements if sql.startswith("COPY") and runs.target.dataset in sql]
    assert not any(sql.startswith("PUT") and runs.target.dataset in sql for sql in runs.target.server.statements)
    assert copies or runs.target.gcs


@pytest.mark.slow
@pytest.mark.parametrize("target", ["snowflake-s3"], indirect=True)
def test_a_stage_may_stand_for_the_keys_of_a_bucket(runs):
    at, s3 = runs.target.server, runs.target.s3
    at.stages.external["LAKE"] = runs.target.bucket_url
    at.places.integration = (s3.access_key, s3.secret_key)
    begin = len(at.statements)

    runs.load(EARLY, **{"destination.snowflake.stage_name": "lake"})

    runs.expect(MIDNIGHT, MIDNIGHT + 6 * HOUR)
    assert all(s3.secret_key not in sql for sql in at.statements[begin:])
    assert runs.target.staged() == []


@pytest.mark.parametrize("target", ["snowflake-gcs"], indirect=True)
def test_googles_bucket_needs_a_stage(runs):
    with pytest.raises(ConfigError, match="stage_name"):
        runs.load(EARLY, **{"destination.snowflake.stage_name": ""})


@pytest.mark.slow
@in_snowflake
def test_a_stage_of_ones_own_takes_the_files_too(runs):
    runs.target.query(f"CREATE SCHEMA {runs.target.dataset}")
    runs.target.query("CREATE STAGE hauser")
    begin = len(runs.target.server.statements)

    runs.load(EARLY, **{"destination.snowflake.stage_name": "hauser"})

    runs.expect(MIDNIGHT, MIDNIGHT + 6 * HOUR)
    puts = [sql for sql in runs.target.server.statements[begin:] if sql.startswith("PUT")]
    assert puts
    assert all("@hauser/hauser_dlt_staging/" in sql for sql in puts)
    assert runs.target.staged() == []


@pytest.mark.slow
@in_snowflake
def test_what_a_dead_run_has_staged_is_removed_by_the_next(runs):
    fast_polling()
    assert crash_at(CrashScenario(runs.nested(), NOW), Moment("put staged fs_export", when="after")).killed
    assert runs.target.staged() != []

    runs.load(NOW)

    runs.expect(MIDNIGHT, SETTLED)
    assert runs.target.staged() == []


@in_snowflake
def test_what_others_have_staged_stays(runs):
    """The loads of another dataset, and one that begins as a dead one does."""
    mine = f"{runs.target.server.database}.{runs.target.dataset}".lower()
    stage = runs.target.server.stages.root / "user" / runs.target.server.user / "hauser_dlt_staging"
    others = {stage / "sf1.another" / "1700000000.5" / "x", stage / mine / "1700000000.55" / "x"}
    for path in (*others, stage / mine / "1700000000.5" / "x"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    to = SnowflakeAdapter.of(runs.configuration().run, runs.configuration().source, reading=False)
    with runs.sync() as sync:
        to.staging.connect = sync.pipeline.sql_client
        runs.target.query(f"CREATE SCHEMA {runs.target.dataset}")
        to.staging.remove_all_but(["1700000000.55"])

    left = set(stage.rglob("x"))
    for path in others:
        path.unlink()
    assert left == others


@pytest.mark.slow
@in_snowflake
def test_a_staged_file_that_cannot_be_removed_is_left_to_the_next_run(runs):
    runs.target.server.faults.append(Fault("^REMOVE", what="error", sqlstate="604", message="canceled"))
    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)
    assert len(runs.target.staged()) == 1

    runs.load(NOW + 6 * HOUR)
    assert runs.target.staged() == []


HAUSERS = """
FsApiToken = "{token}"
ApiURL = "{url}"
Provider = "aws"
StartTime = {start:%Y-%m-%dT%H:%M:%SZ}
ExportDuration = "6h"
FilePrefix = "by_way_of"
[s3]
Bucket = "{bucket}"
Region = "us-east-1"
[redshift]
Host = "cluster.example"
Port = "5439"
DB = "dev"
User = "loader"
Password = "former"
ExportTable = "fs_export"
SyncTable = "fs_sync"
DatabaseSchema = "{schema}"
Credentials = "aws_access_key_id={key};aws_secret_access_key={secret}"
VarCharMax = 65535
"""


@pytest.mark.slow
@pytest.mark.parametrize("target", ["snowflake-s3"], indirect=True)
def test_hausers_configuration_for_redshift_leads_into_snowflake_with_three_keys_changed(runs, target, tmp_path):
    shell, s3, at = Shell(tmp_path, runs.sim), target.s3, target.server
    shell.environ = {k: v for k, v in shell.environ.items() if not k.startswith(("FULLSTORY", "SOURCES"))}
    told = {"token": runs.sim.token, "url": runs.sim.url, "start": MIDNIGHT, "schema": target.dataset}
    told |= {"bucket": f"{s3.bucket}/{target.dataset}", "key": s3.access_key, "secret": s3.secret_key}
    (tmp_path / "hauser.toml").write_text(HAUSERS.format(**told))
    shell("init", "--from", "hauser.toml")

    config, secrets = tmp_path / ".dlt" / "config.toml", tmp_path / ".dlt" / "secrets.toml"
    where = f"host=127.0.0.1&port={at.port}&protocol=http&warehouse={at.warehouse}"
    settings = tomlkit.parse(config.read_text())
    settings["hauser"] |= {"destination": "snowflake", "staging": "filesystem"}
    config.write_text(tomlkit.dumps(settings))
    hidden = tomlkit.parse(secrets.read_text())
    address = f"snowflake://{at.user}:{at.password}@emulated/{at.database}?{where}"
    hidden["destination"]["snowflake"] = {"credentials": address}
    secrets.write_text(tomlkit.dumps(hidden))

    assert "staging" in shell("check", **target.environ())
    shell("run", "--start", f"{MIDNIGHT}", "--end", f"{MIDNIGHT + DAY}", **target.environ())

    keep = keeper([*KNOWN, *CUSTOM_TOKENS])
    assert bare(target.rows()) == bare(as_rows(map(keep, runs.sim.rows(MIDNIGHT, MIDNIGHT + DAY))))
    assert target.staged() == []
