"""What a user calls a place to write to, taken apart once; and whether two of them are one."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from streaming.core.arguments import as_path
from streaming.core.errors import AccessDeniedError, ConfigError
from streaming.core.names import Out
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.storage.providers.fsspec.store import FORCED

__all__ = ["Place", "check_apart", "same_directory", "staging_directory"]


@dataclass(frozen=True)
class Place:
    """A directory of this machine, a store's, or both with the same contents; one of them is always given.

    Attributes:
        local: The directory of this machine, if it is given.
        remote: The store's, if it is given.
    """

    local: Location | None
    remote: Location | None

    def __str__(self) -> str:
        return str(self.where)

    @property
    def where(self) -> Location:
        """Where readers look: the store's directory if there is one."""
        return self.remote or cast("Location", self.local)

    @classmethod
    def parse(cls, out: Out, storage_options: StorageOptions | None = None) -> Place:
        """Take ``out`` apart: a path, a URL, or a pair of both.

        Args:
            out: Where a user wants something written.
            storage_options: Settings of its store.

        Raises:
            ConfigError: It is none of these; or both of a pair are one directory, or the remote is below the local one.
        """
        locations = [Location.parse(text, storage_options) for text in _texts(out)]
        if len(locations) == 1:
            return cls.of(locations[0])
        local, remote = locations
        if local.scheme:
            raise ConfigError(f"The first of out=(local, remote) must be a local path, got {str(local)!r}.")
        check_apart(local.path, remote)
        return cls(local.expanded(), remote)

    @classmethod
    def of(cls, location: Location) -> Place:
        """Return the place that a path or URL alone means."""
        return cls(None, location) if location.scheme else cls(location.expanded(), None)


def _texts(out: Any) -> list[str]:
    """Return the one text that was given, or the two of a pair."""
    if isinstance(out, (str, os.PathLike)):
        parts: list[Any] = [out]
    elif isinstance(out, (tuple, list)) and len(cast("Sequence[Any]", out)) == 2:
        parts = list(cast("Sequence[Any]", out))
    else:
        raise ConfigError(f"out must be a path, a URL, or a pair (local, remote); got {out!r}.")
    texts = [os.fspath(part) if isinstance(part, (str, os.PathLike)) else None for part in parts]
    if not all(isinstance(text, str) and text for text in texts):
        raise ConfigError(f"out must be a path, a URL, or a pair (local, remote), all of them text; got {out!r}.")
    return [as_path("out", text) for text in texts]


def check_apart(local: str, remote: Location) -> None:
    """Check that a local directory and a remote are two places: the first is emptied of what is uploaded.

    Raises:
        ConfigError: They are one directory, by whatever names, or the remote is below the local one.
    """
    if remote.is_local:
        path = remote.path
    elif remote.scheme.removeprefix(FORCED) in ("file", "local"):
        path = remote.url.partition("://")[2]
    else:
        return
    if same_directory(local, path):
        raise ConfigError(
            f"Both of out=({local!r}, {str(remote)!r}) are one directory. Give the directory alone: out={local!r}."
        )
    if os.path.realpath(path).startswith(os.path.join(os.path.realpath(local), "")):
        raise ConfigError(
            f"The second of out=({local!r}, {str(remote)!r}) is below the first, which must hold nothing else. Choose "
            "another local directory, or give the second alone."
        )


def same_directory(one: str, other: str) -> bool:
    """Say whether two paths lead to one directory, be it by links or mounts, and be it not made yet."""
    return _identity(one) == _identity(other)


def staging_directory(kind: str, identity: str, contents: str) -> str:
    """Make a directory below the system's temporary one: the same in every call, and nobody else's.

    Args:
        kind: Part of its name.
        identity: What it is for; another text is another directory.
        contents: What is prepared there, for the error text.

    Raises:
        AccessDeniedError: Somebody else has made it.
    """
    name = hashlib.blake2s(identity.encode(), digest_size=12).hexdigest()
    path = os.path.join(tempfile.gettempdir(), f"streaming-{kind}-{os.getuid()}-{name}")
    os.makedirs(path, mode=0o700, exist_ok=True)
    status = os.lstat(path)
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise AccessDeniedError(f"{path}, where {contents} are prepared, belongs to another user.")
    return path


def _identity(path: str) -> tuple[int, int, tuple[str, ...]]:
    """Return what the nearest directory that exists is known by, and the names from there on."""
    path = os.path.realpath(path)
    missing: list[str] = []
    while True:
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            path, name = os.path.split(path)
            missing.insert(0, name)
        else:
            return status.st_dev, status.st_ino, tuple(missing)
