"""Fetch shards ahead of need, in the order of need."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.core.errors import StreamingError

__all__ = ["LookAhead", "Schedule"]


class Schedule(Protocol):
    """Which sample, of which shard, one worker reads at each of its positions."""

    def __len__(self) -> int:
        """Return the number of positions."""
        ...

    def get(self, begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return sample ids and shards of positions ``[begin, end)``, -1 where there is nothing to read."""
        ...

    def forget(self, position: int) -> None:
        """Note that positions before this one are not asked for again."""
        ...


class LookAhead:
    """Keeps the shards of the coming ``window`` positions on their way.

    Args:
        cache: The shards.
        schedule: What will be read.
        window: Positions ahead of the reader to look.
        tolerate: Says of a shard's failure whether the reader deals with it itself.
    """

    def __init__(
        self,
        cache: ShardCache,
        schedule: Schedule,
        window: int,
        tolerate: Callable[[int, BaseException], bool] | None = None,
    ) -> None:
        self._cache = cache
        self._schedule = schedule
        self._window = window
        self._tolerate = tolerate
        self._seen_to = 0
        self._asked: dict[int, Future[None] | None] = {}

    def advance(self, begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Move the reader to positions ``[begin, end)``, which it reads next.

        Returns:
            Sample ids and shards of those positions.

        Raises:
            StreamingError: A background fetch failed, for these positions or for coming ones.
        """
        horizon = min(max(end, begin + 1 + self._window), len(self._schedule))
        if horizon > self._seen_to:
            _, shards = self._schedule.get(self._seen_to, horizon)
            self._ask(shards, self._seen_to)
            self._seen_to = horizon
        self._raise_failures()
        self._schedule.forget(begin)
        return self._schedule.get(begin, end)

    def _ask(self, shards: NDArray[np.int64], offset: int) -> None:
        unique, first = np.unique(shards, return_index=True)
        for i in np.argsort(first, kind="stable").tolist():
            shard = int(unique[i])
            if shard < 0:
                continue
            try:
                present = self._cache.is_present(shard)
            except StreamingError as error:  # a shard of a dataset that is only local
                self._fail(shard, error)
                continue
            if not present:
                self._asked[shard] = self._cache.prefetch(shard, float(offset + int(first[i])))

    def _raise_failures(self) -> None:
        for shard, future in list(self._asked.items()):
            if future is not None and future.done():
                del self._asked[shard]
                error = future.exception()
                if error is not None:
                    self._fail(shard, error)

    def _fail(self, shard: int, error: BaseException) -> None:
        if self._tolerate is None or not self._tolerate(shard, error):
            raise error

    def close(self) -> None:
        """Forget what was asked for; fetches that run end by themselves."""
        self._asked.clear()
