"""The bucket through which load packages reach a warehouse: a folder for each package, gone after its load.

dlt empties its staging folder at each load, which must not happen to what another run is loading.
"""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from dlt.destinations import filesystem

from hauser_dlt.config.lookup import find
from hauser_dlt.network import is_this_machine

_FOLDER = "hauser_dlt_staging"


class Staging:
    """A folder of staged load packages, below what `[destination.filesystem]` names.

    Attributes:
        url: of that folder.
    """

    def __init__(self, bucket_url: str) -> None:
        self.url = f"{bucket_url.rstrip('/')}/{_FOLDER}"

    def destination(self, load_id: str = "next") -> Any:
        """Return dlt's staging destination for one load package."""
        endpoint = find("endpoint_url", "destination", "filesystem", "credentials")
        past: Any = {}
        if endpoint and is_this_machine(urlsplit(str(endpoint[0])).hostname):
            past = {"kwargs": {"config_kwargs": {"proxies": {}}}}
        return filesystem(bucket_url=f"{self.url}/{load_id}", destination_name="filesystem", **past)

    def may_be_changed(self) -> bool:
        """See `Bucket`."""
        bucket, folder = self._folder()
        return bool(bucket.may_be_changed(folder))

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
            HauserError: there is no such bucket, say. dlt would make one, and a slip of the pen is no wish for it.
        """
        bucket, folder = self._folder()
        try:
            found = {str(path).rstrip("/").rpartition("/")[2] for path in bucket.ls(folder, detail=False)}
        except FileNotFoundError:
            bucket.refuse_missing()
            return
        for load_id in found - set(load_ids):
            self.remove(load_id)

    def _folder(self) -> tuple[Any, str]:
        """Return the bucket, without what fsspec remembers of it, and our folder in it."""
        from hauser_dlt.destinations.bucket import bucket_of, open_bucket  # need what local files do without

        files, path = open_bucket(self.destination())
        files.invalidate_cache()
        return bucket_of(files, path), path.rpartition("/")[0]
