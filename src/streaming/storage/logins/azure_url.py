"""Azure's URLs: account, container and path, in each of the forms that are in use. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from streaming.core.errors import ConfigError
from streaming.storage.url import redact, scheme_of

__all__ = ["AZURE_SCHEMES", "AzurePlace", "azure_place"]

#: The schemes whose URLs these are.
AZURE_SCHEMES = frozenset({"abfs", "abfss", "az", "azure", "azure-dl"})

_CONTAINER = re.compile(r"\$?[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])?")
_SUFFIX = "core.windows.net"


@dataclass(frozen=True)
class AzurePlace:
    """What a URL says.

    Attributes:
        container: The container, or file system.
        prefix: What comes after it.
        account: The account, ``None`` if the URL does not say.
        suffix: Domain of the account's services.
        signature: A shared access signature. Secret, so never shown.
    """

    container: str
    prefix: str
    account: str | None
    suffix: str
    signature: str = field(repr=False)


def azure_place(url: str, account: str | None) -> AzurePlace:
    """Take a URL apart.

    ``<container>@<account>.dfs.core.windows.net/<path>`` and ``<account>.blob.core.windows.net/<container>/<path>`` say
    everything. What is neither is ``<container>/<path>``, but for ``azure://``, where it is ``<account>/<container>/
    <path>`` if the first part is the account given elsewhere, or no account is given elsewhere.

    Args:
        url: The URL. Its query is a shared access signature.
        account: The account that options or environment give, ``None`` if they give none.

    Raises:
        ConfigError: The URL names no container, or no possible one.
    """
    parts = urlsplit(url)
    if parts.fragment or "=" not in (parts.query or "="):
        raise ConfigError(
            f"{redact(url)!r} has a {'#' if parts.fragment else '?'!r} that begins no shared access signature. In a name, "
            "write %3F for ? and %23 for #."
        )
    host, path, named = parts.netloc, unquote(parts.path).strip("/"), None
    suffix = _SUFFIX
    container, mark, rest = host.partition("@")
    if mark:
        named, suffix = _host(rest)
    elif "." in host:
        named, suffix = _host(host)
        container, _, path = path.partition("/")
    elif scheme_of(url) == "azure" and host and account in (None, host):
        named = host
        container, _, path = path.partition("/")
    if not _CONTAINER.fullmatch(container):
        raise ConfigError(
            f"{redact(url)!r} names the Azure container {container!r}, which cannot be one. Expected "
            "az://container/path, azure://account/container/path, or abfss://container@account.dfs.core.windows.net/path."
        )
    return AzurePlace(container, path.strip("/"), named, suffix, parts.query)


def _host(host: str) -> tuple[str, str]:
    account, _, domain = host.partition(".")
    # The services of an account have hosts of their own (blob, dfs); objects are read through the first.
    return account, re.sub(r"^(?:blob|dfs)\.", "", domain) or _SUFFIX
