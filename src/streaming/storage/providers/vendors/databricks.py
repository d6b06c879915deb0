"""Databricks, by its own client: volumes of Unity Catalog, and the workspace's own file system."""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any
from urllib.parse import quote

from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.core.imports import optional_import
from streaming.storage.logins.family import canonical
from streaming.storage.options import Sealed
from streaming.storage.providers.vendors.client import CHUNK, TIMEOUT_S, VendorStore, described, environment, ranged
from streaming.storage.store import ObjectInfo
from streaming.storage.watched import within
from streaming.storage.words import words

__all__ = ["DbfsStore", "VolumeStore", "open_databricks"]

_SECRETS = ("token", "client_secret", "password", "azure_client_secret", "google_credentials")
_OPTIONS = {
    "account_id", "auth_type", "azure_client_id", "azure_client_secret", "azure_tenant_id", "azure_use_msi",
    "azure_workspace_resource_id", "client_id", "client_secret", "cluster_id", "config_file", "databricks_cli_path",
    "google_credentials", "google_service_account", "host", "metadata_service_url", "password", "profile", "token",
    "username", "workspace_id",
}  # fmt: skip
_LOGIN = (
    "Set DATABRICKS_HOST and DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, log in with "
    "`databricks auth login`, or give storage_options; every login of the Databricks SDK is taken."
)
_ENVIRONMENT = ("DATABRICKS_", "ARM_", "GOOGLE_CREDENTIALS")
_DESCRIBING = ["content-length", "content-range", "last-modified"]
# What the older interface takes and gives at a time.
_BLOCK = 1 << 20
# By the names of the client's exceptions, which say more than statuses do.
_KINDS: dict[str, tuple[type[StorageError], int]] = {
    "Unauthenticated": (AccessDeniedError, 401),
    "PermissionDenied": (AccessDeniedError, 403),
    "NotFound": (ObjectNotFoundError, 404),
    "TooManyRequests": (ThrottledError, 429),
    "InternalError": (UnavailableError, 500),
    "TemporarilyUnavailable": (UnavailableError, 503),
    "DeadlineExceeded": (UnavailableError, 504),
}


def open_databricks(url: str, options: Mapping[str, Any]) -> VendorStore:
    """Open ``dbfs:/Volumes/catalog/schema/volume/path``, or any other path of ``dbfs:/``. Nothing is contacted yet.

    Args:
        url: The root; ``dbfs:///path`` is the same as ``dbfs:/path``.
        options: What ``databricks.sdk.WorkspaceClient`` takes to log in (``host``, ``token``, ``client_id`` and
            ``client_secret`` of a service principal, ``profile``, ``auth_type`` ...), and ``max_concurrency``, the
            requests that a process has under way.

    Raises:
        ConfigError: The URL names less than a volume, or an option is unknown.
    """
    found = canonical(options, "dbfs", _OPTIONS, {}, "databricks_")
    path = url.partition(":")[2].strip("/")
    if not path:
        raise ConfigError(f"{url!r} names no path; expected dbfs:/Volumes/catalog/schema/volume/path.")
    parts = path.split("/")
    if parts[0] != "Volumes":
        return DbfsStore(url, found)
    if len(parts) < 4:
        raise ConfigError(f"{url!r} names no volume; expected dbfs:/Volumes/catalog/schema/volume/path.")
    return VolumeStore(url, found)


class _OneAttempt:
    """The clock by which the client waits before it asks again, which is for the callers of a store to do."""

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            raise error
        time.sleep(seconds)


class _Workspace(VendorStore):
    """What both have in common.

    Args:
        url: The root.
        options: As for :func:`open_databricks`.
    """

    _may_log_in_again = True

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed) -> None:
        super().__init__(url, options)
        self._root = "/" + url.partition(":")[2].strip("/")

    def __repr__(self) -> str:
        return f"dbfs:{self._root}"

    def _connect(self) -> Any:
        sdk = optional_import("databricks.sdk", "databricks", "dbfs:/")
        given = {name: value for name, value in self._options.reveal().items() if name != "max_concurrency"}

        def connect() -> Any:
            # The limits are for the client's own look at the host, and for uploads in parts.
            config = sdk.core.Config(
                clock=_OneAttempt(), http_timeout_seconds=TIMEOUT_S, retry_timeout_seconds=5, **given
            )
            return sdk.WorkspaceClient(config=config)

        try:
            return within(2 * TIMEOUT_S, connect)
        except ValueError as error:
            said = words(str(error), self._secrets())
            kind = ConfigError if "profile configured" in said or not _names_host(given) else AccessDeniedError
            raise kind(f"{self!r}: no login at Databricks: {said}. {_LOGIN}") from None

    def _key(self) -> Hashable:
        options = self._options.reveal()
        return "databricks", repr(sorted(options.items())), environment(*_ENVIRONMENT)

    def _place(self) -> str:
        return f"databricks {self._options.reveal().get('host') or os.environ.get('DATABRICKS_HOST', '')}"

    def _secrets(self) -> list[Any]:
        options = self._options.reveal()
        named = [options.get(name) for name in _SECRETS] + [
            os.environ.get(f"DATABRICKS_{name.upper()}") for name in _SECRETS
        ]
        return [value for value in named if value]

    def _failure(self, error: Exception, where: str) -> StorageError:
        # Of what is no answer of the workspace's, the client makes an essay.
        said = "" if str(error).startswith("unable to parse") else words(str(error), self._secrets())
        for kind in type(error).__mro__:
            if kind.__name__ in _KINDS:
                made, status = _KINDS[kind.__name__]
                advice = f" {_LOGIN}" if made is AccessDeniedError else ""
                return made(f"{where}: the workspace answered {status}{f' ({said})' if said else ''}.{advice}")
        name = type(error).__name__
        if "Timeout" in name:
            return StalledError(f"{where}: nothing came for {TIMEOUT_S:g} s. Check DATABRICKS_HOST and the network.")
        if isinstance(error, (OSError, EOFError)) and type(error).__module__.startswith(
            ("requests", "urllib3", "http")
        ):
            return UnavailableError(f"{where}: {name}: {said}. Check DATABRICKS_HOST, the network and HTTPS_PROXY.")
        if isinstance(error, ValueError):  # a login that failed when it was used
            return AccessDeniedError(f"{where}: {said}. {_LOGIN}")
        return StorageError(f"{where}: {name}: {said}.")

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


