"""A bucket as fsspec shows it, where what goes wrong is said in one line, with what to do about it.

fsspec takes an error for an answer here and there: what cannot be looked at is "not there", and a bucket that is
not there gets made. A ledger that is read that way loads everything again.
"""

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import requests
from botocore.exceptions import BotoCoreError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as BotoConnectionError
from dlt.common.storages.fsspec_filesystem import fsspec_from_config
from dlt.dataset.utils import get_destination_client_initial_config
from dlt.destinations import filesystem
from google.auth.exceptions import GoogleAuthError, TransportError

from hauser_dlt.errors import ConfigError, HauserError, LoadError, TransientError
from hauser_dlt.network import proxy_to, refuse_certificates, tls_problem
from hauser_dlt.redaction import hidden

_WRITING = ("pipe_file", "put_file", "write_text")
KEYS = "look at the keys, under [destination.filesystem.credentials] or in the environment"
PLACE = "look at bucket_url under [destination.filesystem]"
SETTINGS = "look at [destination.filesystem]"
RIGHTS = "allow the owner of the keys to list, read, write and delete there"
_PASSES = (
    ConnectionError,
    TimeoutError,
    aiohttp.ClientError,
    requests.RequestException,
    HTTPClientError,
    BotoConnectionError,
    TransportError,
)


_CERTIFICATES = {
    "s3": ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),  # botocore reads the second where the first is not set
    "gs": ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),  # of google-auth, and of aiohttp by itself
    "az": ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),  # of azure-identity, and of aiohttp
}
_SPELLED = {"gcs": "gs", "s3a": "s3", "abfs": "az", "abfss": "az"}
_S3 = "https://s3.amazonaws.com"
_NOTHING = "hauser_dlt_check"  # an object that is never there
_UNMET = (FileNotFoundError, FileExistsError)  # so fsspec says of what is missing, and gcsfs of a failed condition
_UNMET_CONDITIONS = ("PreconditionFailed", "ConditionNotMet", "BlobNotFound")  # of S3; of Azure
_UNKNOWN = ("NotImplemented", "MethodNotAllowed", "405", "501")


def open_bucket(destination: Any) -> tuple[Any, str]:
    """Return fsspec's file system of the bucket of a destination of dlt's, and the path in it.

    Raises:
        ConfigError: the environment names a proxy, or certificates, that cannot be used.
    """
    config: Any = destination.configuration(get_destination_client_initial_config(destination, ""))
    prepare(config)
    files, path = fsspec_from_config(config)
    return files, str(path)


def prepare(config: Any) -> None:
    """Look at what lies between us and a bucket, since fsspec takes a failure to look for a missing bucket.

    Raises:
        ConfigError: the environment names a proxy, certificates, or an account of Azure's, that cannot be used.
    """
    kind = _SPELLED.get(config.protocol, config.protocol)
    names = _CERTIFICATES.get(kind, ())
    refuse_certificates(*(names[:1] if kind == "s3" and os.environ.get(names[0]) else names))
    if kind == "s3" and not proxy_to(str(config.credentials.endpoint_url or _S3)):
        of_s3fs = config.kwargs or {}
        config.kwargs = {**of_s3fs, "config_kwargs": {**of_s3fs.get("config_kwargs", {}), "proxies": {}}}
    if kind == "az":
        from hauser_dlt.destinations.azure import refuse_other_account

        refuse_other_account(str(config.credentials.azure_storage_account_name))


def bucket_of(files: Any, path: str) -> "Bucket":
    """Return the bucket of a path in a file system of fsspec's."""
    if "abfs" in files.protocol:
        from hauser_dlt.destinations.azure import AzureBucket

        return AzureBucket(files, path)
    return Bucket(files, path)


