"""Clients from settings that are complete, in whatever process is going to use them; see ``spec``.

A helper process imports little else: it starts as fast as this module can be imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["build_s3", "build_store"]

# What older clients do not know, and do without.
_NEWER = ("disable_bulk_delete", "root_certificate")


def build_s3(odd: tuple[str, str] | None = None, **settings: Any) -> Any:
    """Build the client, for keys with empty segments too.

    Args:
        odd: Bucket and base of such keys.
        **settings: Of :func:`build_store`.
    """
    if odd is not None:
        from streaming.storage.providers.odd_keys import Listing, odd_bucket

        below = {**settings, "bucket": odd_bucket(settings["bucket"], odd[1]), "disable_bulk_delete": True}
        client = build_s3(None, **below)
        client.pages = Listing(*odd, settings)
        return client
    if "access_key_id" in settings and _token_in_environment() and "session_token" not in settings:
        # The client would add the environment's token to keys that are not the environment's.
        keys = {name: settings.pop(name) for name in ("access_key_id", "secret_access_key")}
        settings["credential_provider"] = _Same({**keys, "token": None})
    return build_store("S3Store", **settings)


def build_store(kind: str, token: str | None = None, sign_in: Sequence[str] | None = None, **settings: Any) -> Any:
    """Build a client.

    Args:
        kind: Its class in ``obstore.store``.
        token: What to sign with, where that is a token.
        sign_in: A function of ``logins.sdk`` and its arguments, where a vendor's library signs in.
        **settings: Of the class.
    """
    import obstore.store
    from obstore.exceptions import UnknownConfigurationKeyError

    if token is not None:
        settings["credential_provider"] = _Same({"token": token})
    elif sign_in is not None:
        from streaming.storage.logins import sdk

        settings["credential_provider"] = getattr(sdk, sign_in[0])(*sign_in[1:])
    try:
        return getattr(obstore.store, kind)(**settings)
    except UnknownConfigurationKeyError:
        given = {**settings, "client_options": _known(settings.get("client_options", {}))}
        return getattr(obstore.store, kind)(**_known(given))


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _NEWER}


def _token_in_environment() -> bool:
    return any(os.environ.get(name) for name in ("AWS_SESSION_TOKEN", "AWS_TOKEN"))


class _Same:
    """Gives the client the same credentials each time."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def __call__(self) -> dict[str, Any]:
        return {**self._given, "expires_at": None}
