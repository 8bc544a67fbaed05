"""The servers that the tests talk to behave as the real ones are documented to, and fail on demand."""

import io
from datetime import UTC, datetime, timedelta
from itertools import count
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.parquet
import pytest
import s3fs
from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError
from google.cloud.bigquery import (
    LoadJobConfig,
    QueryJobConfig,
    ScalarQueryParameter,
    SchemaField,
    Table,
    TimePartitioning,
)

from emulators.faulty import Fault

PATIENCE = 60  # seconds
UPLOAD = "^(PUT|POST) "
ADDING = ["ALLOW_FIELD_ADDITION"]
_numbers = count(1)


@pytest.fixture(params=["s3", "gcs"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def place(store):
    """A folder of a bucket that is this test's own."""
    return f"{store.bucket}/servers{next(_numbers)}"


def test_a_bucket_gives_back_what_was_put_into_it(store, place):
    fs = store.fs()
    whole = bytes(range(256)) * 40_000  # more than goes up in one part
    for name, data in (("empty", b""), ("a/ö =?%&+.txt", b"\x00\xff\n"), ("whole", whole)):
        fs.pipe_file(f"{place}/{name}", data)
        assert store.fs().cat_file(f"{place}/{name}") == data

    assert fs.find(place) == sorted(f"{place}/{name}" for name in ("empty", "a/ö =?%&+.txt", "whole"))
    fs.rm_file(f"{place}/empty")
    assert not fs.exists(f"{place}/empty")


def test_a_bucket_that_is_not_there_is_missed_until_it_is_made(store):
    name = f"bucket{next(_numbers)}"
    with pytest.raises(FileNotFoundError):
        store.fs().pipe_file(f"{name}/a", b"")

    store.make_bucket(name)

    store.fs().pipe_file(f"{name}/a", b"")


def test_requests_are_noted_in_their_order(store, place):
    store.fs().pipe_file(f"{place}/a", b"there it is")
    store.fs().cat_file(f"{place}/a")

    uploaded, *_, downloaded = store.requests
    assert uploaded.method in ("PUT", "POST")
    assert b"there it is" in uploaded.body
    assert downloaded.method == "GET"


def test_a_connection_that_drops_is_made_again(store, place):
    store.faults.append(fault := Fault(UPLOAD, "drop", when="during"))
    store.fs().pipe_file(f"{place}/a", b"0123456789")

    assert fault.hits == 1
    assert store.fs().cat_file(f"{place}/a") == b"0123456789"


def test_a_fault_spares_the_first_and_ends(store, place):
    store.faults.append(Fault(UPLOAD, "error", status=403, reason="forbidden", message="no", skip=1, times=2))

    assert [put(store, f"{place}/{n}") for n in range(4)] == [200, 403, 403, 200]
    assert [path[-1] for path in store.fs().find(place)] == ["0", "3"]


@pytest.mark.parametrize(("when", "there"), [("before", False), ("during", False), ("after", True)])
def test_a_dropped_upload_has_happened_or_not(store, place, when, there):
    store.faults.append(Fault(UPLOAD, "drop", when=when))

    assert put(store, f"{place}/a") is None
    assert bool(store.fs().find(place)) is there


def test_a_server_that_says_nothing_is_left_by_its_client(store, place):
    store.faults.append(Fault(UPLOAD, "stall"))

    assert put(store, f"{place}/a", timeout=0.1) is None
    assert store.fs().find(place) == []


def put(store, path, timeout=PATIENCE):
    """Upload something, without a second try; return the status, or None if there was no answer."""
    url, method = store.upload_url(path)
    try:
        with urlopen(Request(url, data=b"0123456789", method=method), timeout=timeout) as answer:
            return answer.status
    except HTTPError as exc:
        return exc.code
    except OSError:
        return None


@pytest.mark.parametrize(
    ("key", "secret", "status"),
    [("AKIALOADER", "wrong", "signature"), ("AKIASTRANGER", "wrong", "does not exist"), ("", "", "Access Denied")],
)
def test_s3_refuses_wrong_keys(s3, key, secret, status):
    fs = s3fs.S3FileSystem(anon=not key, key=key, secret=secret, endpoint_url=s3.endpoint, skip_instance_cache=True)
    with pytest.raises(PermissionError, match=status):
        fs.ls(s3.bucket)


def test_s3_lets_some_only_read(s3):
    s3.fs().pipe_file("events/readable", b"x")
    keys = s3.read_only()
    fs = s3fs.S3FileSystem(
        key=keys["aws_access_key_id"],
        secret=keys["aws_secret_access_key"],
        endpoint_url=s3.endpoint,
        skip_instance_cache=True,
    )
    assert fs.cat_file("events/readable") == b"x"
    for refused in (lambda: fs.pipe_file("events/more", b"x"), lambda: fs.rm_file("events/readable")):
        with pytest.raises(PermissionError):
            refused()


def test_s3_finds_its_users_by_their_environment_alone(s3, monkeypatch):
    for name, value in s3.environ().items():
        monkeypatch.setenv(name, value)

    fs = s3fs.S3FileSystem(skip_instance_cache=True)

    assert s3.bucket in fs.ls("")


DAY = datetime(2024, 5, 1, tzinfo=UTC)
COLUMNS = "`EventStart` TIMESTAMP, `PageUrl` STRING, `IndvId` INT64"


class Warehouse:
    """A dataset of BigQuery that is one test's own, seen through Google's client."""

    def __init__(self, client, dataset, gcs):
        self.client = client
        self.dataset = client.create_dataset(dataset).dataset_id
        self.bucket = gcs

    def query(self, sql):
        return [tuple(row) for row in self.client.query_and_wait(sql.replace("d.", f"{self.dataset}."))]

    def load(self, table, *rows, way="upload", **options):
        packed = io.BytesIO()
        pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows)), packed)
        config = LoadJobConfig(source_format="PARQUET", create_disposition="CREATE_NEVER", **options)
        begin, arguments = self.client.load_table_from_file, {"job_config": config}
        source = io.BytesIO(packed.getvalue())
        if way == "gs":
            begin, source = self.client.load_table_from_uri, f"gs://{self.bucket.bucket}/{self.dataset}/a b.parquet"
            self.bucket.fs().pipe_file(source, packed.getvalue())
        elif way == "at once":
            arguments["size"] = len(packed.getvalue())
        return begin(source, f"{self.dataset}.{table}", **arguments).result(retry=None)

    def partitioning(self, table):
        found = self.client.get_table(f"{self.dataset}.{table}").time_partitioning
        return found and (found.type_, found.field, found.expiration_ms)

    def by_ingestion(self, table):
        made = Table(f"{self.client.project}.{self.dataset}.{table}", [SchemaField("IndvId", "INTEGER")])
        made.time_partitioning = TimePartitioning(expiration_ms=1000)
        return self.client.create_table(made)


