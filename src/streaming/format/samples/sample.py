"""What a format brings to reading: a function from the bytes of a sample to the sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ShardFormatError

__all__ = [
    "MOST_WRITTEN",
    "OFFSETS",
    "Columns",
    "FixedColumn",
    "ListedColumn",
    "ReadSample",
    "SampleDecoder",
    "SampleTable",
    "pick",
]

#: Functions are written out for samples of so many columns at most: to compile one takes time and memory for each.
MOST_WRITTEN = 2000
#: Where a sample begins and ends.
OFFSETS = Struct("<2I")

#: From the index of a sample in its shard to its columns.
ReadSample = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class SampleTable:
    """Where the samples of a shard are, and what to do about those that cannot be read.

    Args:
        data: The file that holds the samples, as bytes or a map.
        table: The file that begins with their number and their offsets in ``data``: ``uint32[1 + n + 1]``.
        first: Offset of the first sample.
        count: Number of samples.
        outside: Called with an index that no sample has; raises.
        failed: Called with the index of a sample and what was raised as it was read; raises.
    """

    data: Any
    table: Any
    first: int
    count: int
    outside: Callable[[int], NoReturn]
    failed: Callable[[int, Exception], NoReturn]


@dataclass(frozen=True)
class FixedColumn:
    """A column whose values are elements of one dtype and shape, in the same place of every sample.

    Args:
        name: Of the column.
        part: Bytes of the sample, or of what of it is :attr:`SampleDecoder.taken`.
        dtype: Of the elements.
        shape: Of a value.
    """

    name: str
    part: slice
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ListedColumn:
    """A column as :attr:`Columns.read` lists it.

    Args:
        name: Of the column.
        dtype: Of what a value holds; ``None`` where the list has the values themselves: ``bytes``, or ``str``.
        shape: Of a value, where the list has its elements' bytes; ``None`` where it has numbers of Python's.
    """

    name: str
    dtype: np.dtype[Any] | None = None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Columns:
    """How many samples are read at once, column by column, where their sizes vary.

    Args:
        columns: All columns, in order.
        read: From the samples of shards, by number; the shard of each of ``k`` samples; and its index there: to a list of
            ``k`` for each column. Raises if something does not add up, or there is no such sample.
    """

    columns: tuple[ListedColumn, ...]
    read: Callable[[Mapping[int, SampleTable], Sequence[int], Sequence[int]], list[list[Any]]]


@dataclass(frozen=True)
class SampleDecoder:
    """How samples of one schema are read.

    Args:
        read: From a buffer of bytes (``bytes`` or a map), and where in it a sample begins and ends, to its columns. Raises
            if they do not add up.
        bind: From the samples of a shard to a function that reads one of them. Offsets have been checked: samples are
            ``row_bytes`` apart, where that is known.
        min_bytes: No sample can be smaller.
        row_bytes: Every sample has this size; ``None`` if sizes vary.
        decode_rows: From ``uint8[k, row_bytes]``, or what is taken of it, which it may keep, to ``k`` samples at once;
            ``None`` if they can only be decoded one by one.
        columns: All columns, in order, if all are of this kind.
        listed: How many samples are read by their columns, if that is another way.
        taken: The bytes of each row that ``decode_rows`` and ``columns`` are about; ``None``: all.
    """

    read: Callable[[Any, int, int], dict[str, Any]]
    bind: Callable[[SampleTable], ReadSample]
    min_bytes: int = 0
    row_bytes: int | None = None
    decode_rows: Callable[[NDArray[np.uint8]], list[dict[str, Any]]] | None = None
    columns: tuple[FixedColumn, ...] | None = None
    listed: Columns | None = None
    taken: slice | None = None

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return the columns of a sample by its bytes."""
        return self.read(data, 0, len(data))

    @classmethod
    def of_bytes(cls, decode: Callable[[bytes], dict[str, Any]]) -> SampleDecoder:
        """Make a decoder of a function that takes the bytes of a sample."""

        def read(buffer: Any, begin: int, end: int) -> dict[str, Any]:
            return decode(buffer[begin:end])

        return cls.of_reader(read)

    @classmethod
    def of_reader(
        cls, read: Callable[[Any, int, int], dict[str, Any]], min_bytes: int = 0, row_bytes: int | None = None
    ) -> SampleDecoder:
        """Make a decoder of a function that takes a buffer, and where in it a sample begins and ends."""
        return cls(read, lambda samples: _bind(read, samples), min_bytes, row_bytes)


def _bind(read: Callable[[Any, int, int], dict[str, Any]], samples: SampleTable) -> ReadSample:
    """Return a function that reads one sample of a shard, of one that reads by where a sample begins and ends."""
    data, table, count = samples.data, samples.table, samples.count
    outside, failed = samples.outside, samples.failed

    def get(index: int) -> dict[str, Any]:
        if not 0 <= index < count:
            outside(index)
        try:
            begin, end = OFFSETS.unpack_from(table, 4 + 4 * index)
            return read(data, begin, end)
        except Exception as error:
            failed(index, error)

    return get


def pick(decoder: SampleDecoder, names: Sequence[str]) -> SampleDecoder:
    """Return a decoder of some columns, by one that reads samples whole.

    Args:
        decoder: Reads whole samples.
        names: Names of the columns, in the order in which they are to be.
    """

    def read(buffer: Any, begin: int, end: int) -> dict[str, Any]:
        sample = decoder.read(buffer, begin, end)
        try:
            return {name: sample[name] for name in names}
        except KeyError as error:
            raise ShardFormatError(f"it has no column {error.args[0]!r}") from None

    return SampleDecoder.of_reader(read, decoder.min_bytes, decoder.row_bytes)
