"""The command as its users meet it: a process of its own, in a folder of its own."""

import os
from datetime import UTC, datetime, timedelta

import duckdb

from support.commands import Command

# Two days and some hours before now, so that there are whole days and a part of one.
START = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%d")


END = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")  # the whole days alone, at whatever time this runs


class Shell:
    """Runs hauser-dlt in one folder, against one simulator."""

    def __init__(self, folder, sim):
        self.folder = folder
        self.sim = sim
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG") or k.endswith("_CERT_FILE")}
        self.environ = {
            **kept,
            "FULLSTORY_API_TOKEN": sim.token,
            "SOURCES__FULLSTORY__BASE_URL": sim.url,
            "SOURCES__FULLSTORY__START_TIME": START,
            "SOURCES__FULLSTORY__BACKOFF": "10ms",
            "HAUSER__WORKING_DIR": str(folder / "work"),
        }

    def start(self, *arguments, **environ):
        return Command(arguments, {**self.environ, **environ}, self.folder)

    def __call__(self, *arguments, code=0, **environ):
        process = self.start(*arguments, **environ)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        self.err = err
        return out

    def rows(self, sql):
        with duckdb.connect(str(self.folder / "hauser_dlt.duckdb"), read_only=True) as connection:
            return connection.sql(sql).fetchall()
