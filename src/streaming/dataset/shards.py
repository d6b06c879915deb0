"""Where samples lie: the tables that map sample ids to shards and streams."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.dataset.joins.links import Links
from streaming.dataset.sources import Source
from streaming.units.translation import Translation
from streaming.units.units import Units, joint_fingerprint

__all__ = ["TABLES", "ShardTable"]

Spans = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

#: Tables that are a dataset's attributes too.
TABLES = frozenset(
    (
        "samples_per_shard",
        "sample_offset_per_shard",
        "stream_per_shard",
        "shards_per_stream",
        "shard_offset_per_stream",
        "samples_per_stream",
        "sample_offset_per_stream",
    )
)


class ShardTable:
    """Turns sample ids, which an order gives, into shards and indexes, which a cache takes; nothing else does.

    Sample ids are positions in all streams laid end to end: streams in order, shards in order, samples in order. Where not
    every row of a shard is a sample, or one is several, they count units (:class:`streaming.units.units.Units`).

    Legend: S shards, K streams.

    Attributes:
        rows_per_shard: ``int64[S]``, what the shards hold.
        samples_per_shard: ``int64[S]``, what of them is served.
        sample_offset_per_shard: ``int64[S]``, id of each shard's first sample.
        stream_per_shard: ``int64[S]``.
        shards_per_stream: ``int64[K]``.
        shard_offset_per_stream: ``int64[K]``.
        samples_per_stream: ``int64[K]``.
        sample_offset_per_stream: ``int64[K]``.
        ends: ``int64[S]``, one past the id of each shard's last sample.
        ends_view: The same; bisecting it is three times as fast as ``np.searchsorted`` for one value.
        begins_view: ``sample_offset_per_shard``, whose elements are ``int``.
        translation: From samples to rows, ``None`` where every row is a sample.
        links: Other datasets whose rows belong to those of the streams, ``None`` where there are none.
        units: Digest of what counts as a sample, ``None`` where every row does.
        tokens: How many a sample has room for, where all are bins of tokens.
        num_shards: Shards of the streams and of what is joined to them.
        files: Prints, joined by dots: of what the streams hold, of where that is, and of its versions there.

    Args:
        sources: The streams.
        few: Of each stream, its shards whose file on this node holds the rows of its samples alone; ``None`` for no shard.
    """

    def __init__(self, sources: Sequence[Source], few: Sequence[NDArray[np.bool_] | None]) -> None:
        counts = np.array([len(source.sizes) for source in sources], np.int64)
        self.rows_per_shard: NDArray[np.int64] = _joined([source.sizes for source in sources])
        self._row_offsets: NDArray[np.int64] = np.cumsum(self.rows_per_shard) - self.rows_per_shard
        self.samples_per_shard: NDArray[np.int64] = _joined([source.counts for source in sources])
        self.ends: NDArray[np.int64] = np.cumsum(self.samples_per_shard)
        self.sample_offset_per_shard: NDArray[np.int64] = self.ends - self.samples_per_shard
        self.stream_per_shard: NDArray[np.int64] = np.repeat(np.arange(len(counts)), counts)
        self.shards_per_stream = counts
        self.shard_offset_per_stream: NDArray[np.int64] = np.cumsum(counts) - counts
        self.samples_per_stream: NDArray[np.int64] = np.array([source.counts.sum() for source in sources], np.int64)
        self.sample_offset_per_stream: NDArray[np.int64] = np.cumsum(self.samples_per_stream) - self.samples_per_stream
        self.files: str = _print_of(sources)
        units = [source.units for source in sources]
        self.translation: Translation | None = None
        self.units: str | None = None
        self.tokens: int | None = next((unit.tokens for unit in units if unit is not None), None)
        if any(unit is not None for unit in units):
            begins = self.sample_offset_per_shard
            self.translation = Translation(units, counts.tolist(), begins, self.samples_per_shard)
            self._few = np.concatenate(
                [np.zeros(len(s.sizes), np.bool_) if f is None else f for s, f in zip(sources, few, strict=True)]
            )
            self.units = joint_fingerprint(units)
        joins = [[joined.fingerprint for joined in source.joins] for source in sources]
        self.links: Links | None = Links(sources) if any(joins) else None
        self._has_rows = all(unit is None or unit.has_rows for unit in units)
        self._reach = _reach_of(units, counts)
        self.num_shards: int = len(self.ends) if self.links is None else self.links.num_shards
        if self.links is not None:
            self.units = blake2b(f"{self.units}|{joins}".encode(), digest_size=8).hexdigest()
        self._reset()

    def _reset(self) -> None:
        self.ends_view: memoryview[int] = _view(self.ends)
        self.begins_view: memoryview[int] = _view(self.sample_offset_per_shard)
        self._num_samples = int(self.ends[-1]) if len(self.ends) else 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what is made of the arrays."""
        return {name: value for name, value in self.__dict__.items() if not isinstance(value, memoryview)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make it again."""
        self.__dict__.update(state)
        self._reset()

    @property
    def num_samples(self) -> int:
        """Samples of all streams."""
        return self._num_samples

    def locate(self, sample_id: int) -> tuple[int, int]:
        """Return (shard, index within its file on this node) of a sample id that is in range."""
        shard = bisect_right(self.ends_view, sample_id)
        if self.translation is not None and not self._few[shard]:
            return shard, self.translation.row(shard, sample_id)
        return shard, sample_id - self.begins_view[shard]

    def locate_row(self, sample_id: int) -> tuple[int, int]:
        """Return (shard, row within it) of a sample id that is in range."""
        shard = bisect_right(self.ends_view, sample_id)
        if self.translation is not None:
            return shard, self.translation.row(shard, sample_id)
        return shard, sample_id - self.begins_view[shard]

    def shards_of(self, sample_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the shard of each sample id."""
        return np.searchsorted(self.ends, sample_ids, side="right")

    def indexes_in(self, shards: NDArray[np.int64], sample_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the index of each sample id within the file of its shard on this node."""
        places = sample_ids - self.sample_offset_per_shard[shards]
        if self.translation is None:
            return places
        few = self._few[shards]
        return places if few.all() else np.where(few, places, self.translation.rows(shards, sample_ids))

    def place(self, shard: int, row: int) -> tuple[int, int]:
        """Return the stream of a row of a shard, and the row's place there."""
        stream = int(self.stream_per_shard[shard])
        first = int(self.shard_offset_per_stream[stream])
        return stream, int(self._row_offsets[shard] - self._row_offsets[first]) + row

    def unit(self, shard: int, row: int) -> tuple[int, ...]:
        """Return numbers that only this row of a shard has, or this bin, of which a shard may have more than rows."""
        if self._has_rows:
            return self.place(shard, row)
        stream = int(self.stream_per_shard[shard])
        return stream, shard - int(self.shard_offset_per_stream[stream]), row

    def places(self, sample_ids: NDArray[np.int64], shards: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return ``int64[k]`` each: the streams of ``k`` samples, given their shards, and the rows' places there."""
        streams = self.stream_per_shard[shards]
        return streams, self.row_ids(sample_ids) - self._row_offsets[self.shard_offset_per_stream[streams]]

    def needed(self, sample_id: int) -> list[int]:
        """Return the shards of a sample: its own, and those of what is joined to it, where that is one row.

        Where it may have something of several shards, these are all that count.
        """
        shard, row = self.locate_row(sample_id)
        if self._reach is not None:
            return list(range(shard, int(self._reach[shard])))
        if self.links is None or not self._has_rows:
            return [shard]
        return [shard, *self.links.needed(*self.place(shard, row))]

    def further_shards(self, sample_ids: NDArray[np.int64], shards: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield ``int64[k]``, never or oftener: shards that ``k`` samples need too, -1 for none."""
        if not self._has_rows:
            for own in self._reached(shards):
                if own is not shards:
                    yield own
                if self.links is not None:
                    yield from self.links.shards_beside(own)
        elif self.links is not None:
            real = sample_ids >= 0
            streams, places = self.places(np.maximum(sample_ids, 0), np.maximum(shards, 0))
            yield from self.links.shards_of(np.where(real, streams, -1), places)

    def spans(self, spans: Spans) -> Spans:
        """Return spans of time in which shards are read, from those in which the order's are.

        Args:
            spans: ``int64[V]`` each: shards whose samples are served, when each span begins, and when it ends.
        """
        return self.spans_reached(spans) if self.links is None else self.links.spans(*self.spans_reached(spans))

    def spans_reached(self, spans: Spans) -> Spans:
        """Return the same for shards of the streams alone; see :meth:`spans`."""
        if self._reach is None:
            return spans
        counts = self._reach[spans[0]] - spans[0]
        shards, first, last = (np.repeat(values, counts) for values in spans)
        return shards + np.arange(len(shards)) - np.repeat(np.cumsum(counts) - counts, counts), first, last

    def _reached(self, shards: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield the shards, and then others that their samples may have something of, -1 for none."""
        yield shards
        if self._reach is not None:
            most = np.where(shards < 0, 0, self._reach[shards] - shards)
            for further in range(1, int(most.max(initial=0))):
                yield np.where(further < most, shards + further, -1)

    def row_ids(self, sample_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the ids of the rows of samples: their positions in all shards, whatever of them is served."""
        shards = self.shards_of(sample_ids)
        if self.translation is None:
            return sample_ids
        return self._row_offsets[shards] + self.translation.rows(shards, sample_ids)

    def find(self, row_id: int) -> NDArray[np.int64]:
        """Return the sample ids of a row that is in range, by its position in all shards: none, one, or its parts."""
        if self.translation is None:
            return np.array([row_id])
        shard = int(np.searchsorted(self._row_offsets + self.rows_per_shard, row_id, side="right"))
        return self.translation.find(shard, row_id - int(self._row_offsets[shard]))


def _print_of(sources: Sequence[Source]) -> str:
    found = [source.directory.contents() for source in sources]
    places = [s.directory.identity.origin if own else b"" for s, (_, own) in zip(sources, found, strict=True)]
    facts = ([one for one, _ in found], places, [own for _, own in found])
    return ".".join(blake2b(b"|".join(fact), digest_size=4).hexdigest() for fact in facts)


def _reach_of(units: Sequence[Units | None], counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return ``int64[S]``: one past the last shard that samples of each shard have anything of."""
    if all(unit is None or unit.reach is None for unit in units):
        return None
    firsts = (np.cumsum(counts) - counts).tolist()
    return _joined(
        [
            first + (np.arange(1, count + 1) if unit is None or unit.reach is None else unit.reach)
            for unit, first, count in zip(units, firsts, counts.tolist(), strict=True)
        ]
    )


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *parts])


def _view(values: NDArray[np.int64]) -> memoryview:
    buffer: Any = np.ascontiguousarray(values)
    return memoryview(buffer)
