"""Which files of a directory this library has written: only those are ever replaced or removed.

A file is known by its stamp (time of change, size, number). Tables hold the stamps of what was written under their names;
every dataset that uses a directory has a table of its own there, and any of them may know a file.
"""

from __future__ import annotations

import filecmp
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from streaming.cache.bookkeeping.identity import Identity, tag_of
from streaming.cache.bookkeeping.table import OURS, TABLE_NAME, CacheTable, all_stamps, read_facts, stamp_of
from streaming.core.errors import ShardFormatError
from streaming.core.process.lock import remove_part
from streaming.format.index import Index

__all__ = [
    "check_plain",
    "give_way",
    "is_ours",
    "known_facts",
    "open_table",
    "our_stamps",
    "set_aside",
    "stamp_if_plain",
]

logger = logging.getLogger(__name__)

_told: set[str] = set()


def _tables(directory: str) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        if name.startswith(TABLE_NAME) and not name.endswith(".part"):
            yield os.path.join(directory, name)


def known_facts(directory: str) -> list[bytes]:
    """Return what identifies each dataset that has a table in a directory: 48 bytes each; see ``Identity.facts``."""
    return [facts for path in _tables(directory) if (facts := read_facts(path)) is not None]


def our_stamps(directory: str) -> NDArray[np.int64]:
    """Return the stamps of everything that was written here, by the tables of the directory."""
    stamps = [all_stamps(path) for path in _tables(directory)]
    found = np.concatenate([np.empty(0, np.int64), *stamps])
    return found[found & OURS != 0] & ~np.int64(3)


def is_ours(path: str, directory: str) -> bool:
    """Say whether this library has written a file, for any dataset that uses the directory."""
    stamp = stamp_if_plain(path)
    return stamp != 0 and bool((our_stamps(directory) == stamp).any())


def stamp_if_plain(path: str) -> int:
    """Return the stamp of a file, 0 if there is none, or if it is a link or no file at all."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return stamp_of(status) if stat.S_ISREG(status.st_mode) else 0


def give_way(part: str, path: str) -> bool:
    """Make a name free for a new file, where something is that is not ours.

    Args:
        part: The new file.
        path: What there is under the name that it is to have.

    Returns:
        Whether what there is has the same contents and stays; else it has another name now.

    Raises:
        ShardFormatError: It is a directory, a pipe or a device.
    """
    try:
        check_plain(path, os.stat(path))
        if filecmp.cmp(part, path, shallow=False):
            return True
    except FileNotFoundError:  # a link that leads nowhere, or somebody has removed it
        pass
    with suppress(FileNotFoundError):
        set_aside(path)
    return False


def check_plain(path: str, status: os.stat_result) -> None:
    """Refuse what is not a file.

    Raises:
        ShardFormatError: It is a directory, a pipe or a device.
    """
    if not stat.S_ISREG(status.st_mode):
        raise ShardFormatError(
            f"{path} is not a regular file, and a file of the dataset has to have that name. Remove it, or give another "
            "`local`."
        )


def set_aside(path: str) -> None:
    """Give what is not ours another name, and say so, once for each directory."""
    number = 1
    while os.path.lexists(aside := f"{path}.set-aside-{number}"):
        number += 1
    os.rename(path, aside)
    directory = os.path.dirname(path)
    if directory not in _told:
        _told.add(directory)
        logger.warning(
            "%s is not what the dataset has under this name, and was not put there by this cache: it is now %s. Other such "
            "files in the directory are renamed alike. If they are leftovers, remove them; else give another `local`.",
            path,
            aside,
        )


def open_table(
    directory: str, index: Index, identity: Identity, has_files: Callable[[int], bool] | None = None
) -> CacheTable:
    """Map a dataset's table in a directory, making it if need be.

    What other datasets of the directory wrote under its names is noted as ours in a new one: it may be replaced, counts as
    much as it takes, and goes when there is need for room.
    """
    table = CacheTable(directory, index.num_shards, identity.fingerprint, identity.facts, has_files)
    if identity.is_racy:
        table.note_racy()
    if table.is_new:
        _remove_parts_of_others(directory, identity)
        _adopt(table, directory, index)
    return table


def _remove_parts_of_others(directory: str, identity: Identity) -> None:
    """Remove what other datasets of the directory have half fetched, where nobody is at it."""
    tags = {tag_of(facts) for facts in known_facts(directory)} - {tag_of(identity.facts)}
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if tags and entry.name.endswith(".part")]
    for name in names:
        if name.split(".")[-2] in tags:
            with suppress(OSError):
                remove_part(os.path.join(directory, name))


def _adopt(table: CacheTable, directory: str, index: Index) -> None:
    ours = set(our_stamps(directory).tolist())
    if not ours:
        return
    found: dict[str, os.stat_result] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # somebody has removed or renamed it just now
                if entry.is_file(follow_symlinks=False) and stamp_of(entry.stat()) in ours:
                    found[entry.name] = entry.stat()
    if not found:
        return
    tables = (index.raw_data, index.raw_meta, index.zip_data, index.zip_meta)
    for slot, files in enumerate(tables):
        for shard in np.flatnonzero(files.bytes >= 0).tolist():
            status = found.get(files.names[shard])
            if status is not None:
                table.stamps[slot, shard] = stamp_of(status) | OURS
                table.owned[shard] += status.st_size