class Bucket:
    """The file system of a bucket; all that is not said here is fsspec's.

    Attributes:
        word: what its owner calls it.
        files: fsspec's file system.
        name: of the bucket.
        folder: the path in it.
    """

    word = "bucket"

    def __init__(self, files: Any, path: str) -> None:
        self.files = files
        self.name, _, self.folder = path.strip("/").partition("/")

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.files, name)
        return self._speaking(attribute, name in _WRITING) if callable(attribute) else attribute

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing: in a bucket there are no folders to be made."""

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder; what hinders the look is no answer."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def starting(self, folder: str, beginning: str) -> list[str]:
        """Return the names right in a folder that begin so; S3 and GCS list them alone, a page for a thousand."""
        if {"s3", "gs"}.intersection(self.files.protocol):
            found = self.find(folder, prefix=beginning)  # in folders within, too
        else:
            try:
                found = self.ls(folder, detail=False)
            except FileNotFoundError:
                return []
        places = (str(path).rpartition("/") for path in found)
        return [name for place, _, name in places if place == folder.rstrip("/") and name.startswith(beginning)]

    def refuse_missing(self) -> None:
        """Make sure that the bucket is there, and that its listing may be read.

        Raises:
            HauserError: what is not so. Of a missing file it cannot be told whether it is the bucket that is missing.
        """
        if "s3" in self.files.protocol:
            ask, request = self.files.call_s3, {"Bucket": self.name, "Prefix": self.folder, "MaxKeys": 1}
            self._speaking(ask, writing=True)("list_objects_v2", **request)
        elif "gs" in self.files.protocol:
            ask, request = self.files.call, {"prefix": self.folder, "maxResults": 1, "json_out": True}
            self._speaking(ask, writing=True)("GET", "b/{}/o", self.name, **request)

    def may_be_changed(self, folder: str) -> bool:
        """Make sure that files in a folder can be read, written and removed; return False where that cannot be told.

        The requests change nothing, since what they are about is not there: an object, an upload in parts.
        S3 needs `s3:PutObject` for a part (https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html),
        Google `storage.objects.create` for an upload in steps that only begins, and is called off
        (https://cloud.google.com/storage/docs/performing-resumable-uploads).

        Raises:
            HauserError: they cannot, and what to do.
        """
        name = f"{folder.strip('/')}/{_NOTHING}".removeprefix(f"{self.name}/")
        requests = self.requests_for(name)
        if requests is None:
            return False
        self.refuse_missing()
        told = [self._is_allowed(request) for request in requests]
        return all(told)

    def requests_for(self, name: str) -> Iterator[Callable[[], Any]] | None:
        """Return what reads, writes and deletes an object that is not there; None if that is not known."""
        if "s3" in self.files.protocol:
            return self._of_s3(name)
        return self._of_google(name) if "gs" in self.files.protocol else None

    def _of_s3(self, name: str) -> Iterator[Callable[[], Any]]:
        place = {"Bucket": self.name, "Key": name}
        ask = self.files.call_s3
        yield partial(ask, "head_object", **place)
        yield partial(ask, "upload_part", **place, PartNumber=1, UploadId=_NOTHING, Body=b"")
        # in a bucket with versions, to delete what is not there would leave a mark, were it not for the condition
        yield partial(ask, "delete_object", **place, IfMatch='"0"')

    def _of_google(self, name: str) -> Iterator[Callable[[], Any]]:
        yield partial(self.files.call, "GET", "b/{}/o/{}", self.name, name)
        yield partial(self._begin_upload, name)
        yield partial(self.files.call, "DELETE", "b/{}/o/{}", self.name, name, ifGenerationMatch=1)

    def _begin_upload(self, name: str) -> None:
        url = self.files.base.replace("/storage/v1/", f"/upload/storage/v1/b/{self.name}/o?name={quote(name, '')}")
        headers, _ = self.files.call("POST", url, uploadType="resumable", json={"name": name})
        self.files.call("DELETE", headers["Location"])

    def _is_allowed(self, request: Callable[[], Any]) -> bool:
        try:
            request()
        except _UNMET:
            return True
        except Exception as exc:
            if (status := self._status(exc)) in _UNKNOWN:
                return False
            if status not in _UNMET_CONDITIONS:
                raise self._said(exc) from exc
        return True

    def _status(self, exc: Exception) -> str:
        return _status(exc)

    def _said(self, exc: Exception) -> HauserError:
        return _said(exc, self.name, getattr(self.files, "endpoint_url", None) or _S3)

    def _speaking(self, call: Callable[..., Any], writing: bool) -> Callable[..., Any]:
        @wraps(call)
        def speaking(*arguments: Any, **named: Any) -> Any:
            try:
                return call(*arguments, **named)
            except FileNotFoundError as exc:
                if writing:
                    raise ConfigError(f"there is no {self.word} {self.name}: make it, or {PLACE}") from exc
                raise
            except Exception as exc:
                raise self._said(exc) from exc

        return speaking


def read_text(url: str) -> str | None:
    """See `folder.read_text`."""
    bucket_url, _, name = url.rpartition("/")
    files, folder = open_bucket(filesystem(bucket_url=bucket_url, destination_name="filesystem"))
    try:
        return bytes(bucket_of(files, folder).cat_file(f"{folder}/{name}")).decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None


def _said(exc: Exception, bucket: str, endpoint: str) -> HauserError:
    status, text = _status(exc), _line(exc)
    answer: HauserError
    if problem := _in_between(exc, bucket, endpoint):
        answer = problem
    elif isinstance(exc, _PASSES) or status in ("408", "429") or status[:1] == "5" or _is_busy(exc):
        answer = TransientError(f"bucket {bucket} cannot be used at present: {text}; run again later")
    elif status == "RequestTimeTooSkewed":  # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        answer = ConfigError(f"bucket {bucket} refuses: the clock of this machine is wrong ({text}); set it right")
    elif status in ("403", "AccessDenied", "AllAccessDisabled"):
        answer = LoadError(f"bucket {bucket} refuses: {text}; {RIGHTS}")
    elif isinstance(exc, ParamValidationError):
        answer = ConfigError(f"bucket {bucket} has a name that no bucket can have: {PLACE}")
    elif isinstance(exc, (PermissionError, BotoCoreError, GoogleAuthError)) or status == "401":
        answer = ConfigError(f"bucket {bucket} does not take these keys: {text}; {KEYS}")
    else:
        answer = ConfigError(f"bucket {bucket} cannot be used with these settings: {text}; {SETTINGS}")
    return answer


def _in_between(exc: Exception, bucket: str, endpoint: str) -> HauserError | None:
    """Return what to tell of a proxy, or of TLS."""
    host, proxy = str(urlsplit(endpoint).hostname), proxy_to(endpoint)
    if proxy and (problem := proxy.refusal(407, host) if _status(exc) == "407" else proxy.problem(exc, host)):
        return problem
    return tls_problem(exc, f"bucket {bucket}", "AWS_CA_BUNDLE or SSL_CERT_FILE")


def _line(exc: Exception) -> str:
    said = (isinstance(exc, OSError) and exc.strerror) or str(exc)
    return hidden(" ".join(said.split())).rstrip(".")[:300] or type(exc).__name__


def _status(exc: Exception) -> str:
    """Return S3's code of an error, or else HTTP's."""
    response = getattr(exc.__cause__, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    if str(exc).startswith("Forbidden: "):  # so says gcsfs
        return "403"
    return str(getattr(exc, "code", "") or "")


def _is_busy(exc: Exception) -> bool:
    return isinstance(exc, OSError) and exc.errno in (errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO))
