"""Files in buckets as the tests see them, read with the bucket's own client and without hauser-dlt."""

import fnmatch
import glob
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from support.destinations import Target


@dataclass(frozen=True, order=True)
class BucketPath:
    """As much of a `Path` as the tests need, of an object in a bucket."""

    path: str
    fs: Any = field(compare=False, repr=False)

    def __truediv__(self, name: str) -> "BucketPath":
        return BucketPath(f"{self.path}/{name}", self.fs)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def suffix(self) -> str:
        return f".{self.name.rpartition('.')[2]}"

    def glob(self, pattern: str) -> Iterator["BucketPath"]:
        """Yield the objects that match; an asterisk stops at no slash."""
        found = [path for path in self.fs.find(self.path) if path.startswith(f"{self.path}/")]
        return (
            BucketPath(path, self.fs) for path in found if fnmatch.fnmatch(path, f"{glob.escape(self.path)}/{pattern}")
        )

    def read_bytes(self) -> bytes:
        return bytes(self.fs.cat_file(self.path))

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        self.fs.pipe_file(self.path, content)

    def write_text(self, text: str) -> None:
        self.write_bytes(text.encode())

    def unlink(self) -> None:
        self.fs.rm_file(self.path)


# where servers are to fail, the client of S3 is not to try for half a minute
_IMPATIENT = {"retries": {"max_attempts": 0}}


@cache
def _files(server: Any) -> Any:
    """Return one file system for all tests: making one takes a while."""
    return server.fs()


@dataclass(frozen=True, slots=True)
class BucketTarget(Target):
    """A folder of a bucket, of S3, Google or Azure; `kind` is the format of the files."""

    server: Any = field(kw_only=True)

    @property
    def out(self) -> Any:
        """See `Target`."""
        return BucketPath(f"{self.server.bucket}/{self.dataset}/some [dir]", _files(self.server))

    @property
    def url(self) -> str:
        """Where the tables are to be folders."""
        return f"{self.server.scheme}://{self.out.path}"

    @property
    def completing(self) -> str:
        """See `Target`."""
        return "put _dlt_loads"

    def settings(self) -> dict[str, Any]:
        """See `Target`. S3's and Azure's keys are settings, Google's stand in the environment."""
        place: dict[str, Any] = {"bucket_url": self.url}
        if self.server.scheme == "s3":
            place |= {"credentials": self.server.credentials(), "kwargs": {"config_kwargs": _IMPATIENT}}
        if self.server.scheme == "az":
            place |= self.server.settings()
        return {
            "hauser": {"destination": "filesystem", "file_format": self.kind},
            "destination": {"filesystem": place},
        }
