"""Buckets as Snowflake's external stages and COPY get at them."""

from dataclasses import dataclass, field
from pathlib import Path

from emulators import redshift_s3
from emulators.redshift_lexer import Refused as OfRedshift
from emulators.snowflake_errors import Refused


@dataclass
class Places:
    """Where buckets are.

    Attributes:
        integration: key and secret of what an account may read without credentials.
    """

    s3_endpoint: str | None
    gcs_root: Path | None
    integration: tuple[str, str] | None = field(default=None)

    def read(self, url: str, credentials: dict[str, str] | None) -> dict[str, bytes]:
        """See `Buckets`."""
        scheme, _, rest = url.partition("://")
        if scheme == "gcs":
            return self._of_google(rest)
        if scheme != "s3":
            raise Refused(1011, "42601", f"SQL compilation error: invalid URL prefix found in: '{url}'")
        keys = (credentials["AWS_KEY_ID"], credentials["AWS_SECRET_KEY"]) if credentials else self.integration
        if keys is None:
            raise Refused(3165, "42501", "Failure using stage area. Cause: [Access Denied (Status Code: 403)]")
        token = (credentials or {}).get("AWS_TOKEN")
        try:
            return redshift_s3.Bucket(self.s3_endpoint or "", *keys, token, "us-east-1").objects(url)
        except OfRedshift as refused:
            if "does not exist" in refused.message and "prefix" in refused.message:
                return {}
            raise Refused(2081, "42601", f"Failure using stage area. Cause: [{refused.message}]") from refused

    def _of_google(self, path: str) -> dict[str, bytes]:
        assert self.gcs_root, "COPY needs a Google Cloud Storage"
        bucket, _, prefix = path.partition("/")
        folder = self.gcs_root / bucket
        files = (file for file in sorted(folder.rglob("*")) if file.is_file())
        named = ((file.relative_to(folder).as_posix(), file) for file in files)
        return {name: file.read_bytes() for name, file in named if name.startswith(prefix)}