@pytest.fixture
def warehouse(bigquery, gcs):
    with bigquery.client() as client:
        yield Warehouse(client, f"servers{next(_numbers)}", gcs)


def test_bigquery_loads_by_column_name_whatever_its_case_and_alters_nothing(warehouse):
    warehouse.query(f"CREATE TABLE d.t ({COLUMNS}, mine STRING)")
    moment = DAY + timedelta(microseconds=1)
    for way in ("upload", "at once", "gs"):
        warehouse.load("t", {"indvid": 2**60 + 1, "PAGEURL": "", "EventStart": moment}, {"PageUrl": None}, way=way)

    rows = warehouse.query("SELECT * FROM d.t")
    assert len(rows) == 6
    assert set(rows) == {(moment, "", 2**60 + 1, None), (None, None, None, None)}


def test_bigquery_removes_by_parameters_and_says_how_many(warehouse):
    warehouse.query(f"CREATE TABLE d.t ({COLUMNS})")
    warehouse.query("INSERT INTO d.t (IndvId, EventStart) VALUES (1, TIMESTAMP '2024-05-01'), (2, NULL)")
    config = QueryJobConfig(query_parameters=[ScalarQueryParameter(None, "TIMESTAMP", DAY)])
    job = warehouse.client.query(f"DELETE FROM {warehouse.dataset}.t WHERE EventStart = ?", config)

    assert job.result().num_dml_affected_rows == 1
    assert warehouse.query("SELECT IndvId FROM d.t") == [(2,)]


def test_bigquery_keeps_how_a_table_is_partitioned(warehouse):
    declared = {
        f"CREATE TABLE d.a ({COLUMNS}) CLUSTER BY PageUrl": None,
        f"CREATE TABLE d.b ({COLUMNS}) PARTITION BY DATE(EventStart)": ("DAY", "EventStart", None),
        "ALTER TABLE d.b SET OPTIONS (description='x', partition_expiration_days=1)": ("DAY", "EventStart", 86_400_000),
        "ALTER TABLE d.b SET OPTIONS (partition_expiration_days=NULL)": ("DAY", "EventStart", None),
        f"CREATE TABLE d.c ({COLUMNS}) PARTITION BY _PARTITIONDATE OPTIONS (partition_expiration_days=1.5)": (
            ("DAY", None, 129_600_000)
        ),
    }
    for sql, partitioning in declared.items():
        warehouse.query(sql)
        assert warehouse.partitioning(sql.partition("d.")[2][0]) == partitioning


