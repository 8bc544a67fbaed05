"""Ask a table by Spark's SQL on a cluster of Sail; run by the Python of .venv-sail.

Stdin: {"format": of the table, "place": its folder, "queries": {name: SQL}}. Stdout: {name: rows, or what is
said instead}, as JSON. Numbers are floats, times are their text.
"""

import json
import os
import sys
from decimal import Decimal

os.environ["SAIL_MODE"] = "local-cluster"  # a driver and its workers, which exchange over the network

from pysail.spark import SparkConnectServer
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession


def plain(value):
    if isinstance(value, int | float | Decimal):
        return float(f"{value:.9g}")
    return value if value is None else str(value)


asked = json.load(sys.stdin)
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
spark.conf.set("spark.sql.session.timeZone", "UTC")
spark.read.format(asked["format"]).load(asked["place"]).createOrReplaceTempView("fs_export")
answers = {}
for name, sql in asked["queries"].items():
    try:
        answers[name] = [list(map(plain, row)) for row in spark.sql(sql).collect()]
    except PySparkException as exc:
        answers[name] = str(exc)
json.dump(answers, sys.stdout)
