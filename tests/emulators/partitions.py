"""What BigQuery documents and the emulator lacks, added on the way to it, and jobs that fail on demand.

* Tables made through the API that are partitioned by ingestion time have a _PARTITIONTIME.
* Loads into `table$YYYYMMDD`: into a table of their own first, and from there into the partition.
* OPTIONS(partition_expiration_days = ...) of CREATE TABLE and ALTER TABLE is kept.
* How a table is partitioned cannot be changed.
* Statements and loads that arrive at the same moment take turns: the emulator would refuse all but one of them.
* A fault `fail`, of requests that begin a job: it is done at once and has failed, with `reason` and `message`.
"""

import json
import re
import threading
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from emulators.faulty import Answer, Fault, Faulty, Request

_API = re.compile(r"(?P<upload>/upload)?/bigquery/v2/projects/(?P<project>[^/]+)/(?P<what>[^?]+)")
_TABLE = re.compile(r"datasets/(?P<dataset>[^/]+)/tables(?:/(?P<table>[^/]+))?")
_DECORATED = re.compile(r"(?P<table>.+)\$(?P<day>\d{8})")
_EXPIRES = re.compile(
    r"\b(CREATE|ALTER)(?:\s+OR\s+REPLACE)?\s+TABLE\s+(IF\s+NOT\s+EXISTS\s+|IF\s+EXISTS\s+)?([\w.`-]+)"
    r"[^;]*?\bpartition_expiration_days\s*=\s*([\d.]+|NULL)",
    re.IGNORECASE,
)
_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
_DAY = 86_400_000  # milliseconds

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Partition:
    """A day of a table, for which another table stands in while a load is under way."""

    table: Document
    day: str
    truncate: bool

    @property
    def reference(self) -> Document:
        return dict(self.table["tableReference"])

    @property
    def decorated(self) -> str:
        return f"{self.reference['tableId']}${self.day}"

    @property
    def field(self) -> str | None:
        """The column that rows are partitioned by; None where it is the time of their coming."""
        return self.table["timePartitioning"].get("field")

    @property
    def moment(self) -> str:
        return f"TIMESTAMP '{self.day[:4]}-{self.day[4:6]}-{self.day[6:]}'"

    @property
    def condition(self) -> str:
        """What its rows have in common."""
        return f"TIMESTAMP_TRUNC(`{self.field or '_PARTITIONTIME'}`, DAY) = {self.moment}"


