"""Where the partitions of a merged dataset are, and what their paths below its root are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store, options_for
from streaming.storage.url import check_root, is_local, redact
from streaming.writing.publish.entries import INDEX_NAME

__all__ = ["Place", "by_numbers", "find_partitions", "parse_partition", "parse_place", "paths_below"]

#: So many partitions are named in a text.
_NAMED = 5


@dataclass(frozen=True)
class Place:
    """A directory by its local path, its URL, or both; the same contents in either."""

    local: str | None
    remote: str | None

    def __str__(self) -> str:
        return redact(self.remote) if self.remote else self.local or ""

    def below(self, root: Place) -> str | None:
        """Path below a root, ``None`` if it is elsewhere."""
        for mine, other in ((self.remote, root.remote), (self.local, root.local)):
            if mine and other:
                path, top = _plain(mine), _plain(other)
                if path == top:
                    return ""
                if path.startswith(top.rstrip("/") + "/"):
                    return path[len(top.rstrip("/")) + 1 :]
        return None


def paths_below(partitions: Sequence[Place], root: Place) -> list[str]:
    """Return the path of each partition below the root.

    Raises:
        ConfigError: One is elsewhere, or two would have the same path.
    """
    paths = [partition.below(root) for partition in partitions]
    elsewhere = [str(partition) for partition, path in zip(partitions, paths, strict=True) if path is None]
    if elsewhere:
        named = ", ".join(elsewhere[:_NAMED]) + (", ..." if len(elsewhere) > _NAMED else "")
        raise ConfigError(
            f"{len(elsewhere)} of the partitions are not below {root}, where readers of its index look for their shards: "
            f"{named}. Move or copy them there (`streaming copy`), or merge where they are."
        )
    prefixes = [path or "" for path in paths]
    if len(set(prefixes)) < len(prefixes):
        twice = sorted({prefix for prefix in prefixes if prefixes.count(prefix) > 1})
        raise ConfigError(
            f"Several partitions would be {', '.join(twice)!r} below {root}. Move them to different directories there."
        )
    return prefixes


def find_partitions(root: str, storage_options: StorageOptions | None = None) -> list[str]:
    """Return the paths of the directories below a root, not the root itself, that hold an index.

    Args:
        root: A path or URL.
        storage_options: Of its store.

    Raises:
        StorageError: It cannot be listed.
    """
    store = open_store(root, options_for(root, storage_options))
    end = "/" + INDEX_NAME
    return [info.path[: -len(end)] for info in store.list() if info.path.endswith(end)]


def parse_place(given: Any) -> Place:
    """Return the place that a path, a URL, or a pair ``(local, remote)`` means.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(given, (tuple, list)):
        if len(given) != 2:
            raise ConfigError(f"Expected a path, a URL, or a pair (local, remote); got {given!r}.")
        local, remote = (check_root(os.fspath(part)) if part else None for part in given)
        if local and not is_local(local):
            raise ConfigError(f"The first of (local, remote) must be a local path, got {redact(local)!r}.")
        if not (local or remote):
            raise ConfigError("Both parts of a pair (local, remote) are empty; give at least one.")
        return Place(os.path.expanduser(local) if local else None, remote)
    if not isinstance(given, (str, os.PathLike)):
        raise ConfigError(f"Expected a path, a URL, or a pair (local, remote); got {given!r}.")
    text = os.fspath(given)
    if isinstance(text, bytes):
        raise ConfigError(f"A path must be text, got {text!r}.")
    check_root(text)
    return Place(os.path.expanduser(text), None) if "://" not in text and is_local(text) else Place(None, text)


def parse_partition(given: Any) -> Place:
    """Return the directory of an index that is given by its file or by the directory itself."""
    place = parse_place(given)
    return Place(_directory(place.local), _directory(place.remote))


def _directory(url: str | None) -> str | None:
    if url is None:
        return None
    base, mark, query = url.partition("?") if "://" in url else (url, "", "")
    base = base.rstrip("/")
    if base.rpartition("/")[2] == INDEX_NAME:
        base = base.rpartition("/")[0] if "/" in base else "."
    return base + mark + query


def _plain(url: str) -> str:
    """Return a path or URL in the form in which two of them can be compared."""
    if is_local(url):
        path = getattr(open_store(url), "root", url)
        return os.path.realpath(path)
    return url.partition("?")[0].rstrip("/")


def by_numbers(path: str) -> list[list[tuple[bool, int, str]]]:
    """Return a key to sort paths by that puts ``2`` before ``10``."""
    return [
        [
            (not piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece)
            for piece in re.split(r"(\d+)", part)
            if piece
        ]
        for part in path.split("/")
    ]
