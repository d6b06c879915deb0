"""Keys with empty segments (``a//b``) on stores that speak S3's protocol.

The client reads and writes them, if what comes before the names is given to it as a part of the bucket; but it refuses a
listing that has such keys, which is left to Amazon's SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from streaming.core.errors import StorageError
from streaming.core.imports import optional_import
from streaming.storage.store import ObjectInfo
from streaming.storage.words import kind_of_status, words

__all__ = ["Listing", "odd_bucket"]

_TIMEOUT_S = 60.0


def odd_bucket(bucket: str, base: str) -> str:
    """Return what to give the client for its bucket.

    Args:
        bucket: The bucket; empty if the endpoint's host names it.
        base: From ``url.odd_base``.
    """
    return bucket + quote(base, safe="/~") if bucket else quote(base[1:], safe="/~")


class Listing:
    """Lists keys below a base with empty segments.

    Args:
        bucket: The bucket.
        base: From ``url.odd_base``.
        settings: Those of the client that reads.
    """

    def __init__(self, bucket: str, base: str, settings: Mapping[str, Any]) -> None:
        self._bucket = bucket
        self._start = base[1:] + "/"
        self._settings = settings

    def __call__(self, prefix: str) -> Iterator[list[ObjectInfo]]:
        """Yield pages of what is in and below a directory."""
        errors = optional_import("botocore.exceptions", "aws", "Listing keys with empty segments")
        below = self._start + (prefix + "/" if prefix else "")
        try:
            pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=below)
            for page in pages:
                yield [
                    ObjectInfo(item["Key"][len(self._start) :], item["Size"], item.get("ETag"))
                    for item in page.get("Contents", ())
                ]
        except errors.ClientError as error:
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            raise kind_of_status(status)(f"s3://{self._bucket}/{below}: {words(str(error))}.") from None
        except errors.BotoCoreError as error:
            raise StorageError(f"s3://{self._bucket}/{below}: {words(str(error))}.") from None

    def _client(self) -> Any:
        boto3 = optional_import("boto3", "aws", "Listing keys with empty segments")
        config = optional_import("botocore.config", "aws", "Listing keys with empty segments").Config
        given = self._settings
        options: dict[str, Any] = {"connect_timeout": 10, "read_timeout": _TIMEOUT_S, "retries": {"max_attempts": 1}}
        options["s3"] = {"addressing_style": "path"}
        if given.get("skip_signature"):
            options["signature_version"] = optional_import("botocore", "aws", "S3").UNSIGNED
        names = {
            "aws_access_key_id": "access_key_id",
            "aws_secret_access_key": "secret_access_key",
            "aws_session_token": "session_token",
            "region_name": "region",
            "endpoint_url": "endpoint",
        }
        session = boto3.Session(profile_name=given["sign_in"][1] if "sign_in" in given else None)
        settings = {name: given[key] for name, key in names.items() if key in given}
        return session.client("s3", config=config(**options), **settings)
