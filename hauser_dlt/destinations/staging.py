"""The bucket through which load packages reach a warehouse: a folder for each package, gone after its load.

dlt empties its staging folder at each load, which must not happen to what another run is loading.
"""

from collections.abc import Collection
from typing import Any

from dlt.common.storages.fsspec_filesystem import fsspec_from_config
from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration

from hauser_dlt.errors import ConfigError

_FOLDER = "hauser_dlt_staging"


class Staging:
    """A folder of staged load packages, below what `[destination.filesystem]` names."""

    def __init__(self, bucket_url: str) -> None:
        self._url = f"{bucket_url.rstrip('/')}/{_FOLDER}"

    def destination(self, load_id: str = "next") -> Any:
        """Return dlt's staging destination for one load package."""
        return filesystem(bucket_url=f"{self._url}/{load_id}", destination_name="filesystem")

    def remove(self, load_id: str) -> None:
        """Remove what a load package has in the bucket."""
        bucket, folder = self._folder()
        try:
            bucket.rm(f"{folder}/{load_id}", recursive=True)
        except FileNotFoundError:
            return

    def remove_all_but(self, load_ids: Collection[str]) -> None:
        """Remove what load packages left that are not under way.

        Raises:
            ConfigError: there is no such bucket. dlt would make one, and a slip of the pen is no wish for a bucket.
        """
        bucket, folder = self._folder()
        try:
            found = {str(path).rstrip("/").rpartition("/")[2] for path in bucket.ls(folder, detail=False)}
        except FileNotFoundError:
            if not bucket.exists(name := folder.partition("/")[0]):
                raise ConfigError(
                    f"there is no bucket {name}: make it, or look at bucket_url under [destination.filesystem]"
                ) from None
            return
        for load_id in found - set(load_ids):
            self.remove(load_id)

    def _folder(self) -> tuple[Any, str]:
        """Return the bucket as fsspec shows it, without what it remembers, and our folder in it."""
        config: Any = FilesystemDestinationClientConfiguration()._bind_dataset_name("")  # noqa: SLF001
        bucket, path = fsspec_from_config(self.destination().configuration(config))
        bucket.invalidate_cache()
        return bucket, path.rpartition("/")[0]
