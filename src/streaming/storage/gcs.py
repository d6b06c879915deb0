"""Google Cloud Storage."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timezone
from typing import Any

from streaming.core.imports import optional_import
from streaming.storage.compatible import compatible_spec
from streaming.storage.family import canonical, checked_endpoint, client_settings
from streaming.storage.gcs_login import GcsLogin, find_gcs_login
from streaming.storage.remote import RemoteStore
from streaming.storage.spec import ClientSpec
from streaming.storage.url import redact, split_bucket

__all__ = ["build_gcs", "open_gcs", "resolve_gcs"]

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
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


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


def resolve_gcs(url: str, options: Mapping[str, Any], find_region: bool) -> ClientSpec:
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
    # Google speaks S3's protocol too, which takes HMAC keys, and which asks nobody for a token when there is no login.
    by_s3 = compatible_spec(url, bucket, prefix, endpoint or _GOOGLE, "auto", login.keys, options, hints)
    if login.is_unsigned:
        return by_s3
    public = compatible_spec(url, bucket, prefix, endpoint or _GOOGLE, "auto", {}, options, hints)
    if login.keys:
        return replace(by_s3, public=public)
    settings = {**client_settings(options, endpoint), **login.settings, "bucket": bucket, "prefix": prefix or None}
    if endpoint:
        settings["base_url"] = endpoint
    return ClientSpec(
        redact(url),
        "streaming.storage.gcs:build_gcs",
        settings,
        hints=hints,
        env_prefix="GOOGLE_",
        environ={},
        public=public,
    )


def build_gcs(token: str | None = None, google_auth_file: str | None = None, **settings: Any) -> Any:
    """Build the client; with credentials that only Google's library understands, let that sign in."""
    from obstore.store import GCSStore

    if token is not None:
        settings["credential_provider"] = _Token(token)
    elif google_auth_file is not None:
        settings["credential_provider"] = _GoogleAuth(google_auth_file)
    return GCSStore(**settings)


class _Token:
    """Gives the client the same token each time."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self) -> dict[str, Any]:
        return {"token": self._token, "expires_at": None}


class _GoogleAuth:
    """Gets tokens by Google's library."""

    def __init__(self, path: str) -> None:
        _google("google.auth")
        self._request = _google("google.auth.transport.requests").Request()
        self._credentials = _load_credentials(path)
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, Any]:
        with self._lock:
            try:
                self._credentials.refresh(self._request)
            except Exception as error:
                # Its text may quote the reply.
                raise RuntimeError(
                    f"Google's library could not renew the credentials ({type(error).__name__})"
                ) from None
            expiry = self._credentials.expiry
            return {
                "token": self._credentials.token,
                "expires_at": expiry.replace(tzinfo=timezone.utc) if expiry else None,
            }


def _load_credentials(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        fields: dict[str, Any] = json.load(file)
    if fields.get("type") != "external_account":
        return _google("google.auth").load_credentials_from_file(path, scopes=[_SCOPE])[0]
    # Not by the function above: it asks the network which project this is, which nobody needs to know.
    if fields.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        module = "google.auth.aws"
    elif "executable" in fields.get("credential_source", {}):
        module = "google.auth.pluggable"
    else:
        module = "google.auth.identity_pool"
    return _google(module).Credentials.from_info(fields, scopes=[_SCOPE])


def _google(module: str) -> Any:
    return optional_import(module, "gcp", "Google credentials of this kind")


def _endpoint(options: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    if options.get("endpoint"):
        return checked_endpoint("the option endpoint", options["endpoint"])
    if environ.get("GCS_ENDPOINT_URL"):
        return checked_endpoint("GCS_ENDPOINT_URL", environ["GCS_ENDPOINT_URL"])
    return None


def _hints(login: GcsLogin) -> dict[str, str]:
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
