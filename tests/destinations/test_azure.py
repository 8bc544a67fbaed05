"""Containers of Azure's: each kind of credentials, and plain words for what is wrong with them."""

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import pytest
import trustme
from azure.storage.blob import ContainerSasPermissions
from azure.storage.blob._shared.policies_async import AsyncStorageRetryPolicy
from dlt.destinations import filesystem

from emulators.azurite import ACCOUNT, KEY, KEYS, encrypted
from emulators.faulty import Fault
from hauser_dlt.destinations import folder
from hauser_dlt.destinations.bucket import bucket_of, open_bucket
from hauser_dlt.destinations.staging import Staging
from hauser_dlt.error_mapping import translated
from hauser_dlt.errors import ConfigError, HauserError, LoadError, TransientError
from hauser_dlt.redaction import hidden
from support.destinations import HOUR, MIDNIGHT
from support.shell import Shell

NOW = MIDNIGHT + 30 * HOUR
SECRET = "s3cr3t-of-the-application"

in_azure = pytest.mark.parametrize("target", ["az-parquet"], indirect=True)


@pytest.fixture
def impatient(monkeypatch):
    """The client of Azure tries again at once, where it would wait for a minute."""

    async def at_once(*_):
        """Do not wait."""

    monkeypatch.setattr(AsyncStorageRetryPolicy, "sleep", at_once)


@pytest.fixture(scope="module")
def authority():
    """Whose certificates are trusted here."""
    authority = trustme.CA()
    authority.configure_trust(aiohttp.connector._SSL_CONTEXT_VERIFIED)
    return authority


@pytest.fixture(scope="module")
def account(authority, az):
    """An account as users have it, by https; it takes tokens as well."""
    with encrypted(authority) as host:
        yield host


def _token(of="loader"):
    """Return a token that looks like Microsoft's; Azurite looks at all but its signature."""
    now = int(time.time())
    said = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "nbf": now - 60,
        "iat": now - 60,
        "exp": now + 3600,
        "oid": of,
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, said)
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "c2ln"]
    )


class _Login(BaseHTTPRequestHandler):
    """Gives a token to whoever knows the secret."""

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        knows = f"client_secret={SECRET}" in asked
        answer = {"token_type": "Bearer", "expires_in": 3600, "access_token": _token()}
        refusal = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
        body = json.dumps(answer if knows else refusal).encode()
        self.send_response(200 if knows else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Tell nothing."""


@pytest.fixture
def login(authority, monkeypatch):
    """Where applications log in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Login)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://localhost:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


def _principal(secret=SECRET):
    return {"azure_tenant_id": "tenant", "azure_client_id": "loader", "azure_client_secret": secret}


def _opened(host, url="az://events/tried", **credentials):
    known = {"azure_storage_account_name": ACCOUNT, "azure_account_host": host}
    files, path = open_bucket(filesystem(bucket_url=url, credentials=known | credentials))
    return bucket_of(files, path)


@pytest.mark.parametrize("kind", ["key", "token", "application"])
def test_each_kind_of_credentials_opens_a_container(account, az, login, kind):
    rights = ContainerSasPermissions(read=True, list=True, write=True, create=True, delete=True)
    credentials = {
        "key": {"azure_storage_account_key": KEY},
        "token": {"azure_storage_sas_token": az.signed(rights)["credentials"]["azure_storage_sas_token"]},
        "application": _principal(),
    }
    bucket = _opened(account, **credentials[kind])

    assert bucket.may_be_changed("events/tried")
    bucket.write_text(f"events/tried/{kind}", "ü")
    assert bucket.read_text(f"events/tried/{kind}") == "ü"
    assert kind in bucket.starting("events/tried", kind[:3])
    bucket.rm_file(f"events/tried/{kind}")
    assert not bucket.exists(f"events/tried/{kind}")


def test_an_application_that_is_refused_is_told_without_its_secret(account, login):
    bucket = _opened(account, **_principal("wr0ng"))

    with pytest.raises(ConfigError, match=r"does not take these keys: .*Invalid client secret.*; look at") as told:
        bucket.may_be_changed("events/tried")

    assert "wr0ng" not in str(told.value)


@pytest.mark.parametrize("host", ["/", "x:y", "127.0.0.1:1/a"])
def test_a_token_in_an_address_that_leads_nowhere_is_not_shown(az, impatient, host):
    token = az.signed(ContainerSasPermissions(read=True))["credentials"]["azure_storage_sas_token"]
    signature = token.partition("sig=")[2].partition("&")[0]

    with pytest.raises(HauserError) as told, translated():
        _opened(host, azure_storage_sas_token=token).refuse_missing()

    assert signature not in str(told.value)
    assert signature not in hidden(f"AccountKey={signature};EndpointSuffix=x azure_storage_account_key='{signature}'")


def test_a_login_that_finds_nobody_is_told_in_one_line_and_at_once(account, monkeypatch):
    async def waited(*_):
        pytest.fail("a login that is refused was tried again")

    monkeypatch.setattr(AsyncStorageRetryPolicy, "sleep", waited)
    for name in ("MSI_ENDPOINT", "IDENTITY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")

    with pytest.raises(
        ConfigError, match=r"does not take these keys: .*; look at the keys, under .destination"
    ) as told:
        _opened(account).refuse_missing()

    assert len(str(told.value)) < 400
    assert "\n" not in str(told.value)


