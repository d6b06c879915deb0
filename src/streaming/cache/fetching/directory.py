"""The shards of one stream in one local directory."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.bookkeeping.identity import Identity, tag_of
from streaming.cache.bookkeeping.table import VERIFIED, CacheTable, stamp_of
from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.fetch import FetchStats, fetch_file
from streaming.cache.files.keeper import FileJob, Keeper, cheapest_hash, has_hash
from streaming.cache.files.ownership import check_plain, open_table
from streaming.cache.files.witness import Witness
from streaming.core.errors import ChecksumError, ObjectChangedError, ShardFormatError
from streaming.core.process.lock import remove_part
from streaming.format.index import Index, ShardInfo
from streaming.format.index.files import FileInfo
from streaming.format.shard import NameSample, Shard, open_shard
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import ObjectInfo, Store

__all__ = ["ShardDirectory"]

logger = logging.getLogger(__name__)

#: How long after its room was reserved a fetch begins at the latest.
_BEGINS_NS = 5 * 10**9


class ShardDirectory:
    """Makes the shards of one stream present in its local directory, and opens them.

    Args:
        directory: Where the shards are, or are to be.
        index: The stream's index.
        store: Where missing shards come from; ``None`` for a dataset that is only local, whose files are opened in
            place and never removed.
        config: How to fetch.
        origin: Where the data comes from (the remote's URL), for error texts.
        identity: The dataset, as it was opened.
        columns: Names of the columns that samples are to have, in that order; ``None`` for all.
    """

    def __init__(
        self,
        directory: str,
        index: Index,
        store: Store | None,
        config: FetchConfig,
        origin: str,
        identity: Identity,
        columns: tuple[str, ...] | None = None,
    ) -> None:
        self.directory = directory
        self._prefix = os.path.join(directory, "")
        self.index = index
        self.store = store
        self.config = config
        self.origin = origin
        self.identity = identity
        self.columns = columns
        self.witness: Witness = Witness(store, identity, origin, index)
        self._tag = tag_of(identity.facts)
        self._table: CacheTable | None = None
        self._unrecorded: dict[int, list[int]] = {}
        self._current: set[int] = set()
        self._has_doubted = False

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration; the table is mapped again where it is needed."""
        return {**self.__dict__, "_table": None, "_unrecorded": {}, "_current": set()}

    def contents(self) -> tuple[bytes, bytes]:
        """Return prints of what shards hold: one that copies elsewhere share, and one that only these very files have.

        The second is empty where nothing but the first is known.
        """
        hasher = blake2b(digest_size=8)
        for files in (self.index.raw_data, self.index.raw_meta):
            hasher.update(files.bytes.astype("<i8").tobytes())
            hasher.update(files.hashes.blob.tobytes())
        return hasher.digest(), b""

    @property
    def in_place(self) -> NDArray[np.bool_]:
        """``bool[n]``, whether each shard can only be in this directory, raw."""
        if self.store is not None:
            return np.zeros(self.index.num_shards, np.bool_)
        if all(schema.compression is None for schema in self.index.schemas):
            return np.ones(self.index.num_shards, np.bool_)
        return self.index.zip_bytes == 0

    @property
    def table(self) -> CacheTable | None:
        """The bookkeeping of this directory, or ``None`` for a dataset that is only local."""
        if self._table is None and self.store is not None:
            os.makedirs(self.directory, exist_ok=True)
            self._table = open_table(self.directory, self.index, self.identity, self.has_files)
        return self._table

    @property
    def owned(self) -> NDArray[np.int64]:
        """``int64[n]``, bytes on disk that this cache wrote of each shard."""
        return np.zeros(self.index.num_shards, np.int64) if self.table is None else self.table.owned

    @property
    def access(self) -> NDArray[np.int64]:
        """``int64[n]``, when each shard was used last, in ns since the epoch; 0 for never."""
        return np.zeros(self.index.num_shards, np.int64) if self.table is None else self.table.access

    @property
    def generation(self) -> int:
        """A number that changes with every eviction."""
        return 0 if self.table is None else self.table.generation

    def is_evicted(self, shard: int) -> bool:
        """Say whether a shard that was fetched is no longer there."""
        return self.table is not None and not self.table.verified[shard]

    def open(self, shard: int) -> Shard | None:
        """Open a shard if it is present and belongs to this dataset.

        Args:
            shard: Index of the shard in this stream.

        Returns:
            The open shard, or ``None`` when it has to be fetched first.

        Raises:
            ShardFormatError: A local-only shard contradicts the index.
            ChecksumError: A local-only shard does not have the hash that ``validate_hash`` asks for.
        """
        if not self.is_present(shard):
            return None
        statuses: list[os.stat_result] = []
        try:
            opened = open_shard(self._entry(shard), self.directory, statuses, self.columns, self.name_of(shard))
        except FileNotFoundError:  # evicted by another process just now
            return None
        if self.store is not None and not self._is_noted(shard, statuses):
            return None  # another dataset's took its place just now
        for keeper in self._keepers(shard) if self.witness.has_seen else ():
            keeper.compare()
        if self._table is not None:
            self._table.touch(shard)
        return opened

    def name_of(self, shard: int) -> NameSample | None:
        """Return what names the samples of a shard in errors; ``None``: its file and their numbers do."""
        del shard
        return None

    def is_present(self, shard: int) -> bool:
        """Say whether a shard is present and proved to be the index's. Verifies once and remembers.

        Raises:
            ShardFormatError: Something that is no file is in its place, or a local-only shard contradicts the index.
            ChecksumError: A local-only shard does not have the hash that ``validate_hash`` asks for.
            ObjectChangedError: A local-only shard was changed after the dataset was opened.
        """
        try:
            statuses = [os.stat(self._prefix + name) for name in self.index.raw_names(shard)]
        except FileNotFoundError:
            return False
        if self._is_noted(shard, statuses):
            return self._is_current(shard)
        if self.store is None:
            self._verify_in_place(shard, statuses)
            self._unrecorded[shard] = list(map(stamp_of, statuses))
            return True
        keepers = self._keepers(shard)
        if not all(keeper.is_done() for keeper in keepers):
            return False
        for keeper in keepers:  # who placed a file may have been killed before it removed what it was made from
            remove_part(keeper.job.part(keeper.job.wire))
        return True

    def _is_noted(self, shard: int, statuses: list[os.stat_result]) -> bool:
        """Say whether a shard's raw files are those that were proved before."""
        table = self.table
        if table is None:
            return self._unrecorded.get(shard) == list(map(stamp_of, statuses))
        # The data file's stamp comes first in the table, and last here.
        for status, noted in zip(reversed(statuses), table.stamps[:, shard].tolist(), strict=False):
            if not noted & VERIFIED or noted & ~3 != stamp_of(status):
                return False
        return True

    def _is_current(self, shard: int) -> bool:
        """Ask the store once for the shard's version, where the dataset's version does not tell it."""
        table, store = self._table, self.store
        if table is None or store is None or not table.is_racy or shard in self._current or not self.identity.is_seen:
            return True
        for keeper in self._keepers(shard):
            policy = RetryPolicy(attempts=self.config.download_retry + 1)
            if not keeper.is_proved and not call_with_retries(lambda k=keeper: k.is_current(store), policy, time.sleep):
                keeper.doubt()
                return False
        self._current.add(shard)
        return True

    def fetch(
        self,
        shard: int,
        sleep: Callable[[float], Any],
        stats: FetchStats,
        connections: Callable[[], int] | None = None,
        find_room: Callable[..., Any] | None = None,
    ) -> None:
        """Make a shard present, however many processes ask for it at once.

        Args:
            shard: Index of the shard in this stream.
            sleep: Waits between attempts, in seconds.
            stats: Counts what happened.
            connections: Returns how many requests at a time a large file may take, asked again as it comes; ``None``: one.
            find_room: Reserves room for so many bytes, if what was reserved is gone: another process fetched the shard
                meanwhile, and a third one evicted it; or if it turns out to be too little. With the index of another shard
                as well: says whether there is room for that one without evicting any.

        Raises:
            ShardUnavailableError: It could not be fetched.
            ChecksumError: Its bytes in the store do not fit the index.
        """
        self._fetch(self._keepers(shard), shard, sleep, stats, connections, find_room)

    def _fetch(
        self,
        keepers: list[Keeper],
        shard: int,
        sleep: Callable[[float], Any],
        stats: FetchStats,
        connections: Callable[[], int] | None,
        find_room: Callable[..., Any] | None,
    ) -> None:
        table = self.table
        if find_room is None:
            self.reserve(shard, self.max_bytes(shard))

        def on_begin(size: int | None) -> None:
            needed = self.max_bytes(shard) if size is None else size
            if table is None:
                return
            if find_room is not None and table.owned[shard] < (needed if size is not None else 1):
                find_room(needed)
            self.reserve(shard, needed)
            if size is not None:
                table.owned[shard] = size

        try:
            for keeper in keepers:
                fetch_file(keeper, self.store, self.config, sleep, stats, connections, on_begin)
        except BaseException:
            if table is not None and table.owned[shard]:
                table.owned[shard] = _owned_bytes(keepers)
            raise
        if not self.has_files(shard):
            return  # another process evicted it just now; whoever reads it next asks again
        if table is not None:
            if stats.files_fetched:
                table.owned[shard] = _owned_bytes(keepers)
                self._current.add(shard)
            table.touch(shard)
            if not self.has_files(shard):  # evicted by another process while this one noted that it is there
                table.owned[shard] = table.stamps[:, shard] = 0

    def reserve(self, shard: int, size: int) -> None:
        """Count a shard that is not there yet as so many bytes, until the real number is known."""
        table = self.table
        if table is not None and not table.owned[shard] and not self.has_files(shard):
            table.owned[shard] = size
            table.touch(shard)

    def evict(self, shard: int) -> int:
        """Remove what this cache fetched of a shard; readers that have it open keep reading.

        Returns:
            Bytes that it counts less; 0 for a shard that is just being fetched, which stays.
        """
        table = self.table
        if table is None or not table.owned[shard]:
            return 0
        keepers = self._keepers(shard)
        if (
            not self.has_files(shard)
            and not table.stamps[:, shard].any()
            and table.access[shard] > time.time_ns() - _BEGINS_NS
        ):
            return 0  # reserved by somebody who is about to fetch it
        if not all(remove_part(keeper.job.part(keeper.job.wire)) for keeper in keepers):
            return 0
        for keeper in keepers:
            keeper.remove()
        freed = int(table.owned[shard])
        table.owned[shard] = 0
        table.count_eviction()
        return freed

    def bytes_on_disk(self, shard: int) -> int:
        """Bytes that a shard's files take now, unfinished ones too."""
        total = 0
        for keeper in self._keepers(shard):
            for info in (keeper.job.raw, keeper.job.zip):
                if info is not None:
                    total += _size(keeper.job.path(info)) + _size(keeper.job.part(info))
        return total

    def max_bytes(self, shard: int) -> int:
        """Bytes that a shard takes at most, as far as is known before it is fetched: raw and compressed together."""
        return int(self.index.raw_bytes[shard] + self.index.zip_bytes[shard])

    def wire_cost(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return ``int64[n]`` each: bytes that come from the store for each shard, and in how many files or ranges."""
        index = self.index
        size = np.where(index.zip_bytes > 0, index.zip_bytes, index.raw_bytes)
        return size, np.where(index.raw_meta.bytes > 0, 2, 1)

    def is_stored(self, shard: int) -> bool:
        """Say whether the store holds the very files that the index names, raw or compressed."""
        del shard
        return True

    def _entry(self, shard: int) -> ShardInfo:
        """Return what the files of a shard that is present must be."""
        return self.index.shard(shard)

    def _keepers(self, shard: int) -> list[Keeper]:
        info = self.index.shard(shard)
        zips = info.zip or (None,) * len(info.raw)
        table, last = self.table, len(info.raw) - 1
        return [
            Keeper(
                FileJob(self.directory, raw, zipped, info.schema.compression, self._tag),
                shard,
                i < last,
                table,
                self.witness,
            )
            for i, (raw, zipped) in enumerate(zip(info.raw, zips, strict=True))
        ]

    def has_files(self, shard: int) -> bool:
        """Say whether any of a shard's raw files is there, whatever is in it."""
        return any(os.path.exists(self._prefix + name) for name in self.index.raw_names(shard))

    def _verify_in_place(self, shard: int, statuses: list[os.stat_result]) -> None:
        """Check the user's own files: their sizes, their hashes if asked for, and that they are those that were opened."""
        for keeper, status in zip(self._keepers(shard), statuses, strict=True):
            info, path = keeper.job.raw, keeper.job.path(keeper.job.raw)
            check_plain(path, status)
            algo = self.config.validate_hash
            if status.st_size != info.bytes:
                raise ShardFormatError(
                    f"{path} has {status.st_size} bytes; the index records {info.bytes}. The file is truncated or of "
                    "another version of the dataset."
                )
            if algo is not None and not has_hash(path, info, cheapest_hash(info, algo) or algo):
                raise ChecksumError(f"Checksum failure: {path} does not have the recorded {algo}.")
            if algo is None and keeper.job.zip is None:
                self.witness.see(ObjectInfo(path, status.st_size, None, status.st_mtime_ns / 1e9))
                self._doubt_moved(path, info, status)

    def _doubt_moved(self, path: str, info: FileInfo, status: os.stat_result) -> None:
        """Check what has an old time of change and came to its name, or was touched, after the dataset was opened.

        Moved there, linked, or copied with its times (``rsync -a``), it may be of another version.
        """
        if not self.identity.is_later(max(status.st_ctime, os.lstat(path).st_ctime)):
            return
        algo = cheapest_hash(info, None)
        if algo is not None and not has_hash(path, info, algo):
            raise ObjectChangedError(
                f"{path} was replaced after the dataset was opened: it does not have the recorded {algo}. Open the dataset "
                "anew, and write new versions elsewhere."
            )
        if algo is None and not self._has_doubted:
            self._has_doubted = True
            logger.warning(
                "%s was touched, moved there or linked after the dataset was opened, and has no recorded hash that tells "
                "whether it is still the same.",
                path,
            )


def _owned_bytes(keepers: list[Keeper]) -> int:
    return sum(keeper.owned_bytes() for keeper in keepers)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
