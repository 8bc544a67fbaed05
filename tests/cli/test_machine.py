"""Places that cannot be written, or that others write to; and commands that change nothing in any place."""

import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg2
import pytest
from click.testing import CliRunner
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from hauser_dlt.cli import main
from hauser_dlt.config.configuration import configure
from hauser_dlt.config.lookup import find
from hauser_dlt.errors import ConfigError, TransientError
from hauser_dlt.machine import refuse_misspelled, refuse_unwritable, root_folder, unusable
from support.runs import flat

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
STRETCH = ("--start", f"{DAY:%Y-%m-%d}", "--end", f"{DAY:%Y-%m-%d}T12:00")
READING = (("status",), ("run", "--dry-run"), ("reload", "--dry-run", *STRETCH), ("check",))
AS_ROOT = os.name == "posix" and os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")


# --- what only reads


def tree(*roots):
    """Return what lies below some folders: kind, mode, time of the last change, and content."""
    found = {}
    for root in roots:
        for path in root.rglob("*"):
            told = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (stat.filemode(told.st_mode), told.st_mtime_ns, content)
    return found


@pytest.fixture
def command(runs, tmp_path, monkeypatch):
    """Run a command in this process, in a folder, home and temporary folder that `roots` lists."""
    roots = [tmp_path / name for name in ("here", "home", "dlt", "tmp", "destination")]
    for root in roots:
        root.mkdir(exist_ok=True)
    for name, root in zip(("HOME", "DLT_DATA_DIR", "TMPDIR"), roots[1:4], strict=True):
        monkeypatch.setenv(name, str(root))
    monkeypatch.setattr("tempfile.tempdir", None)
    runs.working_dir = ""
    for name, value in flat(runs.nested({"start_time": DAY.isoformat()})):
        monkeypatch.setenv(name, value)

    def invoke(*arguments, code=0):
        ended = CliRunner().invoke(main, arguments)
        assert ended.exit_code == code, ended.output + repr(ended.exception)
        return ended.output

    invoke.roots = roots
    return invoke


@pytest.mark.parametrize("target", ["duckdb", "parquet"], indirect=True)
def test_commands_that_only_read_change_nothing_on_this_machine(command):
    for _ in range(2):
        before = tree(*command.roots)
        for arguments in READING:
            command(*arguments)
        assert tree(*command.roots) == before
        command("run", *STRETCH)


@pytest.mark.parametrize("target", ["duckdb"], indirect=True)
def test_a_database_whose_name_is_mistyped_is_not_made(command, monkeypatch, tmp_path):
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "here" / "evnets.duckdb"))
    for arguments in READING:
        command(*arguments)
    assert not list((tmp_path / "here").iterdir())
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "here" / "dta" / "events.duckdb"))
    for arguments in (*READING, ("run",)):
        assert "events.duckdb is not there: make it, or set credentials" in command(*arguments, code=2)
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize("target", ["duckdb"], indirect=True)
def test_a_database_that_another_process_reads_can_be_read(command, runs):
    command("run", *STRETCH)
    [file] = command.roots[4].glob("*.duckdb")
    code = f"import duckdb, sys; c = duckdb.connect({str(file)!r}, read_only=True); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert "2 windows" in command("status")
        other.stdin.close()


@pytest.mark.parametrize("target", ["postgres"], indirect=True)
def test_who_may_only_select_can_ask_for_the_status_and_nothing_is_made(command, runs, monkeypatch):
    dataset, dsn = runs.target.dataset, runs.target.dsn

    def tables():
        with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
            cursor.execute("select schemaname, relname, n_tup_ins from pg_stat_user_tables order by 1, 2")
            return cursor.fetchall()

    before = tables()
    for arguments in READING:
        command(*arguments)
    assert tables() == before
    command("run", *STRETCH)
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(f"create role reader login password 'x'; grant usage on schema {dataset} to reader")
        cursor.execute(f"grant select on all tables in schema {dataset} to reader")
        connection.commit()
    try:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS__USERNAME", "reader")
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", reader(dsn))
        assert "2 windows" in command("status")
        command("run", "--dry-run")
    finally:
        with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
            cursor.execute("drop owned by reader; drop role reader")
            connection.commit()


def reader(dsn):
    """Return a connection string for the role `reader`."""
    beginning, _, rest = dsn.partition("@")
    return f"{beginning.partition('://')[0]}://reader:x@{rest}"


# --- the working folder


def test_the_working_folder_is_this_users_alone(tmp_path):
    (tmp_path / "older" / "pipeline").mkdir(mode=0o775, parents=True)
    for place in ("new/er", "older"):
        with root_folder(str(tmp_path / place), "pipeline", reading=False) as root:
            assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_file_in_the_way_is_named_with_what_to_set(tmp_path):
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        with (
            pytest.raises(ConfigError, match=r"/file cannot be used \(.*set working_dir under \[hauser\]"),
            root_folder(str(tmp_path / place), "pipeline", reading=False),
        ):
            pass


