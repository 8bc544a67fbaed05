"""A container of Azure Blob Storage, as `Bucket` shows buckets. It needs adlfs, which not everybody has installed."""

import os
import re
from collections.abc import Callable, Iterator
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ClientAuthenticationError, ResourceNotFoundError
from fsspec.asyn import sync

from hauser_dlt.destinations.bucket import KEYS, PLACE, RIGHTS, SETTINGS, Bucket
from hauser_dlt.errors import ConfigError, HauserError, LoadError, TransientError
from hauser_dlt.network import chained, proxy_to, tls_problem
from hauser_dlt.redaction import hidden

_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
_SCOPE = "https://storage.azure.com/.default"
_ACCOUNT = re.compile(r"\bAccountName=([^;]+)|//([^./;]+)\.(?:blob|dfs)\.")
# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes, and the page of blobs beside it
_KEYS = ("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation")
_NAMES = ("InvalidResourceName", "OutOfRangeInput", "InvalidUri")
_BUSY = ("ContainerBeingDeleted", "ServerBusy", "OperationTimedOut", "InternalError")


class AzureBucket(Bucket):
    """A container.

    adlfs lists more than it is asked for, and takes some refusals for an empty folder, so listings are Azure's own.
    """

    word = "container"

    def _speaking(self, call: Callable[..., Any], writing: bool) -> Callable[..., Any]:
        """Log in before the first request: the client would take a login that is refused for a bad moment."""
        asking = super()._speaking(call, writing)
        log_in: Any = getattr(getattr(self.files, "credential", None), "get_token", None)
        if not iscoroutinefunction(log_in):
            return asking

        @wraps(call)
        def speaking(*arguments: Any, **named: Any) -> Any:
            super(AzureBucket, self)._speaking(partial(sync, self.files.loop, log_in, _SCOPE), writing)()
            return asking(*arguments, **named)

        return speaking

    def starting(self, folder: str, beginning: str) -> list[str]:
        """Return the names right in a folder that begin so; Azure lists them alone, a page for five thousand."""
        found = self._speaking(self._listed, writing=True)(f"{self._inside(folder)}/{beginning}")
        return [name for path in found if (name := path.rpartition("/")[2])]

    def ls(self, folder: str, detail: bool = False) -> list[str]:
        """Return the paths right in a folder, those of folders in it, too.

        Raises:
            FileNotFoundError: there are none.
        """
        found = self._speaking(self._listed, writing=True)(f"{self._inside(folder)}/")
        if not found:
            raise FileNotFoundError(folder)
        return [f"{self.name}/{path.rstrip('/')}" for path in found]

    def write_text(self, path: str, value: str, encoding: str = "utf-8", **_: Any) -> None:
        """Write a text in one request: a file that is open takes three."""
        self.pipe_file(path, value.encode(encoding))

    def read_text(self, path: str, encoding: str = "utf-8", **_: Any) -> str:
        """Return a text; see `write_text`."""
        return bytes(self.cat_file(path)).decode(encoding)

    def refuse_missing(self) -> None:
        """See `Bucket`."""
        self._speaking(partial(sync, self.files.loop, self._look), writing=True)()

    def requests_for(self, name: str) -> Iterator[Callable[[], Any]]:
        """Yield what reads, writes and deletes a blob that is not there.

        A condition that it cannot meet keeps Azure from making one, once it has looked at the rights
        (https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations).
        """
        blob = self.files.service_client.get_blob_client(self.name, name)
        never: dict[str, Any] = {"etag": '"0x0"', "match_condition": MatchConditions.IfNotModified}
        for ask in (
            blob.get_blob_properties,
            partial(blob.upload_blob, b"", overwrite=True, **never),
            partial(blob.delete_blob, **never),
        ):
            yield partial(sync, self.files.loop, ask)

    def _inside(self, path: str) -> str:
        return path.strip("/").removeprefix(f"{self.name}/")

    def _listed(self, beginning: str) -> list[str]:
        return list(sync(self.files.loop, self._walk, beginning))

    async def _walk(self, beginning: str) -> list[str]:
        async with self.files.service_client.get_container_client(self.name) as container:
            return [str(one.name) async for one in container.walk_blobs(name_starts_with=beginning)]

    async def _look(self) -> None:
        async with self.files.service_client.get_container_client(self.name) as container:
            pages = container.list_blobs(name_starts_with=self.folder, results_per_page=1).by_page()
            async for _ in pages:
                return

    def _status(self, exc: Exception) -> str:
        return _code(_of_azure(exc)) or super()._status(exc)

    def _said(self, exc: Exception) -> HauserError:
        """Return one line about what Azure refuses, and what to do about it."""
        endpoint, error = str(self.files.service_client.url), _of_azure(exc)
        proxy = proxy_to(endpoint)
        if proxy and (problem := proxy.problem(exc, str(urlsplit(endpoint).hostname))):
            return problem
        if problem := tls_problem(exc, f"container {self.name}", "SSL_CERT_FILE"):
            return problem
        return _refusal(error, f"container {self.name}") if error else super()._said(exc)


def _refusal(error: AzureError, container: str) -> HauserError:
    code, status, text = _code(error), getattr(error, "status_code", None), _line(error)
    answer: HauserError
    if code == "ContainerNotFound" or isinstance(error, ResourceNotFoundError):
        answer = ConfigError(f"there is no {container}: make it, or {PLACE}")
    elif code in _NAMES:
        answer = ConfigError(f"{container} has a name that no container can have: {PLACE}")
    elif code in _KEYS or _is_of_login(error) or text.startswith("Server failed to authenticate"):
        answer = ConfigError(f"{container} does not take these keys: {text}; {KEYS}")
    elif status in (401, 403):
        answer = LoadError(f"{container} refuses: {text}; {RIGHTS}")
    elif status is None or status in (408, 429) or status >= 500 or code in _BUSY:
        answer = TransientError(f"{container} cannot be used at present: {text}; run again later")
    else:
        answer = ConfigError(f"{container} cannot be used with these settings: {text}; {SETTINGS}")
    return answer


def refuse_other_account(account: str) -> None:
    """Make sure that a connection string in the environment, which adlfs obeys, means the account of the settings.

    Raises:
        ConfigError: it does not.
    """
    if (found := _ACCOUNT.search(os.environ.get(_CONNECTION, ""))) and (named := found[1] or found[2]) != account:
        raise ConfigError(
            f"{_CONNECTION} is of the account {named}, but azure_storage_account_name is {account}: take the one away,"
            " or correct the other"
        )


def _of_azure(exc: BaseException) -> AzureError | None:
    """Return what Azure, or the way to it, has said; adlfs puts some of it into errors of its own."""
    return next((error for error in chained(exc) if isinstance(error, AzureError)), None)


def _code(error: AzureError | None) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _is_of_login(error: AzureError) -> bool:
    """Tell whether this comes from where tokens are had, not from the storage."""
    return isinstance(error, ClientAuthenticationError) and not _code(error)


def _line(error: AzureError) -> str:
    """Return the sentence of an error; below it stand numbers and XML, or what else has been tried."""
    said = re.split(r"\nRequestId:|\nAttempted credentials", str(error.message))[0]
    return hidden(" ".join(said.split())).rstrip(".")[:300] or type(error).__name__
