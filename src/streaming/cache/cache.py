"""The shards of a whole dataset on this node: open, fetch, evict.

One object serves all streams. What belongs to a process (open maps, background threads) is made on first use in that
process and never pickled or inherited.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.cache.bookkeeping.counters import Counters
from streaming.cache.fetching.config import LONGEST_S
from streaming.cache.fetching.directories import Directories
from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.fetching.fetch import FetchStats
from streaming.cache.fetching.fetches import Fetches
from streaming.cache.files.open_shards import OpenShards
from streaming.cache.files.rows import FoundRows
from streaming.cache.planning.eviction import NOW, Evictor
from streaming.cache.planning.needs import NEVER, Plan
from streaming.core.errors import ConfigError, ShardUnavailableError
from streaming.format.shard import Shard

__all__ = ["ShardCache", "Tolerance"]

logger = logging.getLogger(__name__)

#: How often other processes may evict a shard just when it was fetched.
_TRIES = 32
#: How long a reader waits for others' downloads before it passes the limit, and how often it looks.
_PATIENCE_S, _LOOK_AGAIN_S = 5.0, 0.01


class Tolerance(Protocol):
    """What a reader has that goes on without shards that cannot be had."""

    def tolerate(self, shard: int, error: BaseException) -> bool:
        """Say whether the reader deals with a shard's failure itself."""
        ...

    def attempt(self, shard: int, fetch: Callable[[], bool]) -> bool:
        """Return what a fetch returns, or raise how the shard has failed before; called in the thread that fetches.

        Nobody can ask for a shard between its failure and this hearing of it, so that each is asked for once.
        """
        ...


