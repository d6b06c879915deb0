"""Databricks: volumes of Unity Catalog, and the workspace's own file system."""

from __future__ import annotations

import base64
import json
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO, Any
from urllib.parse import quote, urlencode

from streaming.core.errors import AccessDeniedError, ConfigError, ObjectNotFoundError, StorageError
from streaming.storage.databricks_login import Login, find_login
from streaming.storage.family import canonical
from streaming.storage.gate import gate_of
from streaming.storage.options import Sealed, seal
from streaming.storage.ranged import RangedStore
from streaming.storage.rest import Reply, read_range, request
from streaming.storage.store import ObjectInfo
from streaming.storage.url import check_path

__all__ = ["DbfsStore", "VolumeStore", "open_databricks"]

_OPTIONS = {"client_id", "client_secret", "host", "profile", "token"}
_CONNECTIONS = 16
# What the interface takes and gives at a time.
_BLOCK = 1 << 20


def open_databricks(url: str, options: Mapping[str, Any]) -> RangedStore:
    """Open ``dbfs:/Volumes/catalog/schema/volume/path``, or any other path of ``dbfs:/``. Nothing is contacted yet.

    Args:
        url: The root; ``dbfs:///path`` is the same as ``dbfs:/path``.
        options: ``host``, ``token``, or ``client_id`` and ``client_secret`` of a service principal, ``profile``, a section
            of ``~/.databrickscfg``, and ``max_concurrency``, the requests that a process has under way.

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


class _Workspace(RangedStore):
    """What both have in common.

    Args:
        url: The root.
        options: As for :func:`open_databricks`.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed) -> None:
        super().__init__(url)
        self._options = seal(options)
        self._root = "/" + url.partition(":")[2].strip("/")

    def __repr__(self) -> str:
        return f"dbfs:{self._root}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self._options)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every file in and below a directory, in the order of their paths; none if there is none."""
        prefix = prefix.strip("/")
        if prefix:
            check_path(prefix)
        try:
            found = list(self._entries(prefix))
        except ObjectNotFoundError:
            return
        found.sort(key=lambda entry: entry[0] + "/" * entry[3])
        start = prefix + "/" if prefix else ""
        for name, size, version, is_directory in found:
            if is_directory:
                yield from self.list(start + name)
            else:
                yield ObjectInfo(start + name, size, version)

    @abstractmethod
    def _entries(self, prefix: str) -> Iterator[tuple[str, int, str, bool]]:
        """Yield name, size, version, and whether it is a directory, of what a directory holds."""

    def _ask(
        self,
        method: str,
        target: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
    ) -> Reply:
        options = self._options.reveal()
        login = find_login(options, os.environ)
        most = int(options.get("max_concurrency", _CONNECTIONS))
        with gate_of(login.host, most).turn(f"{self!r}/{path}"):
            try:
                return self._send(login, method, target, path, headers or {}, body, renew=False)
            except AccessDeniedError as error:
                if login.token is not None:
                    raise AccessDeniedError(f"{error} Check DATABRICKS_TOKEN and what it may do.") from None
                if body is not None and not isinstance(body, bytes):
                    body.seek(0)
                return self._send(login, method, target, path, headers or {}, body, renew=True)

    def _send(
        self,
        login: Login,
        method: str,
        target: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None,
        renew: bool,
    ) -> Reply:
        sent = {**headers, "Authorization": f"Bearer {login.bearer(renew)}"}
        return request(method, login.host + target, sent, f"{self!r}/{path}", body)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


