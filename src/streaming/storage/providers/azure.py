"""Azure Blob Storage and Azure Data Lake Storage: the same containers by two names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.logins.azure import account_of, connection, find_azure_login
from streaming.storage.logins.azure_url import AzurePlace, azure_place
from streaming.storage.logins.family import canonical, checked_endpoint, client_settings, given_endpoint, hints
from streaming.storage.logins.login import Login
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.url import odd_base, redact

__all__ = ["open_azure", "resolve_azure"]

_OPTIONS = {
    "account_key", "account_name", "allow_http", "authority_host", "client_id", "client_options", "client_secret",
    "connection_string", "credential_provider", "encryption_key", "endpoint", "retry_config", "sas_key",
    "skip_signature", "tenant_id", "token",
}  # fmt: skip
_ALIASES = {
    "access_key": "account_key",
    "account": "account_name",
    "anon": "skip_signature",
    "bearer_token": "token",
    "endpoint_url": "endpoint",
    "sas_token": "sas_key",
}


def open_azure(url: str, options: Mapping[str, Any]) -> RemoteStore:
    """Open a container, in any of the forms of ``azure_url.azure_place``. Nothing is contacted yet.

    Args:
        url: The root; a query is a shared access signature.
        options: Those of docs/storage.md.

    Raises:
        ConfigError: The URL names no container, an option is unknown, or the endpoint is not a URL.
    """
    found = canonical(options, "azure", _OPTIONS, _ALIASES, prefix="azure_")
    azure_place(url, account_of(found, os.environ))
    given_endpoint(found, {})
    return RemoteStore(url, found, resolve_azure)


def resolve_azure(url: str, options: Mapping[str, Any], find_region: bool | str) -> ClientSpec:
    """Find everything that the client needs, from URL, options and environment; there are no regions to find.

    Raises:
        ConfigError: No account is named, or the endpoint is not a URL.
    """
    del find_region
    environ = dict(os.environ)
    given = account_of(options, environ)
    place = azure_place(url, given)
    account = place.account or given
    if not account:
        raise ConfigError(
            f"{redact(url)!r} names no Azure account. Set AZURE_ACCOUNT_NAME, give the storage option account_name, or "
            f"write abfss://{place.container}@<account>.dfs.core.windows.net/..."
        )
    if "//" in place.prefix or odd_base(url) is not None:
        raise ConfigError(
            f"{redact(url)!r}: the client for Azure takes no names with empty segments ('//'). Remove them."
        )
    endpoint = _endpoint(options, environ, place, account)
    login = find_azure_login(options, environ, place)
    common = {
        **client_settings(options, endpoint),
        "container_name": place.container,
        "prefix": place.prefix or None,
        "account_name": account,
        "endpoint": endpoint,
    }
    common.update({name: options[name] for name in ("authority_host", "encryption_key") if name in options})
    spec = ClientSpec(
        redact(url),
        "streaming.storage.providers.builders:build_store",
        {"kind": "AzureStore", **common, **login.settings},
        hints=_hints(login, place, account),
        env_prefix="AZURE_",
        # Microsoft's library looks at them again, the client must not.
        environ={n: v for n, v in environ.items() if n.startswith("AZURE_")} if "sign_in" in login.settings else {},
    )
    if login.is_unsigned:
        return spec
    return spec._replace(public=spec._replace(settings={"kind": "AzureStore", **common, "skip_signature": True}))


def _endpoint(options: Mapping[str, Any], environ: Mapping[str, str], place: AzurePlace, account: str) -> str:
    given = given_endpoint(options, environ, "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
    if given:
        return given
    entries = connection(options, environ)
    if "blobendpoint" in entries:
        return checked_endpoint("BlobEndpoint of the connection string", entries["blobendpoint"])
    suffix = entries.get("endpointsuffix") or place.suffix
    return f"https://{account}.blob.{suffix}"


def _hints(login: Login, place: AzurePlace, account: str) -> dict[str, str]:
    where = f"This is the container {place.container!r} of the account {account!r}"
    return hints(
        bucket=f"{where}: check that it is there. azure://account/container/path needs the account that "
        "AZURE_ACCOUNT_NAME names, if that is set; az://container/path needs none.",
        missing=f"Check the path. {where}.",
        denied=(
            f"Credentials came from {login.source}. Set AZURE_ACCOUNT_ACCESS_KEY, AZURE_STORAGE_SAS_TOKEN or "
            "AZURE_STORAGE_CONNECTION_STRING, run `az login`, or give the storage option account_key or sas_token; check "
            "that they are current and that they allow this."
        ),
        unavailable=f"{where}. Check the account's name and the network.",
    )