class ShardCache:
    """Makes shards present on this node and opens them.

    Args:
        directories: The streams' directories, in stream order.
        limit: Bytes that this cache may hold on the node's disk, or ``None``.
        index_bytes: Bytes of the indexes, counted as used.

    Attributes:
        peek: Returns a shard if it is open: in this process, or in its parent when that forked.
    """

    def __init__(self, directories: Sequence[ShardDirectory], limit: int | None = None, index_bytes: int = 0) -> None:
        self._places = Directories(directories, index_bytes)
        self.limit = limit
        if limit is not None:
            self._places.check_limit(limit)
        self.counters: Counters = Counters()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._open = OpenShards(self.num_shards)
        self.peek = self._open.get
        self._fetches = Fetches(self.counters)
        self._made_evictor: Evictor | None = None
        self._seen_evictions = 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration only."""
        return {name: self.__dict__[name] for name in ("_places", "limit", "counters")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing open."""
        self.__dict__.update(state)
        self._reset()

    @property
    def directories(self) -> tuple[ShardDirectory, ...]:
        """The streams' directories, in stream order."""
        return self._places.every

    @property
    def index_bytes(self) -> int:
        """Bytes of the indexes."""
        return self._places.index_bytes

    @property
    def num_shards(self) -> int:
        """Shards of all streams."""
        return self._places.num_shards

    @property
    def in_place(self) -> NDArray[np.bool_]:
        """``bool[S]``, whether a shard is read from where it is, so that there is nothing to fetch ahead of need."""
        return self._places.in_place

    @property
    def largest_bytes(self) -> int:
        """Bytes of the largest shard, raw and compressed together."""
        return self._places.largest_bytes

    def locate(self, shard_id: int) -> tuple[ShardDirectory, int]:
        """Return a shard's directory, and its index there."""
        return self._places.locate(shard_id)

    @property
    def _evictor(self) -> Evictor | None:
        self._check_process()
        if self._made_evictor is None and self.limit is not None:
            self._made_evictor = Evictor(self.directories, self.limit, self.index_bytes, self.evict)
        return self._made_evictor

    def follow(self, plan: Plan, processes: int = 1) -> None:
        """Evict by a reader's plan from now on.

        Args:
            plan: What the reader is going to read.
            processes: Reading processes on this node, which share the downloads that run at a time.
        """
        if self._evictor is not None:
            self._evictor.follow(plan)
        self._fetches.share(processes)

    def at(self, time_: int) -> bool:
        """Note how far the reader is, and close what was evicted meanwhile, so that its room on disk is free.

        Returns:
            Whether anything was evicted, by any process, since the last call.
        """
        evictor = self._evictor
        if evictor is None:
            return False
        evictor.at(time_)
        generation = evictor.generation
        if generation != self._seen_evictions:
            self._seen_evictions = generation
            self._open.drop_those(self._places.is_evicted)
            return True
        return False

    def leave(self) -> None:
        """Note that the reader has ended."""
        if self._made_evictor is not None and self._pid == os.getpid():
            self._made_evictor.leave()

    def get(self, shard_id: int, tolerance: Tolerance | None = None) -> Shard:
        """Return an open shard, fetching it first if need be.

        Args:
            shard_id: Index over the shards of all streams.
            tolerance: Of a reader that goes on without shards that cannot be had.

        Returns:
            The shard, which this cache keeps open for a while.

        Raises:
            ShardUnavailableError: It could not be made present.
            ShardFormatError: Its bytes contradict the index.
        """
        shard = self.peek(shard_id)
        return self._get_slowly(shard_id, tolerance) if shard is None else shard

    def find_rows(self, shards: NDArray[np.int64]) -> FoundRows | None:
        """Find samples, fetching and opening their shards if need be.

        Args:
            shards: ``int64[k]``, at least one: the shard of each sample.

        Returns:
            Where they are, if they all are of one schema and size; else ``None``.

        Raises:
            ShardUnavailableError: A shard could not be fetched.
        """
        self._check_process()
        return self._open.find_rows(shards, self.get)

    def can_open(self, shards: NDArray[np.int64]) -> bool:
        """Say whether the shards of samples, ``int64[k]``, may all be open at once, by the descriptors of this process."""
        return self._open.fit(shards)

    def _get_slowly(self, shard_id: int, tolerance: Tolerance | None) -> Shard:
        self._check_process()
        directory, local = self.locate(shard_id)
        for _ in range(_TRIES):
            # What was fetched for this reader is open already, lest another process evicts it first.
            shard = self._open.get(shard_id)
            shard = self._open_now(shard_id) if shard is None else shard
            if shard is not None:
                return shard
            self._wait_for(shard_id, self._deadline_s(directory, local), tolerance)
        raise ShardUnavailableError(
            f"Shard {shard_id} in {directory.directory} keeps disappearing: other processes evict it as fast as it "
            "is fetched. Raise cache_limit."
        )

    def _open_now(self, shard_id: int) -> Shard | None:
        directory, local = self.locate(shard_id)
        shard = directory.open(local)
        if shard is not None:
            self._open.add(shard_id, shard)
        return shard

    def _wait_for(self, shard_id: int, timeout_s: float, tolerance: Tolerance | None) -> None:
        future = self.prefetch(shard_id, NOW, tolerance)
        try:
            self._fetches.wait(shard_id, future, timeout_s)
        except TimeoutError as error:
            directory, _ = self.locate(shard_id)
            raise ShardUnavailableError(
                f"Waited {timeout_s:.0f} s for shard {shard_id} in {directory.directory} to be fetched from "
                f"{directory.origin}."
            ) from error

    def prefetch(self, shard_id: int, deadline: float, tolerance: Tolerance | None = None) -> Future[bool]:
        """Begin to fetch a shard in the background, the lowest deadline first.

        Args:
            shard_id: Index over the shards of all streams.
            deadline: When it is needed.
            tolerance: See :meth:`get`.

        Returns:
            A future that ends with ``True`` when the shard is present, with ``False`` if for now there is only room for
            what is needed before, or with the exception that kept the shard from being present.
        """
        self._check_process()
        return self._fetches.submit(shard_id, deadline, lambda deadline: self.fetch(shard_id, deadline, tolerance))

    def in_background(self, key: Hashable, deadline: float, job: Callable[[float], bool]) -> Future[bool]:
        """Have a job done by the threads that fetch, the lowest deadline first; each key is done once at a time."""
        self._check_process()
        return self._fetches.in_background(key, deadline, job)

    def fetch(self, shard_id: int, deadline: float = NOW, tolerance: Tolerance | None = None) -> bool:
        """Make a shard present in this thread.

        Args:
            shard_id: Index over the shards of all streams.
            deadline: When it is needed; what is needed before is not evicted for it.
            tolerance: See :meth:`get`.

        Returns:
            Whether it is present.

        Raises:
            ShardUnavailableError: It could not be made present.
        """

        def fetch(stats: FetchStats) -> bool:
            return self._fetch(shard_id, deadline, stats)

        if tolerance is None:
            return self._fetches.run(shard_id, fetch)
        return self._fetches.run(shard_id, lambda stats: tolerance.attempt(shard_id, lambda: fetch(stats)))

    def _fetch(self, shard_id: int, deadline: float, stats: FetchStats) -> bool:
        directory, local = self.locate(shard_id)
        if directory.is_present(local):
            return True
        evictor = self._evictor if directory.store is not None else None
        size = directory.max_bytes(local)
        if evictor is not None and not self._make_room(evictor, shard_id, size, deadline):
            return False
        find_room = None if evictor is None else partial(self._find_room, evictor, shard_id, local)
        directory.fetch(local, time.sleep, stats, self._fetches.connections, find_room)
        if deadline == NOW and self.limit is not None:
            self._open_now(shard_id)
        return True

    def settle(self) -> None:
        """Wait, a moment at most, until those fetches of this process are counted whose files are there already."""
        self._fetches.settle(self._places.has_files)

    def _find_room(self, evictor: Evictor, shard_id: int, local: int, size: int, other: int | None = None) -> bool:
        if other is None:
            return self._make_room(evictor, shard_id, size, NOW)
        return evictor.make_room(shard_id - local + other, size, NEVER)

    @staticmethod
    def _make_room(evictor: Evictor, shard_id: int, size: int, deadline: float) -> bool:
        patience_s = _PATIENCE_S if deadline == NOW else 0.0
        while not evictor.make_room(shard_id, size, deadline):
            if patience_s <= 0:
                return deadline == NOW and evictor.make_room(shard_id, size, deadline, at_any_rate=True)
            # All that is there is on its way, for other readers. Nobody tells when it has come.
            time.sleep(_LOOK_AGAIN_S)
            patience_s -= _LOOK_AGAIN_S
        return True

    def is_present(self, shard_id: int) -> bool:
        """Say whether a shard is on disk, verified."""
        directory, local = self.locate(shard_id)
        return shard_id in self._open or directory.is_present(local)

    def evict(self, shard_id: int) -> int:
        """Remove a shard that this cache fetched.

        Returns:
            Bytes removed; 0 for one that it did not fetch.
        """
        self._check_process()
        self._open.drop(shard_id)
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
        self._check_process()
        evictor = self._evictor or Evictor(self.directories, 0, self.index_bytes, self.evict)
        for shard_id in evictor.by_access():
            if self.evict(shard_id):
                return shard_id
        raise ConfigError("There is no shard to evict: the cache holds none that it fetched. Raise cache_limit.")

    @property
    def usage(self) -> int:
        """Bytes on this node's disk that this cache holds, indexes included."""
        return self._places.usage

    def stats(self) -> dict[str, int | float]:
        """Return what happened so far, by name, summed over the processes that share this cache's counters."""
        stats: dict[str, int | float] = {}
        for name, value in self.counters.totals().items():
            if name.startswith("wait_ns"):
                stats[name.replace("wait_ns", "wait_seconds")] = value / 1e9
            else:
                stats[name] = value
        return {**stats, "cache_usage": self.usage, "cache_limit": self.limit or 0}

    def _deadline_s(self, directory: ShardDirectory, local: int) -> float:
        # Each attempt ends by itself when it stalls; this bound only catches what nothing else would.
        config = directory.config
        transfer = directory.max_bytes(local) / 50_000
        return min((config.download_retry + 1) * (config.download_timeout + transfer) + 600, LONGEST_S)

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            self._reset()

    def close(self) -> None:
        """Stop the background threads and close the open shards. The cache can be used again."""
        if self._pid != os.getpid():
            return
        self._fetches.close()
        self.leave()
        self._open.clear()
