"""One file of a shard in a local directory: what proves it, and how it gets its name and loses it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from streaming.cache.bookkeeping.table import OURS, VERIFIED, CacheTable, stamp_of
from streaming.cache.files.excerpt import Excerpt
from streaming.cache.files.ownership import check_plain, give_way, is_ours
from streaming.cache.files.witness import Witness, version_number
from streaming.core.errors import ConfigError
from streaming.format.codecs.hashing import is_hash, new_hash
from streaming.format.index import FileInfo
from streaming.storage.store import ObjectInfo, Store

__all__ = ["FileJob", "Keeper", "Recipe", "cheapest_hash", "has_hash"]

_CHUNK = 1 << 20
# Fastest first; sha1 and md5 are what old datasets have.
_BY_SPEED = ("xxh3_64", "xxh3_128", "xxh128", "xxh64", "xxh32", "sha1", "sha256", "blake2b", "md5")


#: Writes the contents of a file, made of what a store holds; tells of bytes that came from there. See :class:`FileJob`.
Recipe = Callable[[Store, Callable[[int], Any], IO[bytes]], None]


@dataclass(frozen=True)
class FileJob:
    """One file to make present.

    Attributes:
        directory: Local directory of the dataset.
        raw: The file that readers open.
        zip: The compressed file that the store holds instead, if any.
        compression: Its algorithm.
        tag: Stands for the dataset in the names of unfinished files, which so are never continued by another one.
        excerpt: The rows of a shard that the file holds, if it is not the shard itself.
        recipe: Makes the file of what the store holds, if the store does not hold it. It reads those versions only of which
            the index was made.
    """

    directory: str
    raw: FileInfo
    zip: FileInfo | None
    compression: str | None
    tag: str
    excerpt: Excerpt | None = None
    recipe: Recipe | None = None

    @property
    def wire(self) -> FileInfo:
        """The file that is fetched."""
        return self.zip or self.raw

    @property
    def stored(self) -> FileInfo:
        """The file that the store holds: the one that is fetched, or of which some rows are."""
        return self.excerpt.whole if self.excerpt else self.wire

    def path(self, info: FileInfo) -> str:
        """Local path of one of the two files."""
        return os.path.join(self.directory, info.basename)

    def part(self, info: FileInfo) -> str:
        """Local path of one of the two files until it is complete."""
        return f"{self.path(info)}.{self.tag}.part"


class Keeper:
    """Knows one file of a shard, by its row of the table.

    Args:
        job: The file, raw and compressed.
        shard: Row of the table.
        is_meta: Whether it is the meta file.
        table: What is known of the directory; ``None`` for a dataset that is only local.
        witness: Objects to what was changed.
    """

    def __init__(self, job: FileJob, shard: int, is_meta: bool, table: CacheTable | None, witness: Witness) -> None:
        self.job = job
        self.witness = witness
        self._shard = shard
        self._slots = (1, 3) if is_meta else (0, 2)
        self._version_row = int(is_meta)
        self._table = table
        self._last: ObjectInfo | None = None

    @property
    def is_proved(self) -> bool:
        """Whether a recorded hash proves what comes from the store."""
        return cheapest_hash(self.job.wire, None) is not None

    def is_done(self) -> bool:
        """Say whether the raw file is present and proved to be the dataset's; remembers what it found."""
        return self._is_good(self.job.raw)

    def has_zip(self) -> bool:
        """Say whether the compressed file is present and proved to be the dataset's."""
        return self.job.zip is not None and self._is_good(self.job.zip)

    def drop_zip(self) -> None:
        """Remove the compressed file, if it is ours."""
        if self.job.zip is not None:
            self._remove(self.job.zip)

    def remove(self) -> None:
        """Remove what is ours of the file, and forget the rest."""
        for info in (self.job.raw, self.job.zip):
            if info is not None:
                self._remove(info)

    def owned_bytes(self) -> int:
        """Return the bytes on disk that this cache has written of the file, unfinished ones too."""
        total = _size(self.job.part(self.job.wire))
        for info in (self.job.raw, self.job.zip):
            if info is not None and self._noted(info) & OURS:
                status = _status(self.job.path(info))
                if status is not None and stamp_of(status) == self._noted(info) & ~3:
                    total += status.st_size
        return total

    def place(self, part: str, info: FileInfo) -> None:
        """Give a complete file its name. What is there and not ours stays if it is the same, and else gets another name.

        Raises:
            ShardFormatError: There is something that is no file.
        """
        path = self.job.path(info)
        with open(part, "rb", buffering=0) as file:
            stamp = stamp_of(os.fstat(file.fileno()))
            there = _status(path)
            is_foreign = there is not None and not self._is_ours(path, info, there)
            if is_foreign and give_way(part, path) and (kept := _status(path, follow_symlinks=True)) is not None:
                os.unlink(part)
                self._note(info, stamp_of(kept) | VERIFIED)
                return
            # Before it has its name: whoever is killed in between has noted what nobody finds, and after it somebody else
            # may have given the name to another version.
            self._note(info, stamp | VERIFIED | OURS)
            os.replace(part, path)
            status, now = os.fstat(file.fileno()), _status(path)
            if now is not None and os.path.samestat(status, now) and stamp_of(now) != stamp:
                self._note(info, stamp_of(now) | VERIFIED | OURS)  # some file systems set times when they rename

    def see(self, info: ObjectInfo) -> None:
        """Note which version is about to be read, before anything of it is written.

        Raises:
            ObjectChangedError: It was changed after the dataset was opened.
        """
        self._last = info
        self.witness.see(info)
        if self._table is not None:
            self._table.versions[self._version_row, self._shard] = version_number(info)

    def compare(self) -> None:
        """Check that the file is of the version of which this process has read before.

        Raises:
            ObjectChangedError: It was changed after the dataset was opened.
        """
        if self._table is not None and not self.is_proved:
            stored = self.job.stored
            self.witness.expect(
                stored.basename, stored.bytes, int(self._table.versions[self._version_row, self._shard])
            )

    def confirm(self) -> None:
        """Look again, once everything was read.

        Raises:
            ObjectChangedError: It was changed after the dataset was opened.
        """
        if not self.is_proved:
            self.witness.after(self._last)

    def version_of_part(self, store: Store) -> str | None:
        """Return which version the unfinished file is of, if it is of the one that the store has."""
        known = 0 if self._table is None else int(self._table.versions[self._version_row, self._shard])
        if not known:
            return None
        info = store.head(self.job.stored.basename)
        return info.etag if version_number(info) == known else None

    def is_current(self, store: Store) -> bool:
        """Ask the store whether it still has the version that was fetched."""
        known = 0 if self._table is None else int(self._table.versions[self._version_row, self._shard])
        info = store.head(self.job.stored.basename)
        return bool(known) and version_number(info) == known

    def doubt(self) -> None:
        """Forget that the files are proved, the compressed one too; whose they are stays known."""
        for info in (self.job.raw, self.job.zip):
            if info is not None:
                self._note(info, self._noted(info) & ~VERIFIED)

    def _is_good(self, info: FileInfo) -> bool:
        path = self.job.path(info)
        try:
            check_plain(path, os.stat(path))
            # Opening a pipe would wait for its other end without O_NONBLOCK.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        try:
            status = os.fstat(fd)
            check_plain(path, status)
            file = open(fd, "rb", buffering=0)  # noqa: SIM115
        except BaseException:
            os.close(fd)
            raise
        with file:
            stamp, noted = stamp_of(status), self._noted(info)
            if noted & VERIFIED and noted & ~3 == stamp:
                return True
            if status.st_size != info.bytes:
                return False
            algo = cheapest_hash(info, None)
            if algo is None:
                return self._table is None  # the user's own; of what was fetched, the table knows
            if not _has_hash(file, info, algo) or stamp_of(os.fstat(fd)) != stamp:
                return False
        self._note(info, stamp | VERIFIED | (noted & OURS if noted & ~3 == stamp else 0))
        return True

    def _is_ours(self, path: str, info: FileInfo, status: os.stat_result) -> bool:
        if not stat.S_ISREG(status.st_mode):
            return False
        noted = self._noted(info)
        return bool(noted & OURS and noted & ~3 == stamp_of(status)) or (
            self._table is not None and is_ours(path, self.job.directory)
        )

    def _noted(self, info: FileInfo) -> int:
        return 0 if self._table is None else int(self._table.stamps[self._slots[info is self.job.zip], self._shard])

    def _note(self, info: FileInfo, stamp: int) -> None:
        if self._table is not None:
            self._table.stamps[self._slots[info is self.job.zip], self._shard] = stamp

    def _remove(self, info: FileInfo) -> None:
        noted, path = self._noted(info), self.job.path(info)
        self._note(info, 0)
        status = _status(path) if noted & OURS else None
        if status is not None and stamp_of(status) == noted & ~3:
            with suppress(FileNotFoundError):
                os.unlink(path)


