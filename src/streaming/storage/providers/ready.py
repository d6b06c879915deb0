"""A store object of ``obstore`` that a user has made, in the place of the client that we would make."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from streaming.core.errors import ConfigError
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.logins.azure_url import AZURE_SCHEMES, azure_place
from streaming.storage.logins.family import hints
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.url import redact, scheme_of, split_query

__all__ = ["open_ready", "resolve_ready"]

# The variables that each class reads when it is made, which what the user made has read already.
_PREFIXES = {"S3Store": "AWS_", "GCSStore": "GOOGLE_", "AzureStore": "AZURE_", "HTTPStore": ""}
_HINTS = hints(
    bucket="Check the bucket of the obstore store given as storage_options.",
    denied="Check the credentials of the obstore store given as storage_options.",
    region="Check the region of the obstore store given as storage_options.",
    unavailable="Check the endpoint of the obstore store given as storage_options, and the network.",
)


def open_ready(url: str, client: Any) -> RemoteStore:
    """Open a URL by a store object of ``obstore``.

    Args:
        url: The root. The store stands for its bucket, so what comes after the bucket is looked for below the store.
        client: An ``S3Store``, ``GCSStore``, ``AzureStore`` or ``HTTPStore``.

    Raises:
        ConfigError: It is of another class, or has a credential provider that cannot be pickled.
    """
    kind = _kind(client)
    provider = getattr(client, "credential_provider", None)
    try:
        pickle.dumps(provider)
    except Exception:
        raise ConfigError(
            f"The credential provider of the {kind} given as storage_options cannot be pickled, and other processes need "
            "it. Make it an object of a class, or a function, of a module."
        ) from None
    return RemoteStore(url, {"client": client}, resolve_ready)


def resolve_ready(url: str, options: Mapping[str, Any], find_region: bool | str) -> ClientSpec:
    """Describe a client with the settings of the one that was given."""
    del find_region
    client = options["client"]
    kind = _kind(client)
    path = _path(url, client)
    settings: dict[str, Any] = {"kind": kind}
    if kind == "HTTPStore":
        settings["url"] = "/".join(part for part in (str(client.url).rstrip("/"), path) if part)
    else:
        own = str(client.prefix or "").strip("/")
        settings["prefix"] = "/".join(part for part in (own, path) if part) or None
        settings["config"] = dict(client.config)
        if client.credential_provider is not None:
            settings["credential_provider"] = client.credential_provider
    settings["client_options"] = dict(client.client_options or {})
    settings["retry_config"] = dict(client.retry_config or {})
    return ClientSpec(
        redact(url),
        "streaming.storage.providers.builders:build_store",
        settings,
        hints=_HINTS,
        env_prefix=_PREFIXES[kind],
    )


def _path(url: str, client: Any) -> str:
    """Return what comes after the bucket."""
    if scheme_of(url) in AZURE_SCHEMES:
        return azure_place(url, dict(getattr(client, "config", {})).get("account_name")).prefix
    return unquote(split_query(url)[0].partition("://")[2].partition("/")[2]).strip("/")


def _kind(client: Any) -> str:
    for kind in type(client).__mro__:
        if kind.__name__ in _PREFIXES:
            return kind.__name__
    raise ConfigError(
        f"storage_options is a {type(client).__name__}, which other processes cannot use. Known: "
        f"{', '.join(sorted(_PREFIXES))}; for files, give a path or file:// URL."
    )
