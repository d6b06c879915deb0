"""Google Cloud Storage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.logins.gcs import find_gcs_login
from streaming.storage.logins.login import Login
from streaming.storage.providers.compatible import compatible_spec
from streaming.storage.providers.family import canonical, checked_endpoint, client_settings
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
        options: ``service_account`` (path of its file), ``service_account_key`` (its content),
            ``application_credentials`` (path of any file of credentials), ``token``, ``access_key_id`` and
            ``secret_access_key`` (HMAC), ``credential_provider`` of ``obstore``, ``skip_signature``, ``user_project``
            (pays for the requests), ``endpoint`` (else ``GCS_ENDPOINT_URL``); ``client_options`` and ``retry_config`` as
            the client takes them.

    Raises:
        ConfigError: The URL names no bucket, an option is unknown, or the endpoint is not a URL.
    """
    split_bucket(url)
    found = canonical(options, "gs", _OPTIONS, _ALIASES, prefix="google_")
    _endpoint(found, {})
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
    endpoint = _endpoint(options, environ)
    project = options.get("user_project")
    if project:
        given = dict(options.get("client_options", {}))
        given["default_headers"] = {**given.get("default_headers", {}), "x-goog-user-project": project}
        options = {**options, "client_options": given}
    hints = _hints(login)
    keys = login.settings if "access_key_id" in login.settings else {}
    # Google speaks S3's protocol too, which takes HMAC keys, and which asks nobody for a token when there is no login.
    by_s3 = compatible_spec(url, bucket, prefix, endpoint or _GOOGLE, "auto", keys, options, hints)
    if login.is_unsigned:
        return by_s3
    public = compatible_spec(url, bucket, prefix, endpoint or _GOOGLE, "auto", {}, options, hints)
    if keys:
        return by_s3._replace(public=public)
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
        "streaming.storage.helper.builders:build_store",
        settings,
        hints=hints,
        env_prefix="GOOGLE_",
        environ={},
        public=public,
    )


def _endpoint(options: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    if options.get("endpoint"):
        return checked_endpoint("the option endpoint", options["endpoint"])
    if environ.get("GCS_ENDPOINT_URL"):
        return checked_endpoint("GCS_ENDPOINT_URL", environ["GCS_ENDPOINT_URL"])
    return None


def _hints(login: Login) -> dict[str, str]:
    return {
        "bucket": "Check the bucket's name.",
        "missing": "Check the path.",
        "denied": (
            f"Credentials came from {login.source}. Run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS, or GCS_KEY and GCS_SECRET (HMAC), or the storage option service_account; "
            "check that they are current and that they allow this."
        ),
        "throttled": "It asks to slow down: use fewer workers, or more retries.",
        "unavailable": "Check the network.",
    }
