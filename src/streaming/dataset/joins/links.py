"""Reading of joined rows: which shards of the sides a sample needs, and the sample made of all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.cache.reading.gather import get_many
from streaming.dataset.sources import JoinedSide, Source

__all__ = ["Links"]

_Ints = NDArray[np.int64]


class _Link:
    """One side of one stream, whose shards are numbered after those of all streams.

    Args:
        side: The side.
        first: Number of its first shard.
    """

    def __init__(self, side: JoinedSide, first: int) -> None:
        self.side = side
        self.first = first
        self.ends: _Ints = np.cumsum(side.source.sizes)
        self._ends: list[int] = self.ends.tolist()

    def place(self, place: int) -> tuple[int, int] | None:
        """Return (shard, index within it) of the row that belongs to a stream's, ``None`` for none."""
        row = place if self.side.rows is None else int(self.side.rows[place])
        if row < 0:
            return None
        at = bisect_right(self._ends, row)
        return self.first + at, row - (self._ends[at - 1] if at else 0)

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
                links.append(_Link(side, self.num_shards))
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
        made = dict(sample)
        for link in self._links[stream]:
            found = link.place(place)
            made.update(dict.fromkeys(link.side.names) if found is None else cache.get(found[0]).get(found[1]))
        return made

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

    def needed(self, stream: int, place: int) -> list[int]:
        """Return the shards of the sides that a row of a stream needs."""
        return [found[0] for link in self._links[stream] if (found := link.place(place)) is not None]

    def places(self, streams: _Ints, places: _Ints) -> list[tuple[_Ints, _Ints]] | None:
        """Say where the rows of the sides are that belong to ``k`` rows of the streams.

        Returns:
            For each side, shards and indexes in these, ``int64[k]`` both; ``None`` where a row is missing, or the rows are
            of streams with other sides.
        """
        present = np.unique(streams).tolist()
        every = [self._links[stream] for stream in present]
        if len({tuple(link.side.names for link in links) for links in every}) != 1:
            return None
        found: list[tuple[_Ints, _Ints]] = []
        for alike in zip(*every, strict=True):
            shards, indexes = np.empty((2, len(streams)), np.int64)
            for stream, link in zip(present, alike, strict=True):
                which = streams == stream
                rows = link.rows(places[which])
                if (rows < 0).any():
                    return None
                shards[which] = there = link.shards(rows)
                indexes[which] = link.indexes(rows, there)
            found.append((shards, indexes))
        return found

    def shards_of(self, streams: _Ints, places: _Ints) -> Iterator[_Ints]:
        """Yield ``int64[k]``, once or oftener: shards of the sides that ``k`` samples need, -1 for none."""
        for stream, links in enumerate(self._links):
            here = streams == stream
            for link in links if here.any() else ():
                yield np.where(here, link.shards(link.rows(np.where(here, places, 0))), -1)

    def shards_beside(self, shards: _Ints) -> Iterator[_Ints]:
        """Yield ``int64[k]``, once or oftener: shards of the sides that have rows of ``k`` of the streams', -1 for none.

        Args:
            shards: ``int64[k]``, -1 for none.
        """
        own, sides = self._pairs
        begins, ends = np.searchsorted(own, shards), np.searchsorted(own, shards, side="right")
        for number in range(int((ends - begins).max(initial=0))):
            at = begins + number
            yield np.where(at < ends, sides[np.minimum(at, len(sides) - 1)], -1)

    def spans(self, shards: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return spans of time in which shards of the sides are read, from those of the streams' shards.

        A shard of a side may be read whenever one is read whose rows it has.

        Args:
            shards: ``int64[V]``, of the streams.
            first: ``int64[V]``, when each span begins.
            last: ``int64[V]``, when it ends.
        """
        own, sides = self._pairs
        # Every span of a shard of a stream is one of each shard of its sides. Those that overlap are one.
        begins, counts = np.searchsorted(own, shards), np.bincount(own, minlength=self._num_own)[shards]
        which = np.repeat(np.arange(len(shards)), counts)
        pair = np.repeat(begins - (np.cumsum(counts) - counts), counts) + np.arange(len(which))
        found = _merged(sides[pair], first[which], last[which])
        return tuple(np.concatenate(both) for both in zip((shards, first, last), found, strict=True))  # pyright: ignore[reportReturnType]

    @cached_property
    def _pairs(self) -> tuple[_Ints, _Ints]:
        """Return shards of streams, and shards of sides that have rows of theirs."""
        found: list[_Ints] = [np.empty((2, 0), np.int64)]
        for number, sizes, links in zip(self._first_shards, self._sizes, self._links, strict=True):
            ends = np.cumsum(sizes)
            for link in links:
                if link.side.rows is None:
                    low = np.searchsorted(link.ends, ends - sizes, side="right")
                    counts = np.where(sizes > 0, np.searchsorted(link.ends, ends - 1, side="right") - low + 1, 0)
                    own = np.repeat(np.arange(len(sizes)), counts)
                    sides = np.repeat(low - (np.cumsum(counts) - counts), counts) + np.arange(len(own))
                    real = link.side.source.sizes[sides] > 0
                    own, sides = own[real], sides[real]
                else:
                    own = np.repeat(np.arange(len(sizes)), sizes)[link.side.rows >= 0]
                    sides = np.searchsorted(link.ends, link.side.rows[link.side.rows >= 0], side="right")
                found.append(np.stack([number + own, link.first + sides]))
        pairs = np.unique(np.concatenate(found, axis=1), axis=1)
        return pairs[0], pairs[1]


def _merged(shards: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints, _Ints]:
    """Return the same spans, one where several of a shard overlap."""
    if not len(shards):
        return shards, first, last
    order = np.lexsort((first, shards))
    shards, first, last = shards[order], first[order], last[order]
    apart = (int(last.max()) + 1) * shards  # so that those of different shards never overlap
    reach = np.maximum.accumulate(last + apart)
    begins = np.flatnonzero(np.concatenate([[True], (first + apart)[1:] > reach[:-1]]))
    ends = np.append(begins[1:], len(shards)) - 1
    return shards[begins], first[begins], (reach - apart)[ends]