def test_a_full_disk_passes_and_what_is_forbidden_does_not():
    assert isinstance(unusable("x", OSError(errno.ENOSPC, "No space left on device"), ""), TransientError)
    assert isinstance(unusable("x", OSError(errno.EDQUOT, "Disk quota exceeded"), ""), TransientError)
    assert str(unusable("x", OSError(errno.EROFS, "Read-only"), "do")) == "x cannot be used (Read-only): do"


@needs_root
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_folder_that_another_user_has_put_in_the_way_is_refused(tmp_path, kind):
    shared, mine = tmp_path / "shared", tmp_path / "mine"
    shared.mkdir()
    shared.chmod(0o1777)
    mine.mkdir()
    if kind == "link":
        (shared / "work").symlink_to(mine)
    else:
        (shared / "work").mkdir()
    with root_folder(str(shared / "work"), "pipeline", reading=False):
        pass
    os.chown(shared / "work", 65534, 65534, follow_symlinks=False)
    with (
        pytest.raises(ConfigError, match=r"is another user.s, in a folder that all can write to"),
        root_folder(str(shared / "work"), "pipeline", reading=False),
    ):
        pass


@pytest.mark.parametrize("home", ["/nonexistent", "/proc"])
def test_without_a_home_nothing_is_read_from_or_put_into_a_folder_that_users_share(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", home)
    monkeypatch.delenv("DLT_DATA_DIR")
    monkeypatch.setattr("os.geteuid", lambda: 4711)  # dlt has a folder of its own for root
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    planted = tmp_path / "dlt"
    planted.mkdir()
    (planted / "config.toml").write_text('[sources.fullstory]\nbase_url = "https://evil.example"\n')
    try:
        configure({})
        assert find("base_url", "sources", "fullstory") is None
        with (
            pytest.raises(ConfigError, match=r"there is no home folder that can be written to .*: set working_dir"),
            root_folder("", "pipeline", reading=False),
        ):
            pass
        with root_folder("", "pipeline", reading=True) as root:
            assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert not root.exists()
    finally:
        monkeypatch.undo()
        Container()[PluggableRunContext].reload()
    assert [path.name for path in planted.iterdir()] == ["config.toml"]


def test_a_path_that_duckdb_would_spell_otherwise_is_refused():
    refuse_misspelled(Path("/w\u00f6rk"))
    with pytest.raises(ConfigError, match=r"/w\\udcff is not UTF-8"):
        refuse_misspelled(Path(os.fsdecode(b"/w\xff")))


def test_a_folder_for_files_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    refuse_unwritable(tmp_path / "new" / "folder", "")
    for place in ("file", "file/below"):
        with pytest.raises(ConfigError, match="file is not a folder: do"):
            refuse_unwritable(tmp_path / place, "do")


# --- as a user whom file modes bind


@pytest.fixture
def bound(tmp_path):
    """Run a command in a folder that cannot be written to; root is bound, too, without its power to pass over modes."""
    if AS_ROOT and not shutil.which("setpriv"):
        pytest.skip("as root, setpriv is needed")
    drop = ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override", "--"] if AS_ROOT else []
    folder = tmp_path / "read-only"
    folder.mkdir()
    with duckdb.connect(str(folder / "events.duckdb")):
        pass
    (folder / "events.duckdb").chmod(0o444)
    folder.chmod(0o555)
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "FULLSTORY_API_TOKEN": "key",
        "DESTINATION__DUCKDB__CREDENTIALS": "events.duckdb",
        "HAUSER__WORKING_DIR": str(tmp_path / "work"),
    }

    def invoke(*arguments, code=2, **more):
        told = subprocess.run(
            [*drop, sys.executable, "-m", "hauser_dlt", *arguments],
            cwd=folder, env={**environ, **more}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == code, told.stderr
        assert code == 0 or told.stderr.count("\n") == 1, told.stderr
        return told.stdout + told.stderr

    yield invoke
    folder.chmod(0o755)


def test_each_command_says_in_one_line_what_cannot_be_written(bound):
    for arguments, environ, told in (
        (("init",), {}, ".dlt cannot be used (Permission denied): start the command in a folder"),
        (("demo",), {}, "demo cannot be used (Permission denied): choose another --folder"),
        (("run",), {}, "events.duckdb cannot be written to: set credentials under [destination.duckdb]"),
        (("run",), {"HAUSER__WORKING_DIR": "work"}, "work cannot be used (Permission denied): set working_dir"),
        (("status", "--html", "x"), {}, "--html x cannot be used (Permission denied): name a file"),
        (("dbt", "x"), {}, "x cannot be used (Permission denied): choose another folder"),
    ):
        assert told in bound(*arguments, **environ)
    files = {"HAUSER__DESTINATION": "filesystem", "DESTINATION__FILESYSTEM__BUCKET_URL": "x/y"}
    assert "read-only cannot be written to: choose another bucket_url" in bound("run", **files)
    assert "nothing is loaded yet" in bound("status", code=0)


def test_a_page_goes_where_a_link_leads_and_replaces_no_device(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to("real.html")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("HAUSER__WORKING_DIR", str(tmp_path / "work"))
    reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE)
    for name in ("link.html", "pipe"):
        assert CliRunner().invoke(main, ["status", "--html", name]).exit_code == 0
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text().startswith("<!DOCTYPE")
    assert reader.communicate()[0].startswith(b"<!DOCTYPE")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
