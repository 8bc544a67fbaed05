"""Azurite, Microsoft's own emulator of Azure Blob Storage, which checks keys; on loopback, gone at the end."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape, unescape

import adlfs
import trustme
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContainerSasPermissions, generate_container_sas

from emulators.faulty import Answer, Fault, Proxied, Request, listening
from emulators.keys import Keys
from emulators.postgres import free_port

HOME = Path(__file__).parents[2] / ".azurite"  # see install_azurite.py
ACCOUNT = "hauserloader"
KEY = "YXotczNjcmV0LW9mLXRoZS1sb2FkZXI="  # base64, as Azure has them
KEYS = "DESTINATION__FILESYSTEM__CREDENTIALS__AZURE_STORAGE"  # what the names of their variables begin with
_BLOB = re.compile("<Blob>.*?<Name>(.*?)</Name>.*?</Blob>", re.DOTALL)
_PATIENCE = 60.0  # seconds


class Unavailable(Exception):  # noqa: N818 - of the machine, not of a test
    """There is no Azurite on this machine, and why."""


@dataclass(frozen=True, slots=True)
class Azure(Proxied):
    """A running server."""

    scheme: ClassVar[str] = "az"
    bucket: str
    key: str = field(default=KEY, repr=False)

    @property
    def url(self) -> str:
        """Where the account is. In Azure it is a host of its own."""
        return f"{self.endpoint}/{ACCOUNT}"

    def settings(self, key: str = KEY) -> dict[str, Any]:
        """Return what dlt is told; the string is there for the address, since adlfs knows of https alone."""
        return {
            "credentials": {"azure_storage_account_name": ACCOUNT, "azure_storage_account_key": key},
            "kwargs": {"connection_string": self.connection_string(f"AccountName={ACCOUNT};AccountKey={key}")},
        }

    def read_only(self) -> dict[str, Any]:
        """Return the settings of one who may list and read, and nothing else."""
        return self.signed(ContainerSasPermissions(read=True, list=True))

    def signed(self, rights: ContainerSasPermissions) -> dict[str, Any]:
        """Return the settings of one who has a SAS token with some rights."""
        token = generate_container_sas(
            ACCOUNT, self.bucket, KEY, permission=rights, expiry=datetime.now(UTC) + timedelta(hours=1)
        )
        return {
            "credentials": {"azure_storage_account_name": ACCOUNT, "azure_storage_sas_token": token},
            "kwargs": {"connection_string": self.connection_string(f"SharedAccessSignature={token}")},
        }

    def connection_string(self, credentials: str) -> str:
        """Return the account's address with credentials, as Azure spells it."""
        return f"DefaultEndpointsProtocol=http;{credentials};BlobEndpoint={self.url}"

    def environ(self) -> dict[str, str]:
        """Return the environment in which adlfs and dlt find their way here by themselves."""
        return {
            f"{KEYS}_ACCOUNT_NAME": ACCOUNT,
            f"{KEYS}_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_CONNECTION_STRING": self.connection_string(f"AccountName={ACCOUNT};AccountKey={KEY}"),
        }

    def fs(self) -> Any:
        """Return a file system of its own, which remembers no listings."""
        return adlfs.AzureBlobFileSystem(
            connection_string=self.environ()["AZURE_STORAGE_CONNECTION_STRING"],
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def make_bucket(self, name: str) -> str:
        """Make an empty container; return its name."""
        with self.container(name) as container:
            container.create_container()
        return name

    def deltalake(self) -> dict[str, str]:
        """Return what deltalake is told of the account."""
        place = {"azure_storage_endpoint": self.url, "allow_http": "true"}
        return {"azure_storage_account_name": ACCOUNT, "azure_storage_account_key": KEY, **place}

    def container(self, name: str) -> ContainerClient:
        """Return a client of a container, Azure's own."""
        return ContainerClient(self.url, name, credential={"account_name": ACCOUNT, "account_key": KEY}, retry_total=0)


class _Listing(Keys):
    """See `Keys`. Azure lists from a name on, that one included, where Azurite pays no heed to `startFrom`.

    https://learn.microsoft.com/dotnet/api/azure.storage.blobs.models.getblobsbyhierarchyoptions.startfrom
    """

    def serve(self, request: Request) -> Answer:
        """Have the server list, and leave out what comes before."""
        answer = super().serve(request)
        if not (first := parse_qs(urlsplit(request.path).query).get("startFrom")):
            return answer
        kept = _BLOB.sub(lambda blob: blob[0] if unescape(blob[1]) >= first[0] else "", answer.body.decode())
        return replace(answer, body=kept.encode())


@contextmanager
def azurite(bucket: str = "events") -> Iterator[Azure]:
    """Start a server with one empty container.

    Raises:
        Unavailable: it is not installed.
    """
    if not (HOME / ".installed").exists():
        raise Unavailable("there is no Azure to test with: `make test` installs it where it finds Node and npm")
    home = Path(tempfile.mkdtemp(prefix="hauser-azure-"))
    try:
        with _server(home) as port, listening(proxy := _Listing(free_port(), port, _error)):
            running = Azure(proxy, bucket)
            running.make_bucket(bucket)
            proxy.clear()
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def encrypted(authority: trustme.CA, bucket: str = "events") -> Iterator[str]:
    """Start a server that speaks https, and so takes tokens, with one empty container; yield where the account is."""
    home = Path(tempfile.mkdtemp(prefix="hauser-azure-"))
    shown = authority.issue_cert("localhost", "127.0.0.1")
    shown.private_key_pem.write_to_path(home / "key.pem")
    shown.cert_chain_pems[0].write_to_path(home / "cert.pem")
    authority.cert_pem.write_to_path(home / "authority.pem")
    flags = ("--oauth", "basic", "--cert", str(home / "cert.pem"), "--key", str(home / "key.pem"))
    try:
        with _server(home, *flags) as port:
            with _client(port, home / "authority.pem") as client:
                client.create_container(bucket)
            yield f"127.0.0.1:{port}/{ACCOUNT}"
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _server(home: Path, *more: str) -> Iterator[int]:
    port = free_port()
    program = HOME / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    flags = ("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(home))
    off = ("--disableTelemetry", "--disableProductStyleUrl", "--skipApiVersionCheck", "--silent")
    environ = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}", "PATH": "/nowhere", "HOME": str(home)}
    with (home / "log").open("wb") as log:
        command = [str(shutil.which("node")), str(program), *flags, *off, *more]
        server = subprocess.Popen(command, cwd=home, env=environ, stdout=log, stderr=log)
    try:
        _wait(server, _client(port, home / "authority.pem"), home / "log")
        yield port
    finally:
        server.kill()
        server.wait(_PATIENCE)


def _client(port: int, authority: Path) -> BlobServiceClient:
    """Return a client, which speaks https if there is an authority's certificate."""
    scheme, trust = ("https", {"connection_verify": str(authority)}) if authority.exists() else ("http", {})
    url = f"{scheme}://127.0.0.1:{port}/{ACCOUNT}"
    return BlobServiceClient(url, credential={"account_name": ACCOUNT, "account_key": KEY}, retry_total=0, **trust)


def _wait(server: "subprocess.Popen[bytes]", client: BlobServiceClient, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    with client:
        while time.monotonic() < deadline and server.poll() is None:
            try:
                client.get_account_information()
            except AzureError:
                time.sleep(0.05)
            else:
                return
    raise AssertionError(log.read_text(errors="replace"))


def _error(fault: Fault) -> Answer:
    body = f"<Error><Code>{escape(fault.reason)}</Code><Message>{escape(fault.message)}</Message></Error>"
    headers = (("Content-Type", "application/xml"), ("x-ms-error-code", fault.reason))
    return Answer(fault.status, f'<?xml version="1.0" encoding="utf-8"?>{body}'.encode(), headers)
