"""dlt's filesystem destination, but content with what is there already, and safe from kills."""

import os
from importlib.util import find_spec
from typing import Any

from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient
from fsspec.implementations.local import LocalFileSystem

from hauser_dlt.config.lookup import find
from hauser_dlt.config.places import AZURE, local_path, place
from hauser_dlt.errors import ConfigError

UNWRITABLE = "choose another bucket_url under [destination.filesystem], or change its permissions"


class _Disk(LocalFileSystem):  # type: ignore[misc]
    """A disk where files come into being whole, as they do in buckets.

    While a file is being written, its name is one that neither `*.parquet` matches nor readers of folders look at.
    """

    def put_file(self, path1: str, path2: str, callback: Any = None, **options: Any) -> None:
        """Copy a file."""
        folder, name = os.path.split(path2)
        partial = f"{folder}/.{name}.part"
        super().put_file(path1, partial, callback, **options)
        self.mv(partial, path2)


class FolderClient(FilesystemClient):
    """The tables are folders right below `bucket_url`, in a folder or bucket that may hold other files, too."""

    def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
        if not config.is_local_filesystem:
            from hauser_dlt.destinations.bucket import prepare  # needs what local files do without

            prepare(config)
        super().__init__(schema, config, capabilities)
        if self.is_local_filesystem:
            self.fs_client = _Disk()
        else:
            from hauser_dlt.destinations.bucket import bucket_of

            self.fs_client = bucket_of(self.fs_client, self.bucket_path)

    @property
    def dataset_path(self) -> str:
        """The folder of the tables' folders; dlt would put one with the dataset's name in between."""
        return str(self.pathlib.join(self.bucket_path, ""))

    def is_storage_initialized(self) -> bool:
        """Return whether anything has been loaded here."""
        if super().is_storage_initialized():
            return True
        if not self.is_local_filesystem:
            self.fs_client.refuse_missing()
        return False

    def create_dataset(self) -> None:
        """Make the folder, unless it is there: hauser's `SaveDir`, say. dlt would fail."""
        self.fs_client.makedirs(self.dataset_path, exist_ok=True)

    def list_files_with_prefixes(self, table_dir: str, prefixes: list[str]) -> list[str]:
        """Return the files of dlt's own tables. dlt takes a bracket in `bucket_url` for a pattern."""
        if self.is_local_filesystem:
            return super().list_files_with_prefixes(table_dir, prefixes)
        try:
            found = [str(path) for path in self.fs_client.ls(table_dir, detail=False)]
        except FileNotFoundError:
            return []
        return [path for path in found if path.startswith(tuple(prefixes))]

    def _write_to_json_file(self, filepath: str, data: dict[str, Any]) -> None:
        """Write one of dlt's own notes whole or not at all; one cut short would end every later run."""
        if not self.is_local_filesystem:  # in buckets, objects come into being whole
            super()._write_to_json_file(filepath, data)
            return
        partial = self.pathlib.join(self.dataset_path, f".hauser_dlt.{os.getpid()}")
        super()._write_to_json_file(partial, data)
        self.fs_client.makedirs(self.pathlib.dirname(filepath), exist_ok=True)  # somebody may have removed it
        self.fs_client.mv(partial, filepath)


def read_text(spelled: str) -> str | None:
    """Return what a small file holds, which a path or a URL names; None if it is not there.

    Raises:
        HauserError: the bucket cannot be read.
    """
    url = place(spelled)
    if (path := local_path(url)) is None:
        from hauser_dlt.destinations import bucket

        return bucket.read_text(url)
    return path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else None


class Folder(filesystem):
    """Files in a folder or bucket that may hold other files, too."""

    @property
    def client_class(self) -> type[FilesystemClient]:
        """The client of local folders and buckets."""
        return FolderClient


def bucket_url() -> str:
    """Return the folder or bucket of files, as the one URL that all spellings of it mean.

    Raises:
        ConfigError: it is not set, or no place.
    """
    found = find("bucket_url", "destination", "filesystem")
    if found is None or not str(found[0]).strip():
        raise ConfigError(
            "bucket_url is missing: set it under [destination.filesystem] to a folder, or to a bucket such as s3://name/path"
        )
    try:
        url = place(found[0] if isinstance(found[0], str) else "")
    except ValueError as exc:
        shown = "(hidden)" if "@" in str(found[0]) else repr(found[0])
        raise ConfigError(f"bucket_url = {shown} (from {found[1]}): allowed is {exc}") from None
    if url.startswith(AZURE) and find_spec("adlfs") is None:
        raise ConfigError(f"bucket_url = {url!r}: adlfs is not installed; pip install 'hauser-dlt[azure]'")
    return url
