"""Clients from settings that are complete, in whatever process is going to use them; see ``spec``.

A helper process imports little else: it starts as fast as this module can be imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from streaming.core.errors import AccessDeniedError
from streaming.core.imports import optional_import

__all__ = ["build_azure", "build_gcs", "build_http", "build_ready", "build_s3"]


def build_s3(
    boto3_profile: str | None = None, single_deletes: bool = False, odd: tuple[str, str] | None = None, **settings: Any
) -> Any:
    """Build the client; with a profile that only Amazon's SDK understands, let the SDK sign in."""
    from obstore.exceptions import UnknownConfigurationKeyError
    from obstore.store import S3Store

    if odd is not None:
        from streaming.storage.providers.odd_keys import Listing, odd_bucket

        below: dict[str, Any] = {**settings, "bucket": odd_bucket(settings["bucket"], odd[1])}
        client = build_s3(boto3_profile, True, None, **below)
        client.pages = Listing(*odd, {**settings, "boto3_profile": boto3_profile})
        return client

    if boto3_profile is not None:
        boto3 = optional_import("boto3", "aws", f"AWS profile {boto3_profile!r}")
        from obstore.auth.boto3 import Boto3CredentialProvider

        try:
            session = boto3.Session(profile_name=boto3_profile)
            settings["credential_provider"] = Boto3CredentialProvider(session)
        except Exception as error:
            raise AccessDeniedError(f"Could not sign in by the AWS profile {boto3_profile!r}: {error}") from error
    elif "access_key_id" in settings and _token_in_environment() and "session_token" not in settings:
        # The client would add the environment's token to keys that are not the environment's.
        names = ("access_key_id", "secret_access_key")
        settings["credential_provider"] = _Keys({name: settings.pop(name) for name in names})
    if single_deletes:
        # Older clients do not know the setting.
        with suppress(UnknownConfigurationKeyError):
            return S3Store(**settings, disable_bulk_delete=True)
    return S3Store(**settings)


def _token_in_environment() -> bool:
    return any(os.environ.get(name) for name in ("AWS_SESSION_TOKEN", "AWS_TOKEN"))


class _Keys:
    """Gives the client the same keys each time."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    def __call__(self) -> dict[str, Any]:
        return {**self._keys, "token": None, "expires_at": None}


def build_azure(token: str | None = None, azure_identity: bool = False, **settings: Any) -> Any:
    """Build the client; with credentials that only Microsoft's library understands, let that sign in."""
    from obstore.store import AzureStore

    if token is not None:
        settings["credential_provider"] = _Token(token)
    elif azure_identity:
        settings["credential_provider"] = _AzureIdentity()
    return AzureStore(**settings)


class _AzureIdentity:
    """Gives the client the tokens of Microsoft's library. The one that comes with ``obstore`` needs Python 3.11."""

    _SCOPE = "https://storage.azure.com/.default"

    def __init__(self) -> None:
        identity = optional_import("azure.identity", "azure", "An Azure login of this kind")
        # The machine's own is the client's to ask.
        self._credential = identity.DefaultAzureCredential(exclude_managed_identity_credential=True)

    def __call__(self) -> dict[str, Any]:
        try:
            token = self._credential.get_token(self._SCOPE)
        except Exception as error:
            # Its text may quote the reply.
            raise RuntimeError(f"Azure's library found no credentials ({type(error).__name__})") from None
        return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, timezone.utc)}


def build_gcs(token: str | None = None, google_auth_file: str | None = None, **settings: Any) -> Any:
    """Build the client; with credentials that only Google's library understands, let that sign in."""
    from obstore.store import GCSStore

    if token is not None:
        settings["credential_provider"] = _Token(token)
    elif google_auth_file is not None:
        from streaming.storage.logins.google_auth import GoogleAuth

        settings["credential_provider"] = GoogleAuth(google_auth_file)
    return GCSStore(**settings)


class _Token:
    """Gives the client the same token each time."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self) -> dict[str, Any]:
        return {"token": self._token, "expires_at": None}


def build_http(**settings: Any) -> Any:
    """Build the client."""
    from obstore.store import HTTPStore

    return HTTPStore(**settings)


def build_ready(kind: str, **settings: Any) -> Any:
    """Build the client."""
    import obstore.store

    return getattr(obstore.store, kind)(**settings)