def test_bigquery_lets_the_expiration_be_changed_but_not_the_partitioning(warehouse):
    warehouse.query(f"CREATE TABLE d.t ({COLUMNS}) PARTITION BY DATE(EventStart)")
    table = warehouse.client.get_table(f"{warehouse.dataset}.t")
    table.time_partitioning = TimePartitioning(field="EventStart", expiration_ms=5000)
    warehouse.client.update_table(table, ["time_partitioning"])
    assert warehouse.partitioning("t") == ("DAY", "EventStart", 5000)

    table.time_partitioning = TimePartitioning()
    with pytest.raises(BadRequest, match="Cannot change partitioning spec"):
        warehouse.client.update_table(table, ["time_partitioning"])


def test_bigquery_loads_into_a_day_of_ingestion(warehouse):
    assert warehouse.by_ingestion("t").time_partitioning.expiration_ms == 1000
    warehouse.load("t", {"IndvId": 1})
    job = warehouse.load("t$20240501", {"IndvId": 2, "more": "x"}, schema_update_options=ADDING)
    warehouse.load("t$20240502", {"IndvId": 3}, way="gs")
    warehouse.load("t$20240501", {"IndvId": 4}, way="at once", write_disposition="WRITE_TRUNCATE")

    assert job.destination.table_id == "t$20240501"
    assert warehouse.query("SELECT IndvId FROM d.t WHERE _PARTITIONTIME = TIMESTAMP '2024-05-01'") == [(4,)]
    assert warehouse.query("SELECT IndvId FROM d.t WHERE _PARTITIONDATE = DATE '2024-05-02'") == [(3,)]
    assert sorted(warehouse.query("SELECT * FROM d.t")) == [(1, None), (3, None), (4, None)]
    assert [table.table_id for table in warehouse.client.list_tables(warehouse.dataset)] == ["t"]


def test_bigquery_loads_into_a_day_of_events_only_what_belongs_there(warehouse):
    warehouse.query(f"CREATE TABLE d.t ({COLUMNS}) PARTITION BY DATE(EventStart)")
    warehouse.load("t$20240501", {"EventStart": DAY})
    with pytest.raises(BadRequest, match="different partitions"):
        warehouse.load("t$20240502", {"EventStart": DAY})

    assert warehouse.query("SELECT EventStart FROM d.t") == [(DAY,)]


def test_bigquery_refuses_what_does_not_fit(warehouse):
    warehouse.by_ingestion("t")
    for row, table, error in (
        ({"IndvId": "x"}, "t", "Could not convert"),
        ({"IndvId": "x"}, "t$20240501", "Could not convert"),
        ({"more": "x"}, "t", "Cannot add fields"),
        ({"more": "x"}, "t$20240501", r"t\$20240501. Cannot add fields"),
        ({"IndvId": 1}, "nope", "Not found: Table"),
        ({"IndvId": 1}, "nope$20240501", "Not found: Table"),
    ):
        with pytest.raises(GoogleAPICallError, match=error):
            warehouse.load(table, row)

    assert warehouse.query("SELECT * FROM d.t") == []


def test_jobs_of_bigquery_fail_on_demand_and_load_nothing(warehouse, bigquery):
    warehouse.query(f"CREATE TABLE d.t ({COLUMNS})")
    quota = "Quota exceeded: Your table exceeded quota for imports or query appends per table"
    for way in ("upload", "at once", "gs"):
        bigquery.faults.append(Fault("^POST /.*/jobs", "fail", reason="quotaExceeded", message=quota))
        with pytest.raises(Forbidden, match=quota):
            warehouse.load("t", {"IndvId": 1}, way=way)

    assert warehouse.query("SELECT IndvId FROM d.t") == []


def test_bigquery_refuses_requests_on_demand(warehouse, bigquery):
    bigquery.faults.append(Fault("^POST .*/queries", "error", status=403, reason="accessDenied", message="no access"))

    with pytest.raises(Forbidden, match="no access"):
        warehouse.query("SELECT 1")
