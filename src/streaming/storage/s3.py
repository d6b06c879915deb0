"""Amazon S3 and everything that speaks its protocol: R2, B2, MinIO, CoreWeave, OCI's S3 interface ..."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from streaming.storage.credentials import aws_settings
from streaming.storage.remote import RemoteStore
from streaming.storage.spec import ClientSpec
from streaming.storage.url import redact, split_bucket

__all__ = ["build_s3", "open_s3", "resolve_s3"]

_HINTS = {
    "bucket": "Check the bucket's name.",
    "missing": "Check the path.",
    "denied": (
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), AWS_PROFILE, or the storage options "
        "access_key_id and secret_access_key, and check that they are current and allow this."
    ),
    "throttled": "Use fewer workers, or retry more.",
    "region": "Set AWS_REGION to the bucket's region.",
    "scheme": "Write the endpoint as http://... or https://...",
}


def open_s3(url: str, options: Mapping[str, Any]) -> RemoteStore:
    """Open ``s3://bucket/prefix``. Nothing is contacted yet."""
    split_bucket(url)
    return RemoteStore(url, options, resolve_s3)


def resolve_s3(url: str, options: Mapping[str, Any], find_region: bool) -> ClientSpec:
    bucket, prefix = split_bucket(url)
    settings = {"bucket": bucket, "prefix": prefix or None, **aws_settings(options, os.environ)}
    return ClientSpec(redact(url), "streaming.storage.s3:build_s3", settings, _HINTS)


def build_s3(**settings: Any) -> Any:
    from obstore.store import S3Store

    return S3Store(**settings)
