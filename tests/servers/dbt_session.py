"""Run by the Python of .venv-dbt: reads a command of dbt a line, runs it, answers with a line. Starts dbt just once."""

import json
import os
import sys

from dbt.cli.main import dbtRunner

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what dbt tells is for those who look on

for line in sys.stdin:
    asked = json.loads(line)
    os.environ.update(asked["environ"])
    done = dbtRunner().invoke(asked["arguments"])
    results = getattr(done.result, "results", None) or []
    told = [
        {
            "name": result.node.name,
            "status": str(result.status),
            "message": str(result.message),
            "rows": (getattr(result, "adapter_response", None) or {}).get("rows_affected"),
        }
        for result in results
    ]
    json.dump({"good": done.success, "error": str(done.exception or ""), "results": told}, answers)
    answers.write("\n")
    answers.flush()