def has_hash(path: str, info: FileInfo, algo: str) -> bool:
    """Say whether a local file has the recorded hash."""
    with open(path, "rb", buffering=0) as file:
        return _has_hash(file, info, algo)


def _has_hash(file: IO[bytes], info: FileInfo, algo: str) -> bool:
    hasher = new_hash(algo)
    while chunk := file.read(_CHUNK):
        hasher.update(chunk)
    return hasher.hexdigest() == info.hashes[algo]


def cheapest_hash(info: FileInfo, wanted: str | None) -> str | None:
    """Choose the hash to verify a file by.

    Args:
        info: The file.
        wanted: The algorithm the user asked for, or ``None`` for the fastest of those recorded.

    Returns:
        The algorithm's name, or ``None`` when none is recorded.

    Raises:
        ConfigError: The wanted algorithm is not recorded for this file.
    """
    if wanted:
        if wanted not in info.hashes:
            recorded = ", ".join(info.hashes) or "none"
            raise ConfigError(
                f"validate_hash={wanted!r}, but {info.basename} has no such hash recorded (recorded: {recorded}). "
                "Pass one that was written, or None to check with whatever was."
            )
        return wanted
    known = [name for name in info.hashes if is_hash(name)]
    return min(known, key=lambda n: _BY_SPEED.index(n) if n in _BY_SPEED else 99, default=None)


def _status(path: str, follow_symlinks: bool = False) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow_symlinks)
    except OSError:
        return None


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
