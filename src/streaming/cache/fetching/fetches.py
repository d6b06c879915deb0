"""The fetches of one process: one of each shard at a time, the most urgent first, each counted when it ends."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future

from streaming.cache.bookkeeping.counters import Counters
from streaming.cache.fetching.fetch import FetchStats
from streaming.cache.fetching.pool import UrgentFirst
from streaming.core.process.ledger import LEDGERS, OTHER_PROCESS, QUEUE, STORE

__all__ = ["Fetches", "node_downloads"]

#: Downloads at a time: of one process, and about of all of a node.
_DOWNLOADS, _NODE_DOWNLOADS = 8, 64
#: What a batch is waited for, by the phase of a fetch.
_CAUSES = {"queue": QUEUE, "other_process": OTHER_PROCESS, "download": STORE, "backoff": STORE}
#: How long a fetch may take from when its file has its name to when it is counted, if this process is not kept from running.
_MOMENT_S, _LOOK_AGAIN_S = 2.0, 0.001


def node_downloads(processes: int) -> int:
    """Return how many downloads all reading processes of a node have at a time."""
    return processes * _of_process(processes)


def _of_process(processes: int) -> int:
    return max(2, min(_DOWNLOADS, _NODE_DOWNLOADS // processes))


class Fetches:
    """What is fetched now, and the threads that do it, which begin when they are first needed.

    Args:
        counters: Where what was fetched, and waited for, is counted.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._num_threads = _DOWNLOADS
        self._pool: UrgentFirst | None = None
        self._under_way: dict[int, FetchStats] = {}

    def share(self, processes: int) -> None:
        """Note how many processes of this node fetch, and so share the downloads that run at a time."""
        self._num_threads = _of_process(processes)

    def submit(self, shard_id: int, deadline: float, job: Callable[[float], bool]) -> Future[bool]:
        """Have a shard fetched by a job that comes to :meth:`run`; see :meth:`in_background`."""
        if shard_id not in self._under_way:
            self._under_way[shard_id] = FetchStats()
        future = self.in_background(shard_id, deadline, job)
        if future.done():  # one that had failed at this very moment: nothing is under way
            self._under_way.pop(shard_id, None)
        return future

    def in_background(self, key: Hashable, deadline: float, job: Callable[[float], bool]) -> Future[bool]:
        """Have a job done by the threads that fetch, the lowest deadline first; each key is done once at a time."""
        if self._pool is None:
            self._pool = UrgentFirst(self._num_threads, "streaming-fetch")
            # Threads that wait for work would keep themselves alive for ever.
            weakref.finalize(self, self._pool.stop).atexit = False
        return self._pool.submit(key, deadline, job)

    def run(self, shard_id: int, fetch: Callable[[FetchStats], bool]) -> bool:
        """Return what a fetch in this thread returns, and count what it did."""
        stats = self._under_way.get(shard_id) or FetchStats()
        try:
            return fetch(stats)
        finally:
            self._count(stats)
            self._under_way.pop(shard_id, None)

    def wait(self, shard_id: int, future: Future[bool], timeout_s: float) -> None:
        """Wait for a fetch that was submitted, and count what the time went to.

        Raises:
            TimeoutError: It takes longer.
            Exception: What kept the shard from being fetched.
        """
        begin = time.monotonic_ns()
        stats = self._under_way.get(shard_id)
        try:
            future.result(timeout=timeout_s)
        except CancelledError:
            return  # the cache was closed meanwhile; it can be used again
        finally:
            end = time.monotonic_ns()
            spent = stats.phases.within(begin, end) if stats is not None else {}
            causes = {f"wait_ns_{phase}": ns for phase, ns in spent.items()}
            self._counters.add(waits=1, wait_ns=end - begin, **causes)
            for phase, ns in spent.items():
                LEDGERS.own.move(_CAUSES[phase], ns)

    def connections(self) -> int:
        """Return how many requests at a time a download may take: its share, of those that are under way now."""
        # What waits for another process, or for its turn, takes none.
        active = sum(stats.phases.current == "download" for stats in list(self._under_way.values()))
        return -(-self._num_threads // max(1, active))

    def settle(self, has_files: Callable[[int], bool]) -> None:
        """Wait, a moment at most, until those fetches are counted whose files are there already."""
        deadline = time.monotonic() + _MOMENT_S
        for shard_id, stats in list(self._under_way.items()):
            while (
                stats.phases.current == "download"
                and self._under_way.get(shard_id) is stats
                and has_files(shard_id)
                and time.monotonic() < deadline
            ):
                time.sleep(_LOOK_AGAIN_S)

    def close(self) -> None:
        """Stop the threads. Others begin where they are needed."""
        if self._pool is not None:
            self._pool.close()  # while it is in its place, or a job that is about to end would begin others in a new one
            self._pool = None
        self._under_way.clear()

    def _count(self, stats: FetchStats) -> None:
        self._counters.add(
            bytes_fetched=stats.bytes_fetched,
            files_fetched=stats.files_fetched,
            retries=stats.retries,
            throttled=stats.throttled,
            corrupt=stats.corrupt,
        )
