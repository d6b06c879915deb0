"""The shards of a whole dataset on this node: open, fetch, evict.

One object serves all streams. What belongs to a process (open maps, background threads) is made on first use in that
process and never pickled or inherited.
"""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from streaming.cache.counters import Counters
from streaming.cache.directory import ShardDirectory
from streaming.cache.fetch import FetchStats
from streaming.cache.pool import UrgentFirst
from streaming.core.errors import ConfigError, ShardUnavailableError
from streaming.format.shard import Shard

__all__ = ["ShardCache"]

logger = logging.getLogger(__name__)

_DOWNLOAD_THREADS = 8
NOW = -1.0


class ShardCache:
    """Makes shards present on this node and opens them.

    Args:
        directories: The streams' directories, in stream order.
        limit: Bytes that this cache may hold on the node's disk, or ``None``.
        index_bytes: Bytes of the indexes, counted as used.
    """

    def __init__(self, directories: Sequence[ShardDirectory], limit: int | None = None, index_bytes: int = 0) -> None:
        self.directories = tuple(directories)
        self.limit = limit
        self.index_bytes = index_bytes
        counts = [d.index.num_shards for d in self.directories]
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._stream_of = np.repeat(np.arange(len(counts)), counts)
        if limit is not None:
            self._check_limit(limit)
        self.counters = Counters()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._open: OrderedDict[int, Shard] = OrderedDict()
        self._max_open = _max_open_shards()
        self._pool: UrgentFirst | None = None
        self._lock = threading.Lock()
        self._fetching: dict[int, FetchStats] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration only."""
        keep = ("directories", "limit", "index_bytes", "counters", "_first", "_stream_of")
        return {name: self.__dict__[name] for name in keep}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing open."""
        self.__dict__.update(state)
        self._reset()

    @property
    def num_shards(self) -> int:
        """Shards of all streams."""
        return int(self._first[-1])

    def locate(self, shard_id: int) -> tuple[ShardDirectory, int]:
        """Return a shard's directory, and its index there."""
        if not 0 <= shard_id < self.num_shards:
            raise IndexError(f"Shard {shard_id} is out of range for {self.num_shards} shards.")
        stream = int(self._stream_of[shard_id])
        return self.directories[stream], shard_id - int(self._first[stream])

    def get(self, shard_id: int) -> Shard:
        """Return an open shard, fetching it first if need be.

        Args:
            shard_id: Index over the shards of all streams.

        Returns:
            The shard, which this cache keeps open for a while.

        Raises:
            ShardUnavailableError: It could not be made present.
            ShardFormatError: Its bytes contradict the index.
        """
        shard = self._open.get(shard_id)
        if shard is not None and self._pid == os.getpid():
            return shard
        return self._get_slowly(shard_id)

    def _get_slowly(self, shard_id: int) -> Shard:
        self._check_process()
        directory, local = self.locate(shard_id)
        for _ in range(8):
            shard = directory.open(local)
            if shard is not None:
                self._keep_open(shard_id, shard)
                return shard
            self._wait_for(shard_id, self._deadline_s(directory, local))
        raise ShardUnavailableError(
            f"Shard {shard_id} in {directory.directory} keeps disappearing: other processes evict it as fast as it "
            "is fetched. Raise cache_limit."
        )

    def _wait_for(self, shard_id: int, timeout_s: float) -> None:
        begin = time.monotonic_ns()
        future = self.prefetch(shard_id, NOW)
        stats = self._fetching.get(shard_id)
        try:
            future.result(timeout=timeout_s)
        except TimeoutError as error:
            raise ShardUnavailableError(
                f"Waited {timeout_s:.0f} s for shard {shard_id} in {self.locate(shard_id)[0].directory} to be fetched from "
                f"{self.locate(shard_id)[0].origin}."
            ) from error
        finally:
            end = time.monotonic_ns()
            spent = stats.phases.within(begin, end) if stats is not None else {}
            causes = {f"wait_ns_{phase}": ns for phase, ns in spent.items()}
            self.counters.add(waits=1, wait_ns=end - begin, **causes)

    def prefetch(self, shard_id: int, deadline: float) -> Future[None]:
        """Begin to fetch a shard in the background, the lowest deadline first.

        Returns:
            A future that ends when the shard is present, or with the exception that kept it from being so.
        """
        self._check_process()
        if self._pool is None:
            self._pool = UrgentFirst(_DOWNLOAD_THREADS, "streaming-fetch")
        if shard_id not in self._fetching:
            self._fetching[shard_id] = FetchStats()
        return self._pool.submit(shard_id, deadline, lambda: self.fetch(shard_id))

    def fetch(self, shard_id: int) -> None:
        """Make a shard present in this thread.

        Raises:
            ShardUnavailableError: It could not be made present.
        """
        stats = self._fetching.get(shard_id) or FetchStats()
        try:
            self._fetch(shard_id, stats)
        finally:
            self._fetching.pop(shard_id, None)
            self._count(stats)

    def _fetch(self, shard_id: int, stats: FetchStats) -> None:
        directory, local = self.locate(shard_id)
        if directory.is_present(local):
            return
        if self.limit is not None and directory.store is not None:
            self._make_room(directory.max_bytes(local), shard_id)
        directory.fetch(local, time.sleep, stats)

    def is_present(self, shard_id: int) -> bool:
        """Say whether a shard is on disk, verified."""
        directory, local = self.locate(shard_id)
        return shard_id in self._open or directory.is_present(local)

    def touch(self, shard_ids: np.ndarray[Any, Any]) -> None:
        """Note that shards are in use."""
        for shard_id in shard_ids.tolist():
            directory, local = self.locate(shard_id)
            if directory.table is not None:
                directory.table.touch(local)

    def evict(self, shard_id: int) -> int:
        """Remove a shard that this cache fetched.

        Returns:
            Bytes removed; 0 for one that it did not fetch.
        """
        self._check_process()
        self._open.pop(shard_id, None)
        directory, local = self.locate(shard_id)
        removed = directory.evict(local)
        if removed:
            self.counters.add(evictions=1, bytes_evicted=removed)
        return removed

    def evict_coldest(self) -> int:
        """Remove the shard that was used longest ago.

        Returns:
            Its index.

        Raises:
            ConfigError: Nothing can be evicted.
        """
        candidates = self._evictable()
        if not len(candidates):
            raise ConfigError("There is no shard to evict: the cache holds none that it fetched. Raise cache_limit.")
        coldest = int(candidates[np.argmin(self._access()[candidates])])
        self.evict(coldest)
        return coldest

    @property
    def usage(self) -> int:
        """Bytes on this node's disk that this cache holds, indexes included."""
        return self.index_bytes + int(self._owned().sum())

    def _owned(self) -> np.ndarray[Any, Any]:
        return np.concatenate(
            [d.table.owned if d.table is not None else np.zeros(d.index.num_shards, np.int64) for d in self.directories]
        )

    def _access(self) -> np.ndarray[Any, Any]:
        return np.concatenate(
            [
                d.table.access if d.table is not None else np.zeros(d.index.num_shards, np.int64)
                for d in self.directories
            ]
        )

    def _evictable(self) -> np.ndarray[Any, Any]:
        return np.flatnonzero(self._owned() > 0)

    def _make_room(self, needed: int, wanted: int) -> None:
        tables = [d.table for d in self.directories if d.table is not None]
        if not tables or self.limit is None:
            return
        with tables[0].lock():
            while self.usage + needed > self.limit:
                owned = self._owned()
                owned[wanted] = 0
                candidates = np.flatnonzero(owned > 0)
                if not len(candidates):
                    return
                self.evict(int(candidates[np.argmin(self._access()[candidates])]))

    def _check_limit(self, limit: int) -> None:
        if limit <= self.index_bytes:
            raise ConfigError(f"cache_limit={limit} must exceed the size of the indexes, {self.index_bytes} bytes.")
        largest = max(
            (int((d.index.raw_bytes + d.index.zip_bytes).max(initial=0)) for d in self.directories),
            default=0,
        )
        if limit < 4 * largest:
            raise ConfigError(
                f"cache_limit={limit} must be at least four times the largest shard (raw and compressed together "
                f"{largest} bytes): {4 * largest} bytes."
            )

    def _deadline_s(self, directory: ShardDirectory, local: int) -> float:
        # Each attempt ends by itself when it stalls; this bound only catches what nothing else would.
        config = directory.config
        transfer = directory.max_bytes(local) / 50_000
        return (config.download_retry + 1) * (config.download_timeout + transfer) + 600

    def _keep_open(self, shard_id: int, shard: Shard) -> None:
        with self._lock:
            self._open[shard_id] = shard
            while len(self._open) > self._max_open:
                self._open.popitem(last=False)

    def _count(self, stats: FetchStats) -> None:
        self.counters.add(
            bytes_fetched=stats.bytes_fetched,
            files_fetched=stats.files_fetched,
            retries=stats.retries,
            throttled=stats.throttled,
            corrupt=stats.corrupt,
        )

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            self._reset()

    def close(self) -> None:
        """Stop the background threads and close the open shards. The cache can be used again."""
        if self._pid != os.getpid():
            return
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        self._fetching.clear()
        self._open.clear()


def _max_open_shards() -> int:
    """Half of the descriptors this process may have: every open shard takes one or two."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in (resource.RLIM_INFINITY, -1):
        return 4096
    return int(min(4096, max(16, soft // 4)))
