"""Run by the Python of .venv-dbt: reads a command of dbt a line, runs it, answers with a line.

dbt, which takes seconds to import, is imported once.
"""

import json
import os
import sys

import dbt.adapters.duckdb
import dbt.adapters.postgres  # noqa: F401 - else each process imports it
from dbt.cli.main import dbtRunner


def answer(asked):
    os.environ.update(asked["environ"])
    os.chdir(asked["folder"])
    done = dbtRunner().invoke(asked["arguments"])
    results = getattr(done.result, "results", None) or []
    told = {
        result.node.name: {
            "status": str(result.status),
            "rows": (getattr(result, "adapter_response", None) or {}).get("rows_affected"),
        }
        for result in results
    }
    return {"good": done.success, "error": str(done.exception or ""), "results": told}


answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what dbt tells is for those who look on

for line in sys.stdin:
    # a process for each command: dbt keeps files of DuckDB open, and what it knows of a project
    told, tell = os.pipe()
    if child := os.fork():
        os.close(tell)
        with os.fdopen(told) as found:
            text = found.read()
        os.waitpid(child, 0)
        answers.write(text + "\n")
        answers.flush()
    else:
        with os.fdopen(tell, "w") as found:
            json.dump(answer(json.loads(line)), found)
        sys.stderr.flush()
        os._exit(0)