class VolumeStore(_Workspace):
    """Objects are the files below a directory of a volume."""

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of a file, fewer where it ends before."""
        check_path(path)
        return read_range(lambda headers: self._ask("GET", self._file(path), path, headers), start, end)

    def head(self, path: str) -> ObjectInfo:
        """Return size and version (when it was changed) of a file."""
        check_path(path)
        headers = self._ask("HEAD", self._file(path), path).headers
        return ObjectInfo(path, int(headers["content-length"]), headers.get("last-modified"))

    def put(self, path: str, source: str | bytes) -> None:
        """Write a file in one request."""
        check_path(path)
        directory = self._full(path).rpartition("/")[0]
        if isinstance(source, bytes):
            self._put(path, directory, source, len(source))
            return
        with open(source, "rb") as file:
            self._put(path, directory, file, os.fstat(file.fileno()).st_size)

    def delete(self, path: str) -> None:
        """Remove a file; a missing one is no failure."""
        check_path(path)
        with suppress(ObjectNotFoundError):
            self._ask("DELETE", self._file(path), path)

    def exists_root(self) -> bool:
        """Say whether the directory exists."""
        try:
            self._ask("HEAD", f"/api/2.0/fs/directories{quote(self._root)}", "")
        except ObjectNotFoundError:
            return False
        return True

    def _put(self, path: str, directory: str, body: bytes | IO[bytes], size: int) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        if directory.count("/") > 4:  # below the volume, which is not ours to make
            self._ask("PUT", f"/api/2.0/fs/directories{quote(directory)}", path, body=b"")
        self._ask("PUT", f"{self._file(path)}?overwrite=true", path, headers, body)

    def _entries(self, prefix: str) -> Iterator[tuple[str, int, str, bool]]:
        target = f"/api/2.0/fs/directories{quote(self._full(prefix))}"
        page = ""
        while True:
            found = json.loads(self._ask("GET", target + page, prefix).body)
            for item in found.get("contents", ()):
                is_directory = bool(item.get("is_directory"))
                name = item["path"].rstrip("/").rpartition("/")[2]
                yield name, int(item.get("file_size", 0)), str(item.get("last_modified", "")), is_directory
            token = found.get("next_page_token")
            if not token:
                return
            page = "?" + urlencode({"page_token": token})

    def _file(self, path: str) -> str:
        return f"/api/2.0/fs/files{quote(self._full(path))}"


class DbfsStore(_Workspace):
    """Objects are the files below a directory of the workspace's file system."""

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of a file, fewer where it ends before."""
        check_path(path)
        parts: list[bytes] = []
        while start < end:
            query = {"path": self._full(path), "offset": start, "length": min(_BLOCK, end - start)}
            try:
                reply = json.loads(self._call("GET", "read", path, query).body)
            except StorageError as error:
                if "MAX_READ_SIZE_EXCEEDED" in str(error) or "INVALID_PARAMETER_VALUE" in str(error):
                    self.head(path)  # beyond the end, if it is there
                    break
                raise
            data = base64.b64decode(reply.get("data", ""))
            if not data:
                break
            parts.append(data)
            start += len(data)
        return b"".join(parts)

    def head(self, path: str) -> ObjectInfo:
        """Return size and version (when it was changed) of a file."""
        check_path(path)
        reply = json.loads(self._call("GET", "get-status", path, {"path": self._full(path)}).body)
        if reply.get("is_dir"):
            raise ObjectNotFoundError(f"{self!r}/{path} is a directory.")
        return ObjectInfo(path, int(reply["file_size"]), str(reply.get("modification_time", "")))

    def put(self, path: str, source: str | bytes) -> None:
        """Write a file, block by block."""
        check_path(path)
        if isinstance(source, str):
            with open(source, "rb") as file:
                self._put(path, iter(lambda: file.read(_BLOCK), b""))
            return
        self._put(path, (source[at : at + _BLOCK] for at in range(0, len(source), _BLOCK)))

    def delete(self, path: str) -> None:
        """Remove a file; a missing one is no failure."""
        check_path(path)
        with suppress(ObjectNotFoundError):
            self._call("POST", "delete", path, {"path": self._full(path)})

    def exists_root(self) -> bool:
        """Say whether the directory exists."""
        try:
            self._call("GET", "get-status", "", {"path": self._root})
        except ObjectNotFoundError:
            return False
        return True

    def _put(self, path: str, blocks: Iterator[bytes]) -> None:
        part = f"{self._full(path)}.{os.getpid()}.part"
        handle = json.loads(self._call("POST", "create", path, {"path": part, "overwrite": True}).body)["handle"]
        for block in blocks:
            data = base64.b64encode(block).decode()
            self._call("POST", "add-block", path, {"handle": handle, "data": data})
        self._call("POST", "close", path, {"handle": handle})
        # Only a whole file has the name; there is no way to rename over one that is there.
        self._call("POST", "delete", path, {"path": self._full(path)})
        self._call("POST", "move", path, {"source_path": part, "destination_path": self._full(path)})

    def _entries(self, prefix: str) -> Iterator[tuple[str, int, str, bool]]:
        found = json.loads(self._call("GET", "list", prefix, {"path": self._full(prefix)}).body)
        for item in found.get("files", ()):
            name = item["path"].rstrip("/").rpartition("/")[2]
            yield name, int(item.get("file_size", 0)), str(item.get("modification_time", "")), bool(item.get("is_dir"))

    def _call(self, method: str, name: str, path: str, fields: Mapping[str, Any]) -> Reply:
        target = f"/api/2.0/dbfs/{name}"
        try:
            if method == "GET":
                return self._ask(method, f"{target}?{urlencode(fields)}", path)
            body = json.dumps(fields).encode()
            return self._ask(method, target, path, {"Content-Type": "application/json"}, body)
        except ObjectNotFoundError:
            if name == "delete":
                return Reply(200, {}, b"{}", "")
            raise
