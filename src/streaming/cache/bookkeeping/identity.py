"""Which dataset, at which version, a stream has opened: what everything in its cache is keyed by."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from math import floor

import numpy as np
from numpy.typing import NDArray

from streaming.format.codecs.hashing import is_hash
from streaming.format.index import Index
from streaming.format.index.files import FileTable
from streaming.storage.store import ObjectInfo

__all__ = ["Identity", "digest", "identify", "is_proved", "tag_of", "version_digest"]

_NOTHING = bytes(16)
#: An object that was written so shortly before it was read may be written again without its version telling.
_RACY_S = 2.0


@dataclass(frozen=True)
class Identity:
    """What a dataset is known by.

    Attributes:
        origin: 16 bytes for where it comes from.
        index: 16 bytes for its whole ``index.json``.
        version: 16 bytes for the store's version of that, zeros where hashes prove what is fetched, or there is none.
        opened: When it was opened, in seconds since the epoch.
        modified: When its index was written, if the store tells.
        is_racy: Whether the version may not tell it from another one, both written within a second.
        is_seen: Whether its remote was seen at this version when it was opened; not so when it was away.
    """

    origin: bytes
    index: bytes
    version: bytes = _NOTHING
    opened: float = 0.0
    modified: float | None = None
    is_racy: bool = False
    is_seen: bool = True

    @property
    def facts(self) -> bytes:
        """48 bytes: origin, index, version."""
        return self.origin + self.index + self.version

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that stand for all of it."""
        return blake2b(self.facts, digest_size=16).digest()

    @property
    def has_version(self) -> bool:
        """Whether the store's version of the index is a part of it."""
        return self.version != _NOTHING

    def is_later(self, modified: float) -> bool:
        """Say whether an object that was written then was so after this dataset was opened.

        A dataset's index is written last, so what is not later than that was there before; where an index was copied before
        its shards, the time of opening counts.
        """
        if self.modified is not None and modified <= self.modified:
            return False
        return modified >= floor(self.opened) if modified.is_integer() else modified > self.opened

    def is_close(self, modified: float) -> bool:
        """Say whether an object was written so shortly before the opening that its time may not tell which was first."""
        return modified.is_integer() and modified > self.opened - _RACY_S


def identify(index: Index, origin: str, info: ObjectInfo | None, opened: float) -> Identity:
    """Return the identity of a dataset.

    Args:
        index: Its index.
        origin: Where it comes from, without secrets.
        info: The store's version of its index, if known.
        opened: When opening it began, in seconds since the epoch.
    """
    where = digest(origin)
    if info is None or is_proved(index):
        return Identity(where, index.digest, opened=opened)
    modified = info.modified
    # Versions that tell of parts of a second, or of the contents of a file system's node, do not repeat.
    racy = modified is not None and modified.is_integer() and modified > time.time() - _RACY_S
    return Identity(where, index.digest, version_digest(info), opened, modified, racy)


def version_digest(info: ObjectInfo) -> bytes:
    """Return 16 bytes for the version of an index; zeros if the store tells none."""
    if info.etag is None and info.modified is None:
        return _NOTHING
    return digest(f"{info.etag}\n{info.modified}")


def tag_of(facts: bytes) -> str:
    """Return what the names of a dataset's unfinished files have in them."""
    return blake2b(facts, digest_size=16).digest()[:4].hex()


def digest(text: str) -> bytes:
    """Return 16 bytes for a text."""
    return blake2b(text.encode(), digest_size=16).digest()


def is_proved(index: Index) -> bool:
    """Say whether the index records a hash of every file that is fetched."""
    pairs = ((index.raw_data, index.zip_data), (index.raw_meta, index.zip_meta))
    return all(_are_hashed(raw, zipped.bytes < 0) and _are_hashed(zipped) for raw, zipped in pairs)


def _are_hashed(table: FileTable, among: NDArray[np.bool_] | None = None) -> bool:
    """Say whether each file of a table has a hash of an algorithm that is known."""
    wanted = table.bytes >= 0 if among is None else (table.bytes >= 0) & among
    shards = np.flatnonzero(wanted)
    if not len(shards):
        return True
    strings = table.hashes
    begins = strings.offsets[:-1][shards]
    if (strings.offsets[1:][shards] == begins).any():
        return False
    algo = strings[int(shards[0])].partition(":")[0]
    start = np.frombuffer(f"{algo}:".encode(), np.uint8)
    if is_hash(algo) and int(begins.max()) + len(start) <= len(strings.blob):
        places = begins[:, None] + np.arange(len(start))
        if (strings.blob[places] == start).all():  # all are written alike
            return True
    files = (table[shard] for shard in shards.tolist())
    return all(file is not None and any(map(is_hash, file.hashes)) for file in files)
