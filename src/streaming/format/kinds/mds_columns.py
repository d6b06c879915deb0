"""MDS rows made of whole columns at once: what many rows have in common is done once for all of them.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ShardFormatError, ShardTooLargeError
from streaming.format.kinds.mds_header import encode_header, header_bytes
from streaming.format.samples.options import MAX_SHARD_BYTES
from streaming.format.samples.schema import Schema

__all__ = ["Fixed", "RowsFile", "Varying", "lay_columns"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

#: Up to so many bytes a value, all values are moved by one index; above, each by a copy of its own. And so many where they
#: follow each other, which takes an index less.
_SHORT, _SHORT_IN_A_ROW = 48, 96


@dataclass(frozen=True, eq=False)
class Fixed:
    """A column whose values all take as many bytes.

    Attributes:
        values: ``uint8[N, bytes]``.
    """

    values: Bytes

    def sizes(self) -> Ints:
        """``int64[N]``, bytes of each value."""
        return np.full(len(self.values), self.values.shape[1], np.int64)

    def write(self, target: Bytes, begins: Ints) -> None:
        """Write each value to where it begins."""
        width = self.values.shape[1]
        if width and len(
            begins
        ):  # a value at each byte of the target, of which those that begin where one is to be are set
            kind = np.dtype((np.void, width))
            places: Any = np.ndarray((len(target) - width + 1,), kind, target, strides=(1,))
            places[begins] = np.ascontiguousarray(self.values).view(kind)[:, 0]


@dataclass(frozen=True, eq=False)
class Varying:
    """A column whose values take different numbers of bytes.

    Attributes:
        data: Bytes that hold the values.
        begins: ``int64[N]``, where each begins.
        ends: ``int64[N]``, where each ends.
        heads: ``uint8[N, h]``, what comes before each value; empty by default.
        head_sizes: ``int64[N]``, how many of ``heads`` are used, from the left; ``None``: all.
    """

    data: Bytes
    begins: Ints
    ends: Ints
    heads: Bytes | None = None
    head_sizes: Ints | None = None

    def _heads(self) -> Ints | int:
        if self.heads is None:
            return 0
        return self.heads.shape[1] if self.head_sizes is None else self.head_sizes

    def sizes(self) -> Ints:
        """``int64[N]``, bytes of each value, with what comes before it."""
        return self.ends - self.begins + self._heads()

    def write(self, target: Bytes, begins: Ints) -> None:
        """Write each value to where it begins."""
        heads = self._heads()
        if self.heads is not None:
            width = np.arange(self.heads.shape[1])
            if self.head_sizes is None:
                Fixed(self.heads).write(target, begins)
            else:
                used = width < self.head_sizes[:, None]
                target[(begins[:, None] + width)[used]] = self.heads[used]
        begins = begins + heads
        sizes = self.ends - self.begins
        total = int(sizes.sum())
        if not total:
            return
        first, last = int(self.begins[0]), int(self.ends[-1])
        if (
            total <= _SHORT_IN_A_ROW * len(sizes)
            and total == last - first
            and bool((self.begins[1:] == self.ends[:-1]).all())
        ):
            target[np.arange(first, last) + np.repeat(begins - self.begins, sizes)] = self.data[first:last]
            return
        if total <= _SHORT * len(sizes):
            within = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            target[np.repeat(begins, sizes) + within] = self.data[np.repeat(self.begins, sizes) + within]
            return
        into, source = _view(target), _view(self.data)
        for at, begin, size in zip(begins.tolist(), self.begins.tolist(), sizes.tolist(), strict=True):
            into[at : at + size] = source[begin : begin + size]


def _view(data: Any) -> memoryview:
    return memoryview(data)


def lay_columns(schema: Schema, columns: Sequence[Fixed | Varying], count: int) -> tuple[Bytes, Ints]:
    """Return some rows as they are stored, one after the other, and the bytes of each.

    Args:
        schema: Of the rows.
        columns: What each column of the schema holds, encoded: :class:`Fixed` for those of a size.
        count: N, the number of rows.

    Returns:
        ``uint8[bytes]`` and ``int64[N]``.

    Raises:
        ShardTooLargeError: A row takes 4 GiB or more.
    """
    varying = [column.sizes() for column, size in zip(columns, schema.column_sizes, strict=True) if not size]
    fixed = 4 * len(varying) + sum(size or 0 for size in schema.column_sizes)
    sizes = np.full(count, fixed, np.int64)
    for each in varying:
        sizes += each
    if int(sizes.max(initial=0)) > MAX_SHARD_BYTES:
        raise ShardTooLargeError(f"A row takes {sizes.max():,} bytes; a shard can address {MAX_SHARD_BYTES:,}.")
    rows = np.empty(int(sizes.sum()), np.uint8)
    begins = np.cumsum(sizes) - sizes
    if varying:
        table: Any = np.stack(varying, axis=1).astype("<u4")
        Fixed(table.view(np.uint8).reshape(count, -1)).write(rows, begins)
    at = begins + 4 * len(varying)
    for column, size in zip(columns, schema.column_sizes, strict=True):
        column.write(rows, at)
        at = at + (size or column.sizes())
    return rows, sizes


class RowsFile:
    """Writes a shard of a known number of rows, some at a time: what comes before the rows is written last.

    Args:
        schema: Of the rows.
        count: How many there will be.
        file: Where to write: an empty file.
    """

    def __init__(self, schema: Schema, count: int, file: IO[bytes]) -> None:
        self._schema, self._count, self._file = schema, count, file
        self._sizes: list[Ints] = []
        file.seek(header_bytes(schema, count))

    def add(self, columns: Sequence[Fixed | Varying], count: int) -> None:
        """Write some rows."""
        rows, sizes = lay_columns(self._schema, columns, count)
        self._file.write(_view(rows))
        self._sizes.append(sizes)

    def finish(self) -> None:
        """Write what comes before.

        Raises:
            ShardFormatError: There are more or fewer rows than were to come.
            ShardTooLargeError: They take 4 GiB or more.
        """
        sizes = np.concatenate([np.empty(0, np.int64), *self._sizes])
        if len(sizes) != self._count:
            raise ShardFormatError(f"{len(sizes):,} rows came, and {self._count:,} were to come.")
        total = header_bytes(self._schema, self._count) + int(sizes.sum())
        if total > MAX_SHARD_BYTES:
            raise ShardTooLargeError(
                f"{self._count:,} rows take {total:,} bytes; a shard can address {MAX_SHARD_BYTES:,}."
            )
        self._file.seek(0)
        self._file.write(encode_header(self._schema, sizes))
