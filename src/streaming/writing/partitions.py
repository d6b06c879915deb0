"""Where the partitions of a merged dataset are, and what their paths below its root are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store
from streaming.writing.publish.entries import INDEX_NAME
from streaming.writing.publish.places import Place

__all__ = [
    "by_numbers",
    "check_not_replaced",
    "directory_of_index",
    "find_partitions",
    "parse_place",
    "path_below",
    "paths_below",
]

#: So many partitions are named in a text.
_NAMED = 5


def paths_below(partitions: Sequence[Place], root: Place) -> list[str]:
    """Return the path of each partition below the root.

    Raises:
        ConfigError: One is elsewhere, or two would have the same path.
    """
    paths = [path_below(partition, root) for partition in partitions]
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


def path_below(partition: Place, root: Place) -> str | None:
    """Return the path of a partition below the root, ``None`` if it is elsewhere."""
    for mine, other in ((partition.remote, root.remote), (partition.local, root.local)):
        if mine and other:
            path, top = _plain(mine), _plain(other)
            if path == top:
                return ""
            if path.startswith(top.rstrip("/") + "/"):
                return path[len(top.rstrip("/")) + 1 :]
    return None


def check_not_replaced(read: Location, written: Place) -> None:
    """Check that a dataset that is read is not at, or below, a place that is to be replaced.

    Args:
        read: Its directory.
        written: The place.

    Raises:
        ConfigError: It is.
    """
    places = [Place.of(place) for place in (written.local, written.remote) if place is not None]
    if any(path_below(Place.of(read), place) is not None for place in places):
        raise ConfigError(
            f"{read} would be removed before it is read, as exist_ok=True replaces what is at {written}. Write to another "
            "place, and move it then."
        )


def _plain(location: Location) -> str:
    """Return a place in the form in which two can be compared."""
    return os.path.realpath(location.path) if location.is_local else location.base.rstrip("/")


def find_partitions(root: Location) -> list[str]:
    """Return the paths of the directories below a root, not the root itself, that hold an index.

    Raises:
        StorageError: It cannot be listed.
    """
    end = "/" + INDEX_NAME
    return [info.path[: -len(end)] for info in open_store(root).list() if info.path.endswith(end)]


def parse_place(given: Any, storage_options: StorageOptions | None) -> Place:
    """Return the place that a path, a URL, or a pair ``(local, remote)`` means, of which one may be empty.

    Args:
        given: It.
        storage_options: Settings of its store.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(given, (tuple, list)):
        if len(given) != 2:
            raise ConfigError(f"Expected a path, a URL, or a pair (local, remote); got {given!r}.")
        local, remote = (Location.parse(os.fspath(part), storage_options) if part else None for part in given)
        if local and not local.is_local:
            raise ConfigError(f"The first of (local, remote) must be a local path, got {str(local)!r}.")
        if not (local or remote):
            raise ConfigError("Both parts of a pair (local, remote) are empty; give at least one.")
        return Place(local and local.expanded(), remote)
    if not isinstance(given, (str, os.PathLike)):
        raise ConfigError(f"Expected a path, a URL, or a pair (local, remote); got {given!r}.")
    text = os.fspath(given)
    if isinstance(text, bytes):
        raise ConfigError(f"A path must be text, got {text!r}.")
    return Place.of(Location.parse(text, storage_options))


def directory_of_index(place: Place) -> Place:
    """Return the directory of an index that is given by its file or by the directory itself."""
    return Place(_directory(place.local), _directory(place.remote))


def _directory(location: Location | None) -> Location | None:
    return location and replace(location, base=location.base.rstrip("/")).above(INDEX_NAME)


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
