"""Plain web servers, read by range requests. They cannot be listed."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from streaming.core.errors import ConfigError, ObjectNotFoundError, StorageError, UnavailableError
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.logins.family import canonical, hints
from streaming.storage.options import Sealed
from streaming.storage.providers.redirects import elsewhere
from streaming.storage.providers.remote import RemoteStore, Resolve
from streaming.storage.store import ObjectInfo
from streaming.storage.url import check_path, join, redact

__all__ = ["HttpStore", "open_http", "resolve_http"]

_DIRECT_S = 60.0
_MOST_HOPS = 5
_OPTIONS = {"client_options", "headers", "retry_config"}
_HINTS = hints(
    denied="Give a user and password in the URL, or a token in the storage option headers.",
    unavailable="Check the host's name, its port and the network.",
)


class HttpStore(RemoteStore):
    """Objects are what a web server answers with.

    Where the URL has a user or a query, or there are headers to send, these go to its host alone: a server that sends us
    to another for an object is found out before, by a request of its own, and the other is asked without them.
    """

    #: Some servers send all of an object whatever part of it is asked for.
    takes_ranges = False

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed, resolve: Resolve) -> None:
        super().__init__(url, options, resolve)
        # Until when an object is taken to be answered by the host itself.
        self._direct: dict[str, float] = {}
        self._hops = 0

    def get_range(self, path: str, start: int, end: int) -> bytes:
        store, name = self._home(path)
        return super(HttpStore, store).get_range(name, start, end)

    def head(self, path: str) -> ObjectInfo:
        store, name = self._home(path)
        return super(HttpStore, store).head(name)._replace(path=path)

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        store, name = self._home(path)
        data, info = super(HttpStore, store).read(name, start, end, version=version)
        return data, info._replace(path=path)

    @contextmanager
    def _reading(
        self, path: str, start: int, stall_s: float, version: str | None, is_told: bool
    ) -> Iterator[tuple[ObjectInfo, Iterator[Any]]]:
        store, name = self._home(path)
        with super(HttpStore, store)._reading(name, start, stall_s, version, is_told) as (info, chunks):
            yield info._replace(path=path), chunks

    def _home(self, path: str) -> tuple[HttpStore, str]:
        """Return the store that an object is to be asked of, and its name there."""
        check_path(path)
        options = self._options.reveal()
        headers, client_options = options.get("headers", {}), dict(options.get("client_options", {}))
        headers = {**client_options.pop("default_headers", {}), **headers}
        parts = urlsplit(self.url)
        if not (parts.query or "@" in parts.netloc or headers):
            return self, path
        if time.monotonic() < self._direct.get(path, 0.0):
            return self, path
        with self._turn(path):
            found = elsewhere(join(self.url, quote(path)), headers, client_options, self.patience_s)
        if found is None:
            self._direct[path] = time.monotonic() + _DIRECT_S
            return self, path
        if self._hops >= _MOST_HOPS:
            raise StorageError(f"{self!r}/{path}: redirected to more than {_MOST_HOPS} hosts.")
        base, mark, query = found.partition("#")[0].partition("?")
        root, _, name = base.rpartition("/")
        other = HttpStore(
            root + mark + query, {**options, "headers": {}, "client_options": client_options}, self._resolve
        )
        other._hops, other.patience_s = self._hops + 1, self.patience_s
        return other._home(unquote(name))

    def list(self, prefix: str = "", enters: Callable[[str], bool] | None = None) -> Iterator[ObjectInfo]:
        """Refuse: there is no way to ask a web server what it has.

        Raises:
            StorageError: Always.
        """
        raise StorageError(
            f"{self!r}: objects of a web server cannot be listed. Name them (part-{{00..99}}.parquet), use the URL of its "
            "object store (s3://...), or a local path."
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
    parts = urlsplit(url)
    if not parts.hostname:
        raise ConfigError(f"{redact(url)!r} names no host; expected https://host/path.")
    if parts.fragment:
        raise ConfigError(f"{redact(url)!r} goes on with '#', which servers are not sent. In a name, write %23.")
    return HttpStore(url, canonical(options, "http", _OPTIONS, {}), resolve_http)


def resolve_http(url: str, options: Mapping[str, Any], find_region: bool | str) -> ClientSpec:
    """Describe the client of a URL; there are no regions to find."""
    del find_region
    parts = urlsplit(url)
    user, mark, host = parts.netloc.rpartition("@")
    headers = dict(options.get("headers", {}))
    if mark:
        token = base64.b64encode(unquote(user).encode()).decode("ascii")
        headers.setdefault("authorization", f"Basic {token}")
    settings: dict[str, Any] = {
        "kind": "HTTPStore",
        "url": urlunsplit((parts.scheme, host, parts.path, parts.query, "")),
        "client_options": {
            "allow_http": parts.scheme.lower() == "http",
            "default_headers": headers,
            **options.get("client_options", {}),
        },
        "retry_config": options.get("retry_config", {}),
    }
    return ClientSpec(redact(url), "streaming.storage.providers.builders:build_store", settings, hints=_HINTS)
