"""Google Cloud Storage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.logins.family import canonical, client_settings, given_endpoint, hints
from streaming.storage.logins.gcs import find_gcs_login
from streaming.storage.providers.compatible import compatible_spec
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.url import odd_base, redact, split_bucket

__all__ = ["open_gcs", "resolve_gcs"]

_OPTIONS = {
    "access_key_id", "allow_http", "application_credentials", "client_options", "credential_provider", "endpoint",
    "retry_config", "secret_access_key", "service_account", "service_account_key", "skip_signature", "token",
    "user_project",
}  # fmt: skip
_ALIASES = {
    "anon": "skip_signature",
    "base_url": "endpoint",
    "bearer_token": "token",
    "endpoint_url": "endpoint",
    "gcs_key": "access_key_id",
    "gcs_secret": "secret_access_key",
    "key": "access_key_id",
    "requester_pays": "user_project",
    "secret": "secret_access_key",
    "service_account_path": "service_account",
}
_GOOGLE = "https://storage.googleapis.com"


def open_gcs(url: str, options: Mapping[str, Any]) -> RemoteStore:
    """Open ``gs://bucket/prefix`` (or ``gcs://``). Nothing is contacted yet.

    Args:
        url: The root.
        options: Those of docs/storage.md.

    Raises:
        ConfigError: The URL names no bucket, an option is unknown, or the endpoint is not a URL.
    """
    split_bucket(url)
    found = canonical(options, "gs", _OPTIONS, _ALIASES, prefix="google_")
    given_endpoint(found, {})
    return RemoteStore(url, found, resolve_gcs)


def resolve_gcs(url: str, options: Mapping[str, Any], find_region: bool | str) -> ClientSpec:
    """Find everything that the client needs, from options and environment; there are no regions to find.

    Raises:
        ConfigError: The endpoint is not a URL.
        AccessDeniedError: A file of credentials that is asked for is not there.
    """
    del find_region
    environ = dict(os.environ)
    bucket, prefix = split_bucket(url)
    login = find_gcs_login(options, environ)
    endpoint = given_endpoint(options, environ, "GCS_ENDPOINT_URL")
    project = options.get("user_project")
    if project:
        given = dict(options.get("client_options", {}))
        given["default_headers"] = {**given.get("default_headers", {}), "x-goog-user-project": project}
        options = {**options, "client_options": given}
    advice = hints(
        bucket="Check the bucket's name.",
        denied=(
            f"Credentials came from {login.source}. Run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS, or GCS_KEY and GCS_SECRET (HMAC), or the storage option service_account; "
            "check that they are current and that they allow this."
        ),
        unavailable="Check the network.",
    )
    keys = login.settings if "access_key_id" in login.settings else {}
    # Google speaks S3's protocol too, which takes HMAC keys, and which asks nobody for a token when there is no login.
    by_s3 = compatible_spec(url, bucket, prefix, endpoint or _GOOGLE, "auto", keys, options, advice)
    if login.is_unsigned or keys:
        return by_s3
    if odd_base(url) is not None:
        raise ConfigError(
            f"{redact(url)!r}: keys with empty segments ('//') are reached by Google's S3-compatible interface only. Give "
            "HMAC keys (GCS_KEY and GCS_SECRET, or the storage options access_key_id and secret_access_key)."
        )
    settings = {
        "kind": "GCSStore",
        **client_settings(options, endpoint),
        **login.settings,
        "bucket": bucket,
        "prefix": prefix or None,
    }
    if endpoint:
        settings["base_url"] = endpoint
    return ClientSpec(
        redact(url),
        "streaming.storage.providers.builders:build_store",
        settings,
        hints=advice,
        env_prefix="GOOGLE_",
        public=by_s3,
    )
