"""dlt's filesystem destination, but content with a folder that is there already, and safe from kills."""

import os
from typing import Any

from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient


class FolderClient(FilesystemClient):
    """dlt makes the folder of a new dataset itself, and fails where one exists: hauser's `SaveDir`, say."""

    def create_dataset(self) -> None:
        """Make the dataset's folder, unless it is there."""
        self.fs_client.makedirs(self.dataset_path, exist_ok=True)

    def _write_to_json_file(self, filepath: str, data: dict[str, Any]) -> None:
        """Write one of dlt's own notes whole or not at all; one cut short would end every later run."""
        if not self.is_local_filesystem:  # in buckets, objects come into being whole
            super()._write_to_json_file(filepath, data)
            return
        partial = self.pathlib.join(self.dataset_path, f".hauser_dlt.{os.getpid()}")
        super()._write_to_json_file(partial, data)
        self.fs_client.mv(partial, filepath)


class Folder(filesystem):
    """Files in a folder or bucket that may hold other files, too."""

    @property
    def client_class(self) -> type[FilesystemClient]:
        """The client of local folders and buckets."""
        return FolderClient
