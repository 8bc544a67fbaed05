"""Objects in S3 as Redshift's COPY gets at them, and what it says when it does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import botocore.config
import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

from emulators.redshift_lexer import Refused
from emulators.redshift_sql import Copy

_SESSION = botocore.session.Session()  # one for all: it takes a while to read what S3 can do


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where COPY reads."""

    endpoint: str
    key: str
    secret: str
    token: str | None
    region: str

    def objects(self, url: str) -> dict[str, bytes]:
        """Return all objects whose key begins as the address says.

        Raises:
            Refused: S3 does not hand them out, or there are none.
        """
        name, _, prefix = url.removeprefix("s3://").partition("/")
        client = _SESSION.create_client(
            "s3",
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            aws_session_token=self.token,
            config=botocore.config.Config(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, proxies={}
            ),
        )
        try:
            listed = client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
            keys = [found["Key"] for page in listed for found in page.get("Contents", [])]
            found = {key: client.get_object(Bucket=name, Key=key)["Body"].read() for key in keys}
        except ClientError as exc:
            raise _s3_error(exc.response, f"Listing bucket={name} prefix={prefix}") from exc
        except BotoCoreError as exc:
            raise trouble(f"S3CurlException: {exc}", 8001, url) from exc
        finally:
            client.close()
        if not found:
            raise trouble(f"The specified S3 prefix '{prefix}' does not exist", 8001, url)
        return found


def trouble(message: str, code: int, context: str) -> Refused:
    """Return an error of the kind that Redshift's compute nodes tell."""
    detail = f"\n  error:  {message}\n  code:      {code}\n  context:   {context}\n"
    return Refused("XX000", message, detail)


def access(copy: Copy, roles: Mapping[str, tuple[str, str]], user: str) -> tuple[str, str, str | None]:
    """Return the key, the secret and the token that a statement means.

    Raises:
        Refused: it names none, or none that may be used.
    """
    said = copy.options
    given = dict(part.split("=", 1) for part in said.get("CREDENTIALS", "").split(";") if "=" in part)
    if "aws_access_key_id" in given:
        return given["aws_access_key_id"], given["aws_secret_access_key"], given.get("token")
    if "ACCESS_KEY_ID" in said and "SECRET_ACCESS_KEY" in said:
        return said["ACCESS_KEY_ID"], said["SECRET_ACCESS_KEY"], said.get("SESSION_TOKEN")
    role = said.get("IAM_ROLE") or given.get("aws_iam_role")
    if role is None:
        raise Refused("42601", "The COPY command needs IAM_ROLE, CREDENTIALS or ACCESS_KEY_ID and SECRET_ACCESS_KEY")
    if role not in roles:
        who = f"arn:aws:redshift:us-east-1:123456789012:dbuser:emulator/{user}"
        raise trouble(f"User {who} is not authorized to assume IAM Role {role}", 8001, "IAM Role=" + role)
    return *roles[role], None


_SAID_BY_S3 = {
    "NoSuchBucket": "The specified bucket does not exist",
    "AccessDenied": "Access Denied",
    "InvalidAccessKeyId": "The AWS Access Key Id you provided does not exist in our records.",
}


def _s3_error(response: Mapping[str, Any], context: str) -> Refused:
    code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    message = _SAID_BY_S3.get(code, response["Error"]["Message"])
    return trouble(f"S3ServiceException:{message},Status {status},Error {code},CanRetry 1", 8001, context)