class VolumeStore(_Workspace):
    """Objects are the files below a directory of a volume."""

    reads_in_one = True

    def _head(self, client: Any, path: str) -> ObjectInfo:
        found = client.files.get_metadata(self._full(path))
        return described(path, {"content-length": found.content_length, "last-modified": found.last_modified})

    def _chunks(self, client: Any, path: str, start: int, end: int | None, told: list[ObjectInfo]) -> Iterator[bytes]:
        headers = {"Accept": "application/octet-stream", **ranged(start, end)}
        workspace = getattr(client.config, "workspace_id", None)
        if workspace:
            headers["X-Databricks-Workspace-Id"] = str(workspace)
        target = f"/api/2.0/fs/files{quote(self._full(path))}"
        try:
            reply = client.api_client.do("GET", target, headers=headers, raw=True, response_headers=_DESCRIBING)
        except Exception:
            if start and self._head(client, path).bytes <= start:
                return
            raise
        told.append(described(path, reply))
        with reply["contents"] as body:
            while chunk := body.read(CHUNK):
                yield chunk

    def _entries(self, client: Any, prefix: str) -> Iterator[ObjectInfo]:
        for entry in client.files.list_directory_contents(self._full(prefix)):
            path = entry.path.rstrip("/")[len(self._root) + 1 :]
            if entry.is_directory:
                yield from self._entries(client, path)
            else:
                yield _timed(path, entry.file_size, entry.last_modified)

    def _put(self, client: Any, path: str, source: IO[bytes]) -> None:
        directory = self._full(path).rpartition("/")[0]
        if directory.count("/") > 4:  # below the volume, which is not ours to make
            client.files.create_directory(directory)
        client.files.upload(self._full(path), source, overwrite=True)

    def _delete(self, client: Any, path: str) -> None:
        client.files.delete(self._full(path))

    def _probe(self, client: Any) -> None:
        client.files.get_directory_metadata(self._root)


class DbfsStore(_Workspace):
    """Objects are the files below a directory of the workspace's file system."""

    def _head(self, client: Any, path: str) -> ObjectInfo:
        found = client.dbfs.get_status(self._full(path))
        if found.is_dir:
            raise ObjectNotFoundError(f"{self!r}/{path} is a directory.")
        return _timed(path, found.file_size, found.modification_time)

    def _chunks(self, client: Any, path: str, start: int, end: int | None, told: list[ObjectInfo]) -> Iterator[bytes]:
        del told
        size = self._head(client, path).bytes  # the interface takes nothing beyond the end
        end = size if end is None else min(end, size)
        while start < end:
            reply = client.dbfs.read(self._full(path), offset=start, length=min(_BLOCK, end - start))
            data = base64.b64decode(reply.data or "")
            if not data:
                return
            yield data
            start += len(data)

    def _entries(self, client: Any, prefix: str) -> Iterator[ObjectInfo]:
        for entry in client.dbfs.list(self._full(prefix), recursive=True):
            path = entry.path.rstrip("/")[len(self._root) + 1 :]
            yield _timed(path, entry.file_size, entry.modification_time)

    def _put(self, client: Any, path: str, source: IO[bytes]) -> None:
        part = f"{self._full(path)}.{os.getpid()}.part"
        with client.dbfs.open(part, write=True, overwrite=True) as file:
            while block := source.read(_BLOCK):
                file.write(block)
        # Only a whole file has the name; there is no way to rename over one that is there.
        with suppress(self._missing()):
            client.dbfs.delete(self._full(path))
        client.api_client.do(
            "POST", "/api/2.0/dbfs/move", body={"source_path": part, "destination_path": self._full(path)}
        )

    def _delete(self, client: Any, path: str) -> None:
        client.dbfs.delete(self._full(path))

    def _probe(self, client: Any) -> None:
        client.dbfs.get_status(self._root)

    def _missing(self) -> type[Exception]:
        from databricks.sdk.errors import NotFound

        return NotFound


def _timed(path: str, size: int | None, modified_ms: int | None) -> ObjectInfo:
    if not modified_ms:
        return ObjectInfo(path, size or 0)
    # As `described` has it, whose times are of whole seconds.
    return ObjectInfo(path, size or 0, f"{modified_ms // 1000}-{size or 0}", modified_ms / 1000)


def _names_host(options: Mapping[str, Any]) -> bool:
    return bool(options.get("host") or os.environ.get("DATABRICKS_HOST"))
