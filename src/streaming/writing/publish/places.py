"""What a user calls a place to write to: its spelling, and whether two of them are one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, cast

from streaming.core.errors import ConfigError
from streaming.core.names import Out
from streaming.storage.providers.fsspec.store import FORCED
from streaming.storage.registry import open_store
from streaming.storage.url import check_root, is_local, redact, scheme_of

__all__ = ["check_apart", "local_path", "same_directory", "split_out"]


def split_out(out: Out) -> tuple[str | None, str | None]:
    """Return the local path and the URL of ``out``, ``None`` for the one that is not given.

    Raises:
        ConfigError: It is no path, no URL, and no pair of both; or both of a pair are one directory.
    """
    if isinstance(out, (str, os.PathLike)):
        text = _text(out, out)
        if scheme_of(text):
            return None, text
        return os.path.expanduser(text), None
    if not isinstance(out, (tuple, list)) or len(cast("Sequence[Any]", out)) != 2:
        raise ConfigError(f"out must be a path, a URL, or a pair (local, remote); got {out!r}.")
    local, remote = (_text(part, out) for part in out)
    if scheme_of(local):
        raise ConfigError(f"The first of out=(local, remote) must be a local path, got {redact(local)!r}.")
    local = os.path.expanduser(local)
    check_apart(local, remote)
    return local, remote


def _text(part: Any, out: Any) -> str:
    text = os.fspath(part) if isinstance(part, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text:
        raise ConfigError(f"out must be a path, a URL, or a pair (local, remote), all of them text; got {out!r}.")
    return check_root(text)


def check_apart(local: str, remote: str) -> None:
    """Check that a local directory and a remote are two places: the first is emptied of what is uploaded.

    Raises:
        ConfigError: They are one directory, by whatever names, or the remote is below the local one.
    """
    path = local_path(remote)
    if path is None:
        return
    if same_directory(local, path):
        raise ConfigError(
            f"Both of out=({local!r}, {redact(remote)!r}) are one directory. Give the directory alone: out={local!r}."
        )
    if os.path.realpath(path).startswith(os.path.join(os.path.realpath(local), "")):
        raise ConfigError(
            f"The second of out=({local!r}, {redact(remote)!r}) is below the first, which must hold nothing else. Choose "
            "another local directory, or give the second alone."
        )


def local_path(url: str) -> str | None:
    """Return the directory of a URL or path, ``None`` if it is not one of this machine."""
    if is_local(url):
        return str(cast("Any", open_store(url)).root)
    if scheme_of(url).removeprefix(FORCED) in ("file", "local"):
        return url.partition("://")[2]
    return None


def same_directory(one: str, other: str) -> bool:
    """Say whether two paths lead to one directory, be it by links or mounts, and be it not made yet."""
    return _identity(one) == _identity(other)


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
