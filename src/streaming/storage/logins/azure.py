"""Who this process is to Azure's storage: where its credentials come from.

The order: options, the URL's signature, the account's key, a signature or a connection string in the environment, a
service principal, workload identity, a certificate, the machine's identity, the commands ``az`` and ``azd``; and if none
is there, requests are not signed, which is what public containers need. The client signs in by all of them but the
certificate and ``azd``, which are for Microsoft's library.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.logins.azure_url import AzurePlace
from streaming.storage.logins.family import first_of, machine_says
from streaming.storage.logins.login import Login, unsigned

__all__ = ["account_of", "connection", "find_azure_login"]

_KEYS = ("AZURE_ACCOUNT_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_KEY")
_ACCOUNTS = ("AZURE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
_SIGNATURES = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"


def account_of(options: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """Return the account that options or environment give."""
    found = first_of(environ, *_ACCOUNTS)
    return (
        options.get("account_name")
        or connection(options, {}).get("accountname")
        or (found[1] if found else None)
        or connection({}, environ).get("accountname")
    )


def connection(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of the connection string, by their names in lower case; none if there is none.

    Raises:
        ConfigError: It is not one.
    """
    text = options.get("connection_string") or environ.get("AZURE_STORAGE_CONNECTION_STRING") or ""
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if not all(mark for _, mark, _ in pairs):
        # Not the text itself: it holds the account's key.
        raise ConfigError("The Azure connection string is not of the form Name=value;Name=value.")
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def find_azure_login(options: Mapping[str, Any], environ: Mapping[str, str], place: AzurePlace) -> Login:
    """Find the credentials for a container.

    Args:
        options: Storage options with canonical names.
        environ: The environment.
        place: What the URL says.
    """
    login = _from_options(options) or _from_place(place) or _from_environment(environ) or _from_identity(environ)
    return login or unsigned()


def _from_options(options: Mapping[str, Any]) -> Login | None:
    if options.get("skip_signature"):
        return unsigned("the option skip_signature")
    source = "the storage options"
    for name in ("account_key", "sas_key", "token", "credential_provider"):
        if name in options:
            return Login(source, {name: _signature(options[name]) if name == "sas_key" else options[name]})
    if "client_id" in options and "client_secret" in options:
        return Login(source, {n: options[n] for n in ("client_id", "client_secret", "tenant_id") if n in options})
    return _from_connection(connection(options, {}), "the option connection_string")


def _from_place(place: AzurePlace) -> Login | None:
    return Login("the URL's signature", {"sas_key": place.signature}) if place.signature else None


def _from_connection(entries: Mapping[str, str], source: str) -> Login | None:
    if "accountkey" in entries:
        return Login(source, {"account_key": entries["accountkey"]})
    if "sharedaccesssignature" in entries:
        return Login(source, {"sas_key": _signature(entries["sharedaccesssignature"])})
    return None


def _from_environment(environ: Mapping[str, str]) -> Login | None:
    key = first_of(environ, *_KEYS)
    if key:
        return Login(key[0], {"account_key": key[1]})
    signature = first_of(environ, *_SIGNATURES)
    if signature:
        return Login(signature[0], {"sas_key": _signature(signature[1])})
    return _from_connection(connection({}, environ), "AZURE_STORAGE_CONNECTION_STRING")


def _from_identity(environ: Mapping[str, str]) -> Login | None:
    names = {"client_id": "AZURE_CLIENT_ID", "tenant_id": "AZURE_TENANT_ID"}
    who = {name: environ[variable] for name, variable in names.items() if environ.get(variable)}
    if len(who) == 2 and environ.get("AZURE_CLIENT_SECRET"):
        return Login("AZURE_CLIENT_SECRET", {**who, "client_secret": environ["AZURE_CLIENT_SECRET"]})
    if len(who) == 2 and environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        settings = {**who, "federated_token_file": environ["AZURE_FEDERATED_TOKEN_FILE"]}
        return Login("AZURE_FEDERATED_TOKEN_FILE", settings)
    if len(who) == 2 and environ.get("AZURE_CLIENT_CERTIFICATE_PATH"):
        return Login("AZURE_CLIENT_CERTIFICATE_PATH", {"sign_in": ("azure_default",)})
    endpoint = first_of(environ, "AZURE_MSI_ENDPOINT", "AZURE_IDENTITY_ENDPOINT")
    if endpoint or machine_says({"chassis_asset_tag": _AZURE_TAG}):
        settings = {"msi_endpoint": endpoint[1]} if endpoint else {}
        if "client_id" in who:
            settings["client_id"] = who["client_id"]
        return Login("the machine's identity", settings)
    folder = environ.get("AZURE_CONFIG_DIR") or os.path.join(os.path.expanduser("~"), ".azure")
    if os.path.isdir(folder) and shutil.which("az", path=environ.get("PATH")):
        return Login("the command az", {"use_azure_cli": True})
    if shutil.which("azd", path=environ.get("PATH")) and _has_azure_identity():
        return Login("Azure's default credentials", {"sign_in": ("azure_default",)})
    return None


def _has_azure_identity() -> bool:
    return find_spec("azure") is not None and find_spec("azure.identity") is not None


def _signature(text: Any) -> str:
    return str(text).strip().lstrip("?")
