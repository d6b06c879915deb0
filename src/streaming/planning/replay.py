"""The cache of a node, replayed: which needs are fetched, and what lies on disk when.

The rule is the one that :mod:`streaming.cache.planning.eviction` evicts by, on spans of steps rather than on samples: the
shard that is needed last, or never again, goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from streaming.cache.planning.needs import NEVER, Needs
from streaming.planning.demand import Demand

__all__ = ["Replayed", "most_at_once", "replay"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a cache does. Legend: V spans.

    Attributes:
        fetched: ``bool[V]``, whether the shard of a span is fetched at its beginning.
        held: ``int64[V]``, bytes on disk once the span has begun, without indexes.
        evictions: Shards that are removed.
        is_enough: Whether what is in use at a time always fits.
    """

    fetched: NDArray[np.bool_]
    held: Ints
    evictions: int
    is_enough: bool


def most_at_once(demand: Demand, sizes: Ints, ahead: int = 0) -> int:
    """Return the most bytes of shards that are in use at a time.

    Args:
        demand: What a node needs.
        sizes: ``int64[S]``, bytes of each shard.
        ahead: Steps before its first that a shard is there.
    """
    turn = np.lexsort((demand.first, demand.shards))
    shards, first, last = demand.shards[turn], demand.first[turn] - ahead, demand.last[turn]
    # A shard that is needed again before long stays: its spans are one. Each shard's steps are lifted above the others'.
    lift = shards * (int(last.max(initial=0)) + ahead + 2)
    reach = np.maximum.accumulate(last + lift)
    edges = np.flatnonzero(np.append(True, (first + lift)[1:] > reach[:-1])) if len(turn) else turn
    last = np.maximum.reduceat(last, edges) if len(edges) else last
    return Needs(len(sizes), shards[edges], first[edges], last).most_at_once(sizes)


def replay(demand: Demand, sizes: Ints, limit: int | None, ahead: int, known: Sequence[tuple[int, int]]) -> Replayed:
    """Return what a cache of a size does, empty at the beginning.

    Args:
        demand: What a node needs.
        sizes: ``int64[S]``, bytes of each shard.
        limit: Bytes of shards that it may hold, ``None`` for all of them.
        ahead: Steps before its first at which a shard is fetched, if there is room.
        known: From which step on it is known what is needed before which step, ascending.
    """
    size = sizes[demand.shards]
    new = np.zeros(len(size), np.bool_)
    new[np.unique(demand.shards, return_index=True)[1]] = True
    held = np.cumsum(np.where(new, size, 0))
    if limit is None or not len(held) or int(held[-1]) <= limit:
        return Replayed(new, held, 0, True)
    return _Cache(demand, sizes, limit, ahead, known).run()


class _Cache:
    """A cache that is too small for all."""

    def __init__(self, demand: Demand, sizes: Ints, limit: int, ahead: int, known: Sequence[tuple[int, int]]) -> None:
        self._demand, self._limit, self._ahead = demand, limit, ahead
        self._coming: list[int] = _next_use(demand).tolist()
        self._known, self._known_to = list(reversed(known)), NEVER
        self._size: list[int] = sizes.tolist()
        # The span in which each resident shard was needed last.
        self._span: dict[int, int] = {}
        self._held = self._evictions = 0
        self._in_use: list[tuple[int, int, int]] = []  # last step, span, shard
        self._idle: list[tuple[int, int, int, int]] = []  # next use, negated; last step, span, shard

    def run(self) -> Replayed:
        demand = self._demand
        fetched = np.zeros(len(demand.shards), np.bool_)
        held = np.zeros(len(demand.shards), np.int64)
        is_enough = True
        rows = zip(demand.shards.tolist(), demand.first.tolist(), demand.last.tolist(), strict=True)
        for span, (shard, first, last) in enumerate(rows):
            while self._known and self._known[-1][0] <= first - self._ahead:
                self._know(self._known.pop()[1])
            while self._in_use and self._in_use[0][0] < first - self._ahead:
                self._leave_first()
            if shard not in self._span:
                fetched[span] = True
                self._held += self._size[shard]
            self._span[shard] = span
            heappush(self._in_use, (last, span, shard))
            is_enough &= self._make_room(first)
            held[span] = self._held
        return Replayed(fetched, held, self._evictions, is_enough)

    def _leave_first(self) -> None:
        last, span, shard = heappop(self._in_use)
        heappush(self._idle, (-self._next_use(span), last, span, shard))

    def _next_use(self, span: int) -> int:
        return self._coming[span] if self._coming[span] < self._known_to else NEVER

    def _know(self, known_to: int) -> None:
        """Go on in an epoch in which it is known what is needed to a further step."""
        self._known_to = known_to
        self._idle = [(-self._next_use(span), last, span, shard) for _, last, span, shard in self._idle]
        heapify(self._idle)

    def _make_room(self, first: int) -> bool:
        while self._held > self._limit:
            # What finds no room is put off until something is done with, until it is needed itself.
            while not self._idle and self._in_use and self._in_use[0][0] < first:
                self._leave_first()
            if not self._idle:
                return False
            _, _, span, shard = heappop(self._idle)
            if self._span.get(shard) == span:  # else it has come into use again
                del self._span[shard]
                self._held -= self._size[shard]
                self._evictions += 1
        return True


def _next_use(demand: Demand) -> Ints:
    """Return ``int64[V]``: the step at which the shard of each span is needed next."""
    turn = np.lexsort((demand.first, demand.shards))
    shards, first = demand.shards[turn], demand.first[turn]
    following = np.full(len(turn), NEVER, np.int64)
    same = np.flatnonzero(shards[1:] == shards[:-1])
    following[turn[same]] = first[same + 1]
    return following
