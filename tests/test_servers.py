"""The servers that the tests talk to behave as the real ones are documented to, and fail on demand."""

from itertools import count
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import s3fs
from servers.faulty import Fault

PATIENCE = 60  # seconds
UPLOAD = "^(PUT|POST) "
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


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_connection_that_drops_is_made_again(store, place, when):
    store.faults.append(fault := Fault(UPLOAD, "drop", when=when))
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
    [("AKIALOADER", "wrong", "signature"), ("AKIANOBODY", "wrong", "does not exist"), ("", "", "Access Denied")],
)
def test_s3_refuses_wrong_keys(s3, key, secret, status):
    fs = s3fs.S3FileSystem(anon=not key, key=key, secret=secret, endpoint_url=s3.endpoint_url, skip_instance_cache=True)
    with pytest.raises(PermissionError, match=status):
        fs.ls(s3.bucket)


def test_s3_lets_some_only_read(s3):
    s3.fs().pipe_file("events/readable", b"x")
    keys = s3.read_only()
    fs = s3fs.S3FileSystem(
        key=keys["aws_access_key_id"],
        secret=keys["aws_secret_access_key"],
        endpoint_url=s3.endpoint_url,
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


@pytest.fixture
def dataset(bigquery):
    """A dataset of BigQuery that is this test's own."""
    name = f"servers{next(_numbers)}"
    with bigquery.client() as client:
        client.create_dataset(name)
    return name


def test_bigquery_answers(bigquery, dataset):
    with bigquery.client() as client:
        assert [tuple(row) for row in client.query_and_wait("SELECT 1")] == [(1,)]
