"""Samples of one size, gathered from the shards that are open into one block of memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.format.samples.rows import Rows, view_rows
from streaming.format.samples.sample import SampleDecoder
from streaming.format.shard import Shard

__all__ = ["FoundRows", "OpenRows"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

#: Rows that are copied twice are copied in parts that a processor's cache holds.
_PART_BYTES = 1 << 18
_UNKNOWN, _VARIES = 0, -1


class OpenRows:
    """Remembers where the rows of open shards lie, so that a batch costs a few operations however many it touches.

    Safe to use from several threads: what a batch is gathered from stays mapped until that is done.

    Args:
        num_shards: Shards of the dataset.
    """

    def __init__(self, num_shards: int) -> None:
        self._num_shards = num_shards
        self._lock = threading.Lock()
        self._tables = _Tables(num_shards, 0)

    def find(self, shards: Ints, generation: int, open_shard: Callable[[int], Shard]) -> FoundRows | None:
        """Find samples of shards, if all of these have samples of one size and schema; else return ``None``.

        Args:
            shards: ``int64[k]``, at least one: the shard of each sample.
            generation: A number that changes when a shard is closed.
            open_shard: Returns a shard, fetching and opening it if need be.

        Raises:
            ShardUnavailableError: A shard could not be fetched.
        """
        tables = self._tables
        if tables.generation != generation:
            # What was closed is not held on to. The tables may be in use, so they are left as they are.
            tables = self._tables = _Tables(self._num_shards, generation)
        kinds = tables.kinds[shards]
        kind = int(kinds[0])
        if kind == _UNKNOWN or not (kinds == kind).all():
            for number in set(shards[kinds == _UNKNOWN].tolist()):
                shard = open_shard(number)
                with self._lock:
                    tables.add(number, shard)
            kinds = tables.kinds[shards]
            kind = int(kinds[0])
            if not (kinds == kind).all():
                return None
        return None if kind == _VARIES else FoundRows(tables, tables.schemas[kind - 1], shards)


@dataclass
class _Schema:
    """Shards of one schema: how their samples are read, and the memory between the first and the last of them."""

    decoder: SampleDecoder
    row_bytes: int
    begin: int
    end: int
    memory: Bytes | None


class _Tables:
    """What is known of the shards, by their numbers. Only ever added to."""

    def __init__(self, num_shards: int, generation: int) -> None:
        self.generation = generation
        #: 1 + index in ``schemas``, or one of the constants above.
        self.kinds: NDArray[np.int16] = np.zeros(num_shards, np.int16)
        self.addresses: NDArray[np.int64] = np.zeros(num_shards, np.int64)
        self.counts: NDArray[np.uint64] = np.zeros(num_shards, np.uint64)
        self.schemas: list[_Schema] = []
        self.rows: dict[int, Rows] = {}

    def add(self, number: int, shard: Shard) -> None:
        """Note where the rows of a shard are, and hold on to them."""
        rows = shard.rows
        if self.kinds[number] != _UNKNOWN:
            return  # another thread was here before, and reads what it noted
        if rows is None:
            self.kinds[number] = _VARIES
            return
        self.rows[number] = rows
        self.addresses[number] = rows.address
        self.counts[number] = len(rows.array)
        self.kinds[number] = 1 + self._schema_of(shard.decoder, rows)

    def _schema_of(self, decoder: SampleDecoder, rows: Rows) -> int:
        begin, end = rows.address, rows.address + rows.array.nbytes
        for i, known in enumerate(self.schemas):
            if known.decoder is decoder:
                begin, end = min(begin, known.begin), max(end, known.end)
                if (begin, end) != (known.begin, known.end):
                    self.schemas[i] = _schema(decoder, begin, end, known.row_bytes)
                return i
        self.schemas.append(_schema(decoder, begin, end, rows.array.shape[1]))
        return len(self.schemas) - 1


def _schema(decoder: SampleDecoder, begin: int, end: int, row_bytes: int) -> _Schema:
    return _Schema(decoder, row_bytes, begin, end, view_rows(begin, end, row_bytes))


class FoundRows:
    """The rows of the shards that hold the samples of a batch.

    Args:
        tables: Where they are.
        schema: Of all of them.
        shards: ``int64[k]``, the shard of each sample.
    """

    def __init__(self, tables: _Tables, schema: _Schema, shards: Ints) -> None:
        self._tables = tables
        self._schema = schema
        self._shards = shards

    @property
    def decoder(self) -> SampleDecoder:
        """How the samples are read."""
        return self._schema.decoder

    def gather(self, indexes: Ints, out: Bytes | None = None, part: slice = slice(None)) -> Bytes:
        """Copy the samples, as they are stored, or what of each is :attr:`SampleDecoder.taken`. Legend: b bytes of that.

        Args:
            indexes: ``int64[k]``, the index of each sample in its shard.
            out: ``uint8[k, b]``, where they go, in order; else a new array.
            part: Which of the samples.

        Returns:
            ``uint8[k, b]``.

        Raises:
            IndexError: A shard has no such sample.
        """
        shards, indexes = self._shards[part], indexes[part]
        tables, schema = self._tables, self._schema
        is_outside = indexes.view(np.uint64) >= tables.counts[shards]  # a negative one is huge
        if is_outside.any():
            raise IndexError(f"No sample {indexes[is_outside][0]} in shard {shards[is_outside][0]}.")
        taken = schema.decoder.taken
        if out is not None and taken is None and (shards == shards[0]).all():
            rows = tables.rows[int(shards[0])].array
            return np.take(rows, indexes, axis=0, out=out, mode="clip")  # without "clip" it takes a detour
        memory = schema.memory if taken is None or schema.memory is None else schema.memory[:, taken]
        if memory is None:
            return self._one_by_one(shards, indexes, out)
        places = indexes * schema.row_bytes
        places += tables.addresses[shards]
        places -= schema.begin
        if out is None:
            return memory[places]
        step = max(1, _PART_BYTES // schema.row_bytes)
        for first in range(0, len(places), step):
            out[first : first + step] = memory[places[first : first + step]]
        return out

    def _one_by_one(self, shards: Ints, indexes: Ints, out: Bytes | None) -> Bytes:
        taken = self._schema.decoder.taken or slice(0, self._schema.row_bytes)
        out = np.empty((len(shards), taken.stop - taken.start), np.uint8) if out is None else out
        for place, (shard, index) in enumerate(zip(shards.tolist(), indexes.tolist(), strict=True)):
            out[place] = self._tables.rows[shard].array[index, taken]
        return out
