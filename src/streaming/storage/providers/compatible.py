"""Clients of S3's protocol for stores that are not Amazon's: what they need beside an endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from streaming.storage.helper.spec import ClientSpec
from streaming.storage.logins.family import client_settings
from streaming.storage.url import odd_base, redact

__all__ = ["compatible_spec", "region_of_host", "virtual_only", "with_bucket_in_host"]

# Signatures name a region, and these hosts tell it.
_REGIONS = (
    re.compile(r"\bs3[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com"),
    re.compile(r"\bs3\.([a-z0-9-]+)\.(?:backblazeb2|wasabisys)\.com"),
    re.compile(r"\bobjectstorage\.([a-z0-9-]+)\.(?:oraclecloud|oci\.customer-oci)\.com"),
    re.compile(r"\b([a-z0-9-]+)\.digitaloceanspaces\.com"),
    re.compile(r"\bobject\.([a-z0-9-]+)\.coreweave\.com"),
)
_AUTO = (".r2.cloudflarestorage.com", "storage.googleapis.com")
_VIRTUAL_ONLY = ("cwobject.com", "cwlota.com")


def region_of_host(endpoint: str | None) -> str | None:
    """Return the region that an endpoint is in, if its name tells."""
    host = urlsplit(endpoint or "").hostname or ""
    if host.endswith(_AUTO):
        return "auto"
    return next((match.group(1) for pattern in _REGIONS if (match := pattern.search(host))), None)


def virtual_only(endpoint: str | None) -> bool:
    """Say whether an endpoint takes a bucket only as a part of the host's name."""
    return (urlsplit(endpoint or "").hostname or "").endswith(_VIRTUAL_ONLY)


def with_bucket_in_host(endpoint: str, bucket: str) -> str:
    """Return the endpoint of one bucket."""
    parts = urlsplit(endpoint)
    if (parts.hostname or "").startswith(f"{bucket}."):
        return endpoint
    return urlunsplit((parts.scheme, f"{bucket}.{parts.netloc}", parts.path, "", ""))


def compatible_spec(
    url: str,
    bucket: str,
    prefix: str,
    endpoint: str,
    region: str,
    keys: Mapping[str, str],
    options: Mapping[str, Any],
    hints: Mapping[str, str],
) -> ClientSpec:
    """Describe the client of another store that speaks S3's protocol. Nothing of Amazon's environment is looked at.

    Args:
        url: The root.
        bucket: Its bucket.
        prefix: What comes after the bucket.
        endpoint: Of the store.
        region: For signatures.
        keys: ``access_key_id`` and ``secret_access_key``; none for requests that are not signed.
        options: ``allow_http``, ``client_options``, ``retry_config``.
        hints: See ``ClientSpec``.
    """
    settings: dict[str, Any] = {
        **client_settings(options, endpoint),
        "bucket": bucket,
        "prefix": prefix or None,
        "endpoint": endpoint,
        "region": region,
        "virtual_hosted_style_request": False,
        "disable_bulk_delete": True,  # not all of them know of deleting several objects at once
    }
    base = odd_base(url)
    if base is not None:
        settings.update(odd=(bucket, base), prefix=None)
    public = ClientSpec(
        redact(url),
        "streaming.storage.providers.builders:build_s3",
        {**settings, "skip_signature": True},
        hints=hints,
        env_prefix="AWS_",
    )
    return public._replace(settings={**settings, **keys}, public=public) if keys else public
