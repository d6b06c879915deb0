"""Fetch shards ahead of need, in the order of need."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache, Tolerance
from streaming.core.arrays import distinct
from streaming.core.errors import StreamingError

__all__ = ["LookAhead", "Schedule"]


#: Shards at a time that are asked for again when there was no room for them.
_TRIED_AGAIN = 4
#: Positions that are looked at ahead in one step, which takes some hundredths of a second then.
_MOST_AT_ONCE = 1 << 18


class Schedule(Protocol):
    """Which sample, of which shard, one worker reads at each of its positions."""

    def __len__(self) -> int:
        """Return the number of positions."""
        ...

    def get(self, begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return sample ids and shards of positions ``[begin, end)``, -1 where there is nothing to read."""
        ...

    def further(self, ids: NDArray[np.int64], shards: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
        """Return arrays like ``shards``: others that the samples need besides, -1 where there is none."""
        ...

    def forget(self, position: int) -> None:
        """Note that positions before this one are not asked for again."""
        ...

    def time(self, position: int) -> int:
        """Return when a position is served, in samples of all ranks together, as plans count it."""
        ...


class LookAhead:
    """Keeps the shards of the coming ``window`` positions on their way.

    Args:
        cache: The shards.
        schedule: What will be read.
        window: Positions ahead of the reader to look.
        tolerance: Of a reader that goes on without shards that cannot be had.
        following: Returns what will be read after the end of the schedule, if that is known; called in a background
            thread.
    """

    def __init__(
        self,
        cache: ShardCache,
        schedule: Schedule,
        window: int,
        tolerance: Tolerance | None = None,
        following: Callable[[], Schedule | None] | None = None,
    ) -> None:
        self._cache = cache
        self._schedule = schedule
        self._window = window
        self._tolerance = tolerance
        self._following = following
        self._closed = False
        self._seen_to = 0
        self._asked: dict[int, Future[bool]] = {}
        self._times: dict[int, int] = {}
        self._known = cache.in_place.copy()
        self._num_unknown = int((~self._known).sum())
        # Also when the program ends with an iteration left half-way, while what this calls is still there.
        self._leave = weakref.finalize(self, cache.leave)

    def advance(self, begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Move the reader to positions ``[begin, end)``, which it reads next.

        Returns:
            Sample ids and shards of those positions.

        Raises:
            StreamingError: A background fetch failed, for these positions or for coming ones.
        """
        if self._cache.at(self._schedule.time(begin)):
            self._known = self._cache.in_place.copy()
            self._num_unknown = int((~self._known).sum())
        self._see_results()
        length = len(self._schedule)
        horizon = max(end, begin + 1 + self._window)
        # All of a wide window at once would keep the reader waiting; it widens as the reader goes on.
        seen_to = min(horizon, length, max(end, self._seen_to + _MOST_AT_ONCE))
        if seen_to > self._seen_to:
            if self._num_unknown:
                ids, shards = self._schedule.get(self._seen_to, seen_to)
                self._ask(shards, self._schedule, self._seen_to)
                for further in self._schedule.further(ids, shards):
                    self._ask(further, self._schedule, self._seen_to)
            self._seen_to = seen_to
        if horizon > length == self._seen_to and self._following is not None:
            following, self._following = self._following, None
            self._cache.in_background("following", self._schedule.time(length), lambda _: self._begin(following))
        self._schedule.forget(begin)
        return self._schedule.get(begin, end)

    def look_again(self, position: int) -> None:
        """Note that another schedule has come from a position on."""
        self._seen_to = position

    def _ask(self, shards: NDArray[np.int64], schedule: Schedule, offset: int) -> None:
        # Most are shards that were there a moment ago, and nothing was evicted since.
        new = np.flatnonzero((shards >= 0) & ~self._known[shards])
        if not len(new):
            return
        unique, first = distinct(shards[new])
        for i in np.argsort(first, kind="stable").tolist():
            shard = int(unique[i])
            self._known[shard] = True
            self._num_unknown -= 1
            if shard not in self._asked:
                self._fetch(shard, schedule.time(offset + int(new[first[i]])))

    def _fetch(self, shard: int, time: int) -> None:
        try:
            present = self._cache.is_present(shard)
        except StreamingError as error:  # a shard of a dataset that is only local
            self._fail(shard, error)
            return
        if not present:
            self._times[shard] = time
            self._asked[shard] = self._cache.prefetch(shard, float(time), self._tolerance)

    def _see_results(self) -> None:
        put_off: list[int] = []
        for shard, future in list(self._asked.items()):
            if not future.done():
                continue
            del self._asked[shard]
            if future.cancelled():  # the cache was closed meanwhile; it can be used again
                put_off.append(shard)
                continue
            error = future.exception()
            if error is not None:
                self._fail(shard, error)
            elif not future.result():
                put_off.append(shard)
            else:
                self._times.pop(shard, None)
        # There was no room for them. There may be now, for the first; the others wait for their turn.
        for number, shard in enumerate(sorted(put_off, key=self._times.__getitem__)):
            if number < _TRIED_AGAIN:
                self._fetch(shard, self._times.pop(shard))
            else:
                self._asked[shard] = _put_off()

    def _begin(self, following: Callable[[], Schedule | None]) -> bool:
        """Ask for what is needed first after the end."""
        schedule = following()
        if schedule is not None and not self._closed:
            ids, own = schedule.get(0, min(self._window, len(schedule), _MOST_AT_ONCE))
            for shards in (own, *schedule.further(ids, own)):
                unique, first = distinct(shards)
                for shard, position in zip(unique.tolist(), first.tolist(), strict=True):
                    if shard >= 0 and not self._cache.is_present(shard):
                        self._cache.prefetch(shard, float(schedule.time(position)), self._tolerance)
        return True

    def _fail(self, shard: int, error: BaseException) -> None:
        if self._tolerance is None or not self._tolerance.tolerate(shard, error):
            raise error

    def close(self) -> None:
        """Forget what was asked for; fetches that run end by themselves."""
        self._closed = True
        self._asked.clear()
        self._leave()


def _put_off() -> Future[bool]:
    future: Future[bool] = Future()
    future.set_result(False)
    return future
