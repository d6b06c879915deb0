"""Reading of joined rows: which shards of the sides a sample needs, and the sample made of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.cache.reading.gather import get_many
from streaming.dataset.sources import JoinedSide, Source

__all__ = ["Links"]

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Link:
    """One side of one stream, whose shards are numbered after those of all streams."""

    side: JoinedSide
    first: int
    ends: _Ints

    def rows(self, places: _Ints) -> _Ints:
        """Return the side's rows of a stream's rows, -1 for none."""
        return places if self.side.rows is None else self.side.rows[places]

    def shards(self, rows: _Ints) -> _Ints:
        """Return the shards of rows, -1 for none."""
        return np.where(rows < 0, -1, self.first + np.searchsorted(self.ends, rows, side="right"))

    def indexes(self, rows: _Ints, shards: _Ints) -> _Ints:
        """Return the places of rows in their shards."""
        return rows - (self.ends - self.side.source.sizes)[shards - self.first]


class Links:
    """The sides of all streams.

    Legend: S shards of the streams.

    Args:
        sources: The streams.

    Attributes:
        num_shards: Shards of the streams and of all sides.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        sizes = [len(source.sizes) for source in sources]
        self._num_own = self.num_shards = sum(sizes)
        self._first_shards = (np.cumsum(sizes) - sizes).tolist()
        self._sizes = [source.sizes for source in sources]
        self._links: list[list[_Link]] = []
        for source in sources:
            links: list[_Link] = []
            for side in source.joins:
                links.append(_Link(side, self.num_shards, np.cumsum(side.source.sizes)))
                self.num_shards += len(side.source.sizes)
            self._links.append(links)

    def complete(self, cache: ShardCache, sample: dict[str, Any], stream: int, place: int) -> dict[str, Any]:
        """Add to a sample what its sides have.

        Args:
            cache: The shards.
            sample: What the stream has.
            stream: The stream.
            place: Row in the stream.
        """
        return self.complete_all(cache, [sample], np.array([stream]), np.array([place]))[0]

    def complete_all(
        self, cache: ShardCache, samples: list[dict[str, Any]], streams: _Ints, places: _Ints
    ) -> list[dict[str, Any]]:
        """Add to ``k`` samples what their sides have; see :meth:`complete`."""
        made = [dict(sample) for sample in samples]
        for stream, links in enumerate(self._links):
            which = np.flatnonzero(streams == stream) if links else np.empty(0, np.int64)
            if not len(which):
                continue
            for link in links:
                rows = link.rows(places[which])
                shards = link.shards(rows)
                there = np.flatnonzero(rows >= 0)
                found = get_many(cache, shards[there], link.indexes(rows[there], shards[there])) if len(there) else []
                for at in which[rows < 0].tolist():
                    made[at].update(dict.fromkeys(link.side.names))
                for at, sample in zip(which[there].tolist(), found, strict=True):
                    made[at].update(sample)
        return made

    def shards_of(self, streams: _Ints, places: _Ints) -> Iterator[_Ints]:
        """Yield ``int64[k]``, once or oftener: shards of the sides that ``k`` samples need, -1 for none."""
        for stream, links in enumerate(self._links):
            here = streams == stream
            for link in links if here.any() else ():
                yield np.where(here, link.shards(link.rows(np.where(here, places, 0))), -1)

    def spans(self, shards: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return spans of time in which shards of the sides are read, from those of the streams' shards.

        A shard of a side may be read whenever one is read whose rows it has.

        Args:
            shards: ``int64[V]``, of the streams.
            first: ``int64[V]``, when each span begins.
            last: ``int64[V]``, when it ends.
        """
        own, sides = self._pairs()
        begin = np.full(self._num_own, np.iinfo(np.int64).max)
        end = np.full(self._num_own, -1, np.int64)
        np.minimum.at(begin, shards, first)
        np.maximum.at(end, shards, last)
        begins = np.full(self.num_shards, np.iinfo(np.int64).max)
        ends = np.full(self.num_shards, -1, np.int64)
        np.minimum.at(begins, sides, begin[own])
        np.maximum.at(ends, sides, end[own])
        used = np.flatnonzero(ends >= 0)
        return np.concatenate([shards, used]), np.concatenate([first, begins[used]]), np.concatenate([last, ends[used]])

    def _pairs(self) -> tuple[_Ints, _Ints]:
        """Return shards of streams, and shards of sides that have rows of theirs."""
        found: list[_Ints] = [np.empty((2, 0), np.int64)]
        for number, sizes, links in zip(self._first_shards, self._sizes, self._links, strict=True):
            for link in links:
                own = np.repeat(number + np.arange(len(sizes)), sizes)
                shards = link.shards(link.rows(np.arange(len(own))))
                pairs = np.unique(own[shards >= 0] * self.num_shards + shards[shards >= 0])
                found.append(np.stack([pairs // self.num_shards, pairs % self.num_shards]))
        own, sides = np.concatenate(found, axis=1)
        return own, sides