@in_azure
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"bucket_url": "az://nowhere/x"}, "there is no container nowhere: make it, or look at bucket_url"),
        ({"bucket_url": "az://No_where!/x"}, "has a name that no container can have: look at bucket_url"),
        (
            {"credentials": None, "kwargs": None},
            "keys are missing: set them under .destination.filesystem.cre",
        ),
        (
            {"kwargs": None, "credentials": "no base64"},
            "_account_key, in base64, or its azure_storage_sas_token must",
        ),
        ("wrong", "container events does not take these keys: Server failed to authenticate.*; look at the keys"),
    ],
)
def test_settings_that_no_container_takes_are_named_before_anything_is_exported(runs, az, settings, says):
    place = {"bucket_url": runs.target.url, **az.settings()}
    if settings == "wrong":
        settings = az.settings(base64.b64encode(b"Wr0ng").decode())
    elif settings.get("credentials") == "no base64":
        settings = settings | {"credentials": place["credentials"] | {"azure_storage_account_key": "Wr0ng"}}
    place = {name: value for name, value in (place | settings).items() if value}

    with pytest.raises(ConfigError, match=says) as told:
        runs.load(NOW, **{"destination.filesystem": place})

    assert runs.sim.requests == []
    assert "Wr0ng" not in str(told.value)
    assert base64.b64encode(b"Wr0ng").decode() not in str(told.value)


@in_azure
def test_a_connection_string_of_another_account_is_refused(runs, monkeypatch):
    string = f"DefaultEndpointsProtocol=https;AccountName=other;AccountKey={KEY}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", string)

    with pytest.raises(ConfigError, match=f"STRING is of the account other, but .*_name is {ACCOUNT}: take") as told:
        runs.load(NOW)

    assert KEY not in str(told.value)


@pytest.mark.slow
@in_azure
def test_a_container_that_is_away_for_a_while_loses_and_doubles_nothing(runs, az, impatient):
    for spared, status in ((2, 503), (5, 500), (8, 429)):
        az.proxy.clear()
        fault = Fault(f"/{runs.target.dataset}/", "error", status=status, reason="ServerBusy", skip=spared, times=None)
        az.faults.append(fault)
        with pytest.raises(TransientError, match=r"^container events cannot be used at present: .*; run again later$"):
            runs.load(NOW)
    az.proxy.clear()
    az.faults.append(fault := Fault("^PUT .*fs_export", "drop", when="during"))

    runs.load(NOW)

    assert fault.hits

    runs.expect(MIDNIGHT, NOW - 24 * HOUR)


@in_azure
def test_files_that_may_not_be_written_are_written_by_the_next_run(runs, az):
    az.faults.append(
        Fault("^PUT ", "error", status=403, reason="AuthorizationFailure", message="no", skip=3, times=None)
    )
    with pytest.raises(LoadError, match=r"^container events refuses: .*; allow the owner of the keys"):
        runs.load(NOW)
    az.proxy.clear()

    runs.load(NOW)

    runs.expect(MIDNIGHT, NOW - 24 * HOUR)


@pytest.fixture
def shell(tmp_path, sim):
    return Shell(tmp_path, sim)


def test_check_finds_what_a_container_refuses_and_puts_nothing_into_it(shell, az):
    shell.environ |= {"HAUSER__DESTINATION": "filesystem", **az.environ()}
    place = {"DESTINATION__FILESYSTEM__BUCKET_URL": "abfss://events@hauserloader.dfs.core.windows.net/checked"}
    az.requests.clear()
    assert "core.windows.net/checked: reachable and writable; nothing is there yet" in shell("check", **place)

    token = az.read_only()
    strings = {
        f"{KEYS}_ACCOUNT_KEY": "",
        f"{KEYS}_SAS_TOKEN": token["credentials"]["azure_storage_sas_token"],
        "AZURE_STORAGE_CONNECTION_STRING": token["kwargs"]["connection_string"],
    }
    shell("check", **place, **strings, code=1)
    assert shell.err.startswith("Error: container events refuses: This request is not authorized to perform this op")
    assert len(shell.err.splitlines()) == 1
    assert [path for path in az.fs().find("events") if "/checked" in path] == []


def test_without_adlfs_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(folder, "find_spec", lambda name: None)
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "az://events/x")

    with pytest.raises(ConfigError, match=r"adlfs is not installed; pip install 'hauser-dlt\[azure\]'"):
        folder.bucket_url()


@in_azure
def test_tables_of_iceberg_are_refused(runs):
    with pytest.raises(ConfigError, match=r'^table_format = "iceberg": not on Azure'):
        runs.load(NOW, table_format="iceberg")


def test_snowflake_is_told_to_load_from_a_container_by_way_of_a_stage(shell, az):
    shell.environ |= az.environ() | {"HAUSER__STAGING": "filesystem", "HAUSER__DESTINATION": "snowflake"}
    shell("check", DESTINATION__FILESYSTEM__BUCKET_URL="az://events/staging", code=2)

    assert shell.err.startswith("Error: Snowflake loads from Azure by way of a stage only: set stage_name under")


def test_staged_load_packages_are_removed_but_for_those_under_way(az, monkeypatch):
    for name, value in az.environ().items():
        monkeypatch.setenv(name, value)
    staging, fs = Staging("az://events/staged"), az.fs()
    kept = "events/staged/hauser_dlt_staging/2.5/fs_export/a.parquet"
    for path in (
        kept,
        *(f"events/staged/hauser_dlt_staging/1.5/{name}" for name in ("init", "fs_export/a", "fs_sync/b")),
    ):
        fs.pipe_file(path, b"x")

    assert staging.may_be_changed()
    staging.remove_all_but(["2.5"])

    assert fs.find("events/staged") == [kept]
    staging.remove("2.5")
    staging.remove("2.5")
    assert fs.find("events/staged") == []
    with pytest.raises(ConfigError, match="there is no container nowhere"):
        Staging("az://nowhere/staged").remove_all_but([])
