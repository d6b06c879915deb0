"""From units to rows, for every stream of a dataset: what an order deals, and what a cache is asked for."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.units.units import Units

__all__ = ["Translation"]

_Ints = NDArray[np.int64]


class Translation:
    """The row of each unit, worked out a shard at a time when a unit of it is first asked for.

    What is worked out lies in memory that forked processes share, 4 bytes a unit, none for units that are never asked for.

    Legend: S shards of all streams, U units of all streams, by ids from 0 in the order of streams and shards.

    Args:
        units: The units of each stream, ``None`` where every row is one.
        shards: Number of shards of each stream.
        begins: ``int64[S]``, id of the first unit of each shard.
        counts: ``int64[S]``, units of each shard.
    """

    def __init__(self, units: Sequence[Units | None], shards: Sequence[int], begins: _Ints, counts: _Ints) -> None:
        self._units = list(units)
        self._shards = list(shards)
        self._begins = begins
        self._counts = counts
        self._reset()

    def _reset(self) -> None:
        total = int(self._counts.sum())
        self._rows = _shared(total)
        self._parts = _shared(total) if any(u is not None and u.has_parts for u in self._units) else None
        self._known = np.zeros(len(self._counts), np.bool_)
        self._stream_of = np.repeat(np.arange(len(self._shards)), self._shards)
        self._first = np.cumsum(self._shards) - np.array(self._shards, np.int64)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the units alone."""
        return {name: self.__dict__[name] for name in ("_units", "_shards", "_begins", "_counts")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing worked out."""
        self.__dict__.update(state)
        self._reset()

    def row(self, shard: int, unit_id: int) -> int:
        """Return the row of a unit of a shard."""
        if not self._known[shard]:
            self._learn(shard)
        return int(self._rows[unit_id])

    def part(self, shard: int, unit_id: int) -> int:
        """Return which part of its row a unit of a shard is, 0 where rows have one part."""
        if self._parts is None:
            return 0
        if not self._known[shard]:
            self._learn(shard)
        return int(self._parts[unit_id])

    def number(self, shard: int, row: int) -> int:
        """Return into how many parts a row of a shard was cut."""
        stream = int(self._stream_of[shard])
        units = self._units[stream]
        return 1 if units is None else units.number(shard - int(self._first[stream]), row)

    def rows(self, shards: _Ints, unit_ids: _Ints) -> _Ints:
        """Return ``int64[k]``, the rows of ``k`` units, given their shards."""
        known = self._known[shards]
        if not known.all():
            for shard in np.unique(shards[~known]).tolist():
                self._learn(shard)
        return self._rows[unit_ids].astype(np.int64)

    def find(self, shard: int, row: int) -> _Ints:
        """Return the ids of the units that a row of a shard has."""
        begin, count = int(self._begins[shard]), int(self._counts[shard])
        if not self._known[shard]:
            self._learn(shard)
        rows = self._rows[begin : begin + count]
        return begin + np.arange(np.searchsorted(rows, row), np.searchsorted(rows, row, side="right"))

    def _learn(self, shard: int) -> None:
        stream = int(self._stream_of[shard])
        units, local = self._units[stream], shard - int(self._first[stream])
        at = slice(int(self._begins[shard]), int(self._begins[shard] + self._counts[shard]))
        if units is None:
            self._rows[at] = np.arange(self._counts[shard])
        else:
            self._rows[at] = units.rows(local)
            if self._parts is not None and units.has_parts:
                self._parts[at] = units.parts(local)
        self._known[shard] = True


def _shared(count: int) -> NDArray[np.uint32]:
    return np.frombuffer(mmap.mmap(-1, max(1, 4 * count)), np.uint32, count)
