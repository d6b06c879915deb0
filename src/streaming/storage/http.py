"""Plain web servers, read by range requests. They cannot be listed."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from streaming.core.errors import ConfigError, ObjectNotFoundError, StorageError, UnavailableError
from streaming.storage.family import canonical
from streaming.storage.remote import RemoteStore
from streaming.storage.spec import ClientSpec
from streaming.storage.store import ObjectInfo
from streaming.storage.url import redact

__all__ = ["HttpStore", "open_http", "resolve_http"]

_OPTIONS = {"client_options", "headers", "retry_config"}
_HINTS = {
    "missing": "Check the path.",
    "denied": "Give a user and password in the URL, or a token in the storage option headers.",
    "throttled": "It asks to slow down: use fewer workers, or more retries.",
    "unavailable": "Check the host's name, its port and the network.",
}


class HttpStore(RemoteStore):
    """Objects are what a web server answers with."""

    #: Some servers send all of an object whatever part of it is asked for.
    takes_ranges = False

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Refuse: there is no way to ask a web server what it has.

        Raises:
            StorageError: Always.
        """
        raise StorageError(
            f"{self!r}: objects of a web server cannot be listed. Use the URL of its object store (s3://...), or a "
            "local path."
        )

    def exists_root(self) -> bool:
        """Say whether the server answers for the root, with anything but "missing"."""
        try:
            self._try(lambda spec: self._call(spec, "head", ""))
        except ObjectNotFoundError:
            return False
        except UnavailableError:
            raise
        except StorageError:
            return True
        return True

    def check_writable(self) -> None:
        """Check that the server answers; whether it takes writes, only writing tells."""
        if not self.exists_root():
            raise ObjectNotFoundError(f"{self!r}: the server has no such place. Check the URL.")


def open_http(url: str, options: Mapping[str, Any]) -> HttpStore:
    """Open ``http(s)://host/path``. A user and password, and a query, are sent with each request.

    Args:
        url: The root.
        options: ``headers`` to send with each request; ``client_options`` and ``retry_config`` as the client takes
            them.

    Raises:
        ConfigError: The URL names no host, or an option is unknown.
    """
    if not urlsplit(url).hostname:
        raise ConfigError(f"{redact(url)!r} names no host; expected https://host/path.")
    return HttpStore(url, canonical(options, "http", _OPTIONS, {}), resolve_http)


def resolve_http(url: str, options: Mapping[str, Any], find_region: bool) -> ClientSpec:
    """Describe the client of a URL; there are no regions to find."""
    del find_region
    parts = urlsplit(url)
    user, mark, host = parts.netloc.rpartition("@")
    headers = dict(options.get("headers", {}))
    if mark:
        token = base64.b64encode(unquote(user).encode()).decode("ascii")
        headers.setdefault("authorization", f"Basic {token}")
    settings: dict[str, Any] = {
        "url": urlunsplit((parts.scheme, host, parts.path, parts.query, "")),
        "client_options": {
            "allow_http": parts.scheme.lower() == "http",
            "default_headers": headers,
            **options.get("client_options", {}),
        },
        "retry_config": options.get("retry_config", {}),
    }
    return ClientSpec(redact(url), "streaming.storage.builders:build_http", settings, hints=_HINTS)
