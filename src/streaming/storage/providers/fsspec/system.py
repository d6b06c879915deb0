"""A file system of fsspec, and what is done with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from io import BytesIO
from typing import IO, Any

from streaming.core.errors import ConfigError, MissingDependencyError, StorageError
from streaming.core.imports import optional_import
from streaming.storage.network import share_ca_bundle
from streaming.storage.store import ObjectInfo
from streaming.storage.url import is_part, part_of, redact, scheme_of

__all__ = ["System", "connect"]

_CHUNK = 4 << 20
_ATTEMPTS = 5


class System:
    """A file system, for one operation at a time.

    Args:
        fs: What fsspec made.
        root: The directory of the store there.
    """

    def __init__(self, fs: Any, root: str) -> None:
        base = optional_import("fsspec.spec", "fsspec", "fsspec").AbstractFileSystem
        self.fs = fs
        self._root = root.rstrip("/")
        # The others copy and delete, which takes time and is no single step either.
        self._renames = type(fs).mv is not base.mv
        self._lists_flat = type(fs).find is not base.find or hasattr(fs, "_find")

    def is_alive(self) -> bool:
        """Say that it can be used; nobody knows better."""
        return True

    def close(self) -> None:
        """Forget it; fsspec has no way of closing."""

    def full(self, path: str) -> str:
        """Return the file system's name of an object."""
        return f"{self._root}/{path}" if self._root and path else path or self._root or "/"

    def head(self, path: str) -> ObjectInfo:
        """Return size and version of a file."""
        self.fs.invalidate_cache()
        info = self.fs.info(self.full(path))
        if info["type"] == "directory":
            raise IsADirectoryError(path)
        return _as_object(path, info)

    def read(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of a file, fewer where it ends before."""
        if end <= start:
            return b""
        try:
            return self.fs.cat_file(self.full(path), start=start, end=end)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:
            # Some take a range beyond the end for an error.
            size = self.head(path).bytes
            if start >= size:
                return b""
            if end <= size:
                raise
            return self.fs.cat_file(self.full(path), start=start, end=size)

    def chunks(self, path: str, start: int) -> Iterator[bytes]:
        """Yield a file from a byte on."""
        with self.fs.open(self.full(path), "rb", cache_type="none") as file:
            if start:
                file.seek(start)
            while chunk := file.read(_CHUNK):
                yield chunk

    def entries(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every file in and below a directory, in any order."""
        self.fs.invalidate_cache()
        top = self.full(prefix)
        found: dict[str, Any] = self.fs.find(top, detail=True) if self._lists_flat else dict(_walk(self.fs, top))
        if not found:
            self.fs.ls(top)  # tells why, if there is a reason
        start = self._root.strip("/") + "/" if self._root.strip("/") else ""
        inside = top.strip("/") + "/" if top.strip("/") else ""
        for name, info in found.items():
            plain = name.lstrip("/")
            if plain.startswith(inside) and not is_part(plain.rpartition("/")[2]):
                yield _as_object(plain[len(start) :], info)

    def put(self, path: str, source: IO[bytes]) -> None:
        """Write a file: under another name first, where the file system can rename."""
        full = self.full(path)
        if not self._renames:
            self._write(full, source)
            return
        directory, part = full.rpartition("/")[0], part_of(full)
        if directory:
            self._make_directories(directory)
        try:
            self._write(part, source)
            self._rename(part, full)
        except BaseException:
            with suppress(Exception):
                self.fs.rm_file(part)
            raise

    def delete(self, path: str) -> None:
        """Remove a file; one that is not there may be an error."""
        try:
            self.fs.rm_file(self.full(path))
        except FileNotFoundError:
            return
        except Exception:
            self.fs.invalidate_cache()
            if self.fs.exists(self.full(path)):
                raise

    def exists_root(self) -> bool:
        """Say whether the directory exists, or the bucket where there are no directories."""
        self.fs.invalidate_cache()
        root = self._root or "/"
        return bool(self.fs.exists(root) or (not self._renames and self.fs.exists(root.partition("/")[0])))

    def _make_directories(self, directory: str) -> None:
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                self.fs.makedirs(directory, exist_ok=True)
                return
            except Exception:
                # Some fail where another makes one of them at the same time.
                self.fs.invalidate_cache()
                if self.fs.isdir(directory):
                    return
                if not attempts_left:
                    raise

    def _write(self, full: str, source: IO[bytes]) -> None:
        if isinstance(source, BytesIO):
            self.fs.pipe_file(full, source.getvalue())
        else:
            self.fs.put_file(source.name, full)

    def _rename(self, part: str, full: str) -> None:
        try:
            self.fs.mv(part, full)
        except Exception:
            # Some replace nothing.
            self.fs.invalidate_cache()
            if not self.fs.exists(full):
                raise
            self.fs.rm_file(full)
            self.fs.mv(part, full)


def connect(url: str, options: Mapping[str, Any]) -> System:
    """Make a file system that nobody else has.

    Raises:
        ConfigError: It does not take the options.
        MissingDependencyError: A package that it needs is not installed.
    """
    core = optional_import("fsspec.core", "fsspec", f"{scheme_of(url)}://")
    where = redact(url)
    share_ca_bundle()
    if scheme_of(url) in ("http", "https"):
        # Which alone takes no notice of HTTPS_PROXY unless it is told to.
        options = {"client_kwargs": {"trust_env": True}, **options}
    try:
        fs, root = core.url_to_fs(url, skip_instance_cache=True, **options)
    except ImportError as error:
        raise MissingDependencyError(f"fsspec needs another package for {where}: {error}") from error
    except (TypeError, ValueError) as error:
        names = ", ".join(sorted(map(str, options))) or "none"
        raise ConfigError(
            f"{where}: fsspec's file system does not take this URL with the storage options {names} ({error})."
        ) from None
    return System(fs, str(root))


def _walk(fs: Any, directory: str) -> Iterator[tuple[str, Any]]:
    for info in fs.ls(directory, detail=True):
        name: str = info["name"]
        if name.rstrip("/") == directory.rstrip("/"):
            continue  # itself, as some list it
        if info["type"] == "directory":
            yield from _walk(fs, name)
        elif info["type"] == "file" or fs.isfile(name):
            yield name, info


def _as_object(path: str, info: Mapping[str, Any]) -> ObjectInfo:
    size = info.get("size")
    if size is None:
        raise StorageError(f"{path}: fsspec's file system does not tell its size, which is needed.")
    times = (info.get(name) for name in ("mtime", "LastModified", "last_modified", "modified", "updated"))
    modified = next((time for value in times if (time := _seconds(value)) is not None), None)
    versions = (info.get(name) for name in ("ETag", "etag", "md5Hash", "mtime", "modified", "LastModified", "created"))
    version = next((str(value) for value in versions if value is not None), None)
    return ObjectInfo(path, int(size), version and f"{version}-{size}", modified)


def _seconds(value: Any) -> float | None:
    """Return a time as seconds since the epoch; file systems tell it as numbers or as dates with a zone."""
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    return None
