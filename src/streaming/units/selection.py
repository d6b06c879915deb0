"""The units of a view: some rows of each shard, in the order in which they are.

Legend: S shards, N rows of all shards, n rows of one shard.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.units.units import Units

__all__ = ["Selection"]

_BITMAP, _KEPT, _DROPPED = 0, 1, 2

_Ints = NDArray[np.int64]


class Selection(Units):
    """Some rows of each shard.

    Kept as one run of bytes a shard, decoded when the shard is asked for: a bitmap, or a list of the rows that are
    kept or of those that are not, whichever is shortest (the containers of Roaring bitmaps, https://roaringbitmap.org);
    nothing at all for a shard that is kept whole, or not at all.

    Args:
        sizes: ``int64[S]``, rows of each shard.
        counts: ``int64[S]``, rows kept of each.
        offsets: ``int64[S + 1]``, where the bytes of each shard begin.
        blob: ``uint8[offsets[-1]]``, the bytes.
    """

    def __init__(self, sizes: _Ints, counts: _Ints, offsets: _Ints, blob: NDArray[np.uint8]) -> None:
        self.sizes = sizes
        self.counts = counts
        self.offsets = offsets
        self.blob = blob

    @classmethod
    def of_mask(cls, sizes: _Ints, mask: NDArray[np.bool_]) -> Selection:
        """Select by one truth value a row.

        Args:
            sizes: ``int64[S]``, rows of each shard.
            mask: ``bool[N]``.

        Raises:
            ConfigError: There is another number of values than of rows.
        """
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if len(ends) else 0
        if mask.shape != (total,):
            raise ConfigError(f"A mask of shape {mask.shape} does not fit {total} samples; expected ({total},).")
        begins = (ends - sizes).tolist()
        return cls._build(sizes, lambda shard: mask[begins[shard] : begins[shard] + int(sizes[shard])])

    @classmethod
    def of_ids(cls, sizes: _Ints, ids: _Ints) -> Selection:
        """Select by the ids of rows, in any order; one that is given twice counts once.

        Args:
            sizes: ``int64[S]``, rows of each shard.
            ids: ``int64[k]``, places in all shards laid end to end.

        Raises:
            ConfigError: An id is out of range.
        """
        total = int(sizes.sum())
        ids = np.unique(ids)
        if len(ids) and (ids[0] < 0 or ids[-1] >= total):
            raise ConfigError(f"Sample ids must be from 0 to {total - 1}; got {ids[0]} to {ids[-1]}.")
        ends = np.cumsum(sizes)
        borders = np.concatenate([np.zeros(1, np.int64), np.searchsorted(ids, ends)])
        counts, local = np.diff(borders), ids - np.repeat(ends - sizes, np.diff(borders))
        begins = borders.tolist()

        def rows(shard: int) -> NDArray[np.bool_]:
            mask = np.zeros(int(sizes[shard]), np.bool_)
            mask[local[begins[shard] : begins[shard + 1]]] = True
            return mask

        def listed(shard: int) -> _Ints:
            return local[begins[shard] : begins[shard + 1]]

        return cls._build(sizes, rows, counts, listed)

    @classmethod
    def of_range(cls, sizes: _Ints, begin: int, end: int) -> Selection:
        """Select rows ``[begin, end)`` of all shards laid end to end."""
        ends = np.cumsum(sizes)
        first, last = np.clip(begin - (ends - sizes), 0, sizes), np.clip(end - (ends - sizes), 0, sizes)
        counts = np.maximum(last - first, 0)

        def rows(shard: int) -> NDArray[np.bool_]:
            mask = np.zeros(int(sizes[shard]), np.bool_)
            mask[int(first[shard]) : int(last[shard])] = True
            return mask

        return cls._build(sizes, rows, counts)

    @classmethod
    def _build(
        cls,
        sizes: _Ints,
        mask_of: Callable[[int], NDArray[np.bool_]],
        known: _Ints | None = None,
        rows_of: Callable[[int], _Ints] | None = None,
    ) -> Selection:
        """Encode shard by shard.

        Args:
            sizes: ``int64[S]``, rows of each shard.
            mask_of: Returns which rows of a shard are kept.
            known: ``int64[S]``, how many, if that is known: shards that are kept whole, or not at all, are passed over.
            rows_of: Returns the rows that are kept, for shards of which few are; with ``known``.
        """
        counts = np.zeros(len(sizes), np.int64) if known is None else known
        pieces = [b""] * len(sizes)
        for shard in range(len(sizes)) if known is None else np.flatnonzero((known > 0) & (known < sizes)).tolist():
            size = int(sizes[shard])
            if rows_of is not None and _is_list(int(counts[shard]), size):
                pieces[shard] = bytes([_KEPT]) + rows_of(shard).astype(_dtype(size)).tobytes()
                continue
            mask = mask_of(shard)
            counts[shard] = np.count_nonzero(mask)
            pieces[shard] = _encode(mask, int(counts[shard]))
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return cls(sizes, counts, offsets, np.frombuffer(b"".join(pieces), np.uint8))

    @cached_property
    def fingerprint(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """16 hexadecimal digits of which rows are kept."""
        digest = blake2b(digest_size=8)
        for values in (self.sizes, self.counts, self.blob):
            digest.update(np.ascontiguousarray(values).view(np.uint8).data)
        return digest.hexdigest()

    def rows(self, shard: int) -> _Ints:
        """Return the row of each unit of a shard, in ascending order; see :meth:`Units.rows`."""
        size, count = int(self.sizes[shard]), int(self.counts[shard])
        if count in (0, size):
            rows = np.arange(count)
        else:
            data = self.blob[int(self.offsets[shard]) : int(self.offsets[shard + 1])]
            kind, body = int(data[0]), data[1:]
            if kind == _BITMAP:
                rows = np.unpackbits(body, count=size).view(np.bool_).nonzero()[0]
            else:
                listed = body.copy().view(_dtype(size)).astype(np.int64)
                rows = listed if kind == _KEPT else np.delete(np.arange(size), listed)
        rows.flags.writeable = False
        return rows

    def inverted(self) -> Selection:
        """Select all rows that this selection leaves out."""

        def rows(shard: int) -> NDArray[np.bool_]:
            mask = np.ones(int(self.sizes[shard]), np.bool_)
            mask[self.rows(shard)] = False
            return mask

        return Selection._build(self.sizes, rows)

    def within(self, other: Selection) -> Selection:
        """Select by this selection among the units of another one.

        Args:
            other: What was selected before; its ``counts`` are this one's ``sizes``.

        Returns:
            The rows that both keep.
        """

        def rows(shard: int) -> NDArray[np.bool_]:
            mask = np.zeros(int(other.sizes[shard]), np.bool_)
            mask[other.rows(shard)[self.rows(shard)]] = True
            return mask

        return Selection._build(other.sizes, rows)


def _encode(mask: NDArray[np.bool_], count: int) -> bytes:
    size = len(mask)
    if count in (0, size):
        return b""
    kind, number, listed = (_KEPT, count, mask) if count <= size // 2 else (_DROPPED, size - count, ~mask)
    if _is_list(number, size):
        return bytes([kind]) + np.flatnonzero(listed).astype(_dtype(size)).tobytes()
    return bytes([_BITMAP]) + np.packbits(mask).tobytes()


def _is_list(number: int, size: int) -> bool:
    """Whether so many rows, which are half of all or less, take fewer bytes in a list than in a bitmap."""
    return number <= size // 2 and number * _dtype(size).itemsize < -(-size // 8)


def _dtype(size: int) -> np.dtype[np.unsignedinteger]:
    return np.dtype("<u2" if size <= 1 << 16 else "<u4")
