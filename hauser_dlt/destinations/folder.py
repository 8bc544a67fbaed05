"""dlt's filesystem destination, but content with a folder that is there already."""

from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient


class FolderClient(FilesystemClient):
    """dlt makes the folder of a new dataset itself, and fails where one exists: hauser's `SaveDir`, say."""

    def create_dataset(self) -> None:
        """Make the dataset's folder, unless it is there."""
        self.fs_client.makedirs(self.dataset_path, exist_ok=True)


class Folder(filesystem):
    """Files in a folder or bucket that may hold other files, too."""

    @property
    def client_class(self) -> type[FilesystemClient]:
        """The client of local folders and buckets."""
        return FolderClient