class Refused(Exception):  # noqa: N818 - as BigQuery says it
    """What BigQuery would not do."""

    def __init__(self, reason: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.fault = Fault("", "error", status=status, reason=reason, message=message)


class Partitions(Faulty):
    """See the module."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._numbers = count(1)
        self._uploads: dict[str, tuple[Document, Fault | None]] = {}
        self._stages: dict[str, _Partition] = {}  # by the names of the tables that stand in for them
        self._failed: dict[str, Document] = {}  # job id -> its resource
        self._altering = threading.Lock()
        self._turns = threading.Lock()

    def answer(self, request: Request, fault: Fault | None) -> Answer | None:
        """See `Faulty`."""
        if fault and fault.what == "fail":
            return self._begin_failing(request, fault)
        return super().answer(request, fault)

    def serve(self, request: Request) -> Answer:
        """See `Faulty`."""
        try:
            answer = self._serve(request)
        except Refused as exc:
            return self.shape(exc.fault)
        for name, partition in self._stages.items():  # people hear of the table that they named
            answer = replace(answer, body=answer.body.replace(name.encode(), partition.decorated.encode()))
        return answer

    def _serve(self, request: Request) -> Answer:
        if not (api := _API.match(request.path)):
            return self.forward(request)
        if table := _TABLE.fullmatch(api["what"]):
            return self._serve_table(request, table)
        if api["what"].startswith("jobs/") or api["what"].startswith("queries/"):
            failed = self._failed.get(api["what"].split("/")[1])
            return _as_json(failed) if failed else self.forward(request)
        if api["upload"] and request.method == "PUT":
            with self._turns:
                return self._finish_upload(request)
        if request.method == "POST" and api["what"] in ("jobs", "queries"):
            with self._turns:
                return self._begin(request)
        return self.forward(request)

    def _begin(self, request: Request, fault: Fault | None = None) -> Answer:
        """Begin a job: a query, a load, or an upload for a load."""
        job = _job_in(request)
        if self._failed.get(job.get("jobReference", {}).get("jobId", "")):
            raise Refused("duplicate", f"Already Exists: Job {job['jobReference']['jobId']}", 409)
        if sql := job.get("query") or job.get("configuration", {}).get("query", {}).get("query"):
            return self._query(request, job, sql)
        staged = _with_job(request, self._staged(job))
        answer = self.forward(staged)
        if "uploadType=resumable" in request.path:
            self._uploads[dict(answer.headers)["X-GUploader-UploadID".lower()]] = job, fault
            return answer
        return self._classified(answer)

    def _finish_upload(self, request: Request) -> Answer:
        job, fault = self._uploads[parse_qs(urlsplit(request.path).query)["upload_id"][0]]
        if fault:
            return self._fail(job, fault)
        answer = self.forward(request)
        return self._classified(answer) if answer.status == 200 else answer

    # Jobs that fail

    def _begin_failing(self, request: Request, fault: Fault) -> Answer:
        if "uploadType=resumable" in request.path:
            return self._begin(request, fault)
        return self._fail(_job_in(request), fault)

    def _fail(self, job: Document, fault: Fault) -> Answer:
        error = {"reason": fault.reason, "message": fault.message}
        job = {
            "kind": "bigquery#job",
            "statistics": {},
            **job,
            "status": {"state": "DONE", "errorResult": error, "errors": [error]},
        }
        self._failed[job["jobReference"]["jobId"]] = job
        return _as_json(job)

    # Loads into a partition

    def _staged(self, job: Document) -> Document:
        load = job.get("configuration", {}).get("load", {})
        meant = load.get("destinationTable", {})
        if not (decorated := _DECORATED.fullmatch(meant.get("tableId", ""))):
            return job
        table = self._table(meant | {"tableId": decorated["table"]})
        if table is None and load.get("createDisposition") == "CREATE_NEVER":
            raise Refused("notFound", f"Not found: Table {meant['datasetId']}.{decorated['table']}", 404)
        assert table, "the emulator loads into partitions of tables that are there"
        if "timePartitioning" not in table:
            raise Refused("invalid", f"Table {decorated['table']} is not partitioned")
        name = f"staged_{next(self._numbers)}_of_a_partition"
        self._stages[name] = _Partition(table, decorated["day"], load.get("writeDisposition") == "WRITE_TRUNCATE")
        stage = {"tableReference": meant | {"tableId": name}, "schema": table["schema"]}
        self._ask("POST", _path(meant, None), stage)
        options = {key: value for key, value in load.items() if key != "timePartitioning"}
        options |= {"destinationTable": stage["tableReference"], "writeDisposition": "WRITE_APPEND"}
        return job | {"configuration": job["configuration"] | {"load": options}}

    def _classified(self, answer: Answer) -> Answer:
        """Put what was loaded into a stage into its partition, once it is there."""
        job = json.loads(answer.body)
        load = job.get("configuration", {}).get("load", {})
        stage = load.get("destinationTable", {})
        if stage.get("tableId") not in self._stages:
            return answer
        answer, job = self._waited(job)
        try:
            if "errorResult" not in job["status"]:
                self._move(stage, self._stages[stage["tableId"]])
        except Refused as exc:
            return self._fail(job, exc.fault)
        finally:
            self._ask("DELETE", _path(stage, stage["tableId"]))
        return answer

    def _move(self, stage: Document, into: "_Partition") -> None:
        with self._altering:
            loaded = self._table(stage)
            table = self._table(into.reference)
            assert loaded
            assert table
            fields = loaded["schema"]["fields"]
            there = {column["name"].lower() for column in table["schema"]["fields"]}
            if {column["name"].lower() for column in fields} - there:
                self._ask("PATCH", _path(into.reference, into.reference["tableId"]), {"schema": loaded["schema"]})
        source, target, project = _quoted(stage), _quoted(into.reference), stage["projectId"]
        foreign = f"SELECT COUNT(*) FROM {source} WHERE NOT ({into.condition}) OR ({into.condition}) IS NULL"
        if into.field and int(self._ask_sql(project, foreign)["rows"][0]["f"][0]["v"]):
            message = f"Some rows belong to different partitions rather than destination partition {into.day}"
            raise Refused("invalid", message)
        if into.truncate:
            self._ask_sql(project, f"DELETE FROM {target} WHERE {into.condition}")
        names = ", ".join(f"`{column['name']}`" for column in fields)
        columns, values = (names, names) if into.field else (f"{names}, _PARTITIONTIME", f"{names}, {into.moment}")
        self._ask_sql(project, f"INSERT INTO {target} ({columns}) SELECT {values} FROM {source}")

    # Tables

    def _serve_table(self, request: Request, path: re.Match[str]) -> Answer:
        body = json.loads(request.body or b"{}")
        partitioning = body.get("timePartitioning")
        if request.method == "POST" and partitioning and not partitioning.get("field"):
            return self._create_by_ingestion(request, body)
        if request.method in ("PATCH", "PUT") and partitioning:
            self._refuse_repartitioning(request, partitioning)
        return self.forward(request)

    def _create_by_ingestion(self, request: Request, body: Document) -> Answer:
        reference = body["tableReference"]
        if self._table(reference):
            return self.forward(request)  # which says that it is there
        columns = ", ".join(_column(field) for field in body["schema"]["fields"])
        sql = f"CREATE TABLE {_quoted(reference)} ({columns}) PARTITION BY _PARTITIONDATE"
        self._ask_sql(reference["projectId"], sql)
        return self._send("PATCH", _path(reference, reference["tableId"]), body)

    def _refuse_repartitioning(self, request: Request, wanted: Document) -> None:
        now = json.loads(self._send("GET", urlsplit(request.path).path).body).get("timePartitioning")
        if now is None:
            raise Refused("invalid", "Cannot convert non partitioned/clustered table to partitioned/clustered table.")
        if [now.get(key) for key in ("field", "type")] != [wanted.get("field"), wanted.get("type", now.get("type"))]:
            raise Refused("invalid", "Cannot change partitioning spec for a partitioned table.")

    # Queries

    def _query(self, request: Request, job: Document, sql: str) -> Answer:
        expiring = []
        for verb, condition, name, days in _EXPIRES.findall(sql):
            reference = _reference(name, request, job)
            if not (verb.upper() == "CREATE" and condition and self._table(reference)):
                expiring.append((reference, days))
        answer = self.forward(request)
        if expiring and answer.status == 200:
            done = json.loads(answer.body)
            if "status" in done:
                answer, done = self._waited(done)
            for reference, days in expiring if "errorResult" not in done.get("status", {}) else ():
                lasting = None if days.upper() == "NULL" else str(int(float(days) * _DAY))
                now = (self._table(reference) or {}).get("timePartitioning", {})
                change = {"timePartitioning": {**now, "expirationMs": lasting}}
                self._ask("PATCH", _path(reference, reference["tableId"]), change)
        return answer

    # Asking the server

    def _waited(self, job: Document) -> tuple[Answer, Document]:
        reference = job["jobReference"]
        self._send(
            "GET", f"/bigquery/v2/projects/{reference['projectId']}/queries/{reference['jobId']}?timeoutMs=60000"
        )
        answer = self._send("GET", f"/bigquery/v2/projects/{reference['projectId']}/jobs/{reference['jobId']}")
        done = json.loads(answer.body)
        assert done["status"]["state"] == "DONE"
        return answer, done

    def _table(self, reference: Document) -> Document | None:
        answer = self._send("GET", _path(reference, reference["tableId"]))
        return None if answer.status == 404 else dict(json.loads(answer.body))

    def _ask_sql(self, project: str, sql: str) -> Document:
        return self._ask("POST", f"/bigquery/v2/projects/{project}/queries", {"query": sql, "useLegacySql": False})

    def _ask(self, method: str, path: str, body: Document | None = None) -> Document:
        answer = self._send(method, path, body)
        if answer.status >= 400:
            error = json.loads(answer.body)["error"]
            raise Refused(error["errors"][0]["reason"], error["message"], answer.status)
        return dict(json.loads(answer.body or b"{}"))

    def _send(self, method: str, path: str, body: Document | None = None) -> Answer:
        headers = (("Host", "127.0.0.1"), ("Content-Type", "application/json"))
        return self.forward(Request(method, path, b"" if body is None else json.dumps(body).encode(), headers))


def _as_json(document: Document) -> Answer:
    return Answer(200, json.dumps(document).encode(), (("Content-Type", "application/json"),))


def _path(reference: Document, table: str | None) -> str:
    folder = f"/bigquery/v2/projects/{reference['projectId']}/datasets/{reference['datasetId']}/tables"
    return f"{folder}/{table}" if table else folder


def _reference(name: str, request: Request, job: Document) -> Document:
    """Return which table a name in SQL stands for."""
    api = _API.match(request.path)
    assert api
    default = (job.get("configuration", {}).get("query") or job).get("defaultDataset", {})
    *sections, table = name.replace("`", "").split(".")
    dataset = sections[-1] if sections else default.get("datasetId")
    project = sections[0] if len(sections) > 1 else default.get("projectId") or api["project"]
    return {"projectId": project, "datasetId": dataset, "tableId": table}


def _column(field: Document) -> str:
    kind = _TYPES.get(field["type"], field["type"])
    return f"`{field['name']}` {kind}" + (" NOT NULL" if field.get("mode") == "REQUIRED" else "")


def _quoted(reference: Document) -> str:
    return "`{projectId}.{datasetId}.{tableId}`".format_map(reference)


def _job_in(request: Request) -> Document:
    """Return the job that a request begins; of an upload in one piece, it is the first part."""
    return dict(json.loads(request.body[slice(*_bounds(request))] or b"{}"))


def _with_job(request: Request, job: Document) -> Request:
    begin, end = _bounds(request)
    return replace(request, body=request.body[:begin] + json.dumps(job).encode() + request.body[end:])


def _bounds(request: Request) -> tuple[int, int]:
    if "uploadType=multipart" not in request.path:
        return 0, len(request.body)
    begin = request.body.index(b"\r\n\r\n") + 4
    return begin, request.body.index(b"\r\n--", begin)
