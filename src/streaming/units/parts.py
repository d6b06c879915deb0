"""Units that are parts of rows, and some of such units."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.units.selection import Selection
from streaming.units.units import Units

__all__ = ["Chosen", "Parts", "choose"]

_Ints = NDArray[np.int64]


class Parts(Units):
    """As many units of a row as something is made of it.

    Legend: S shards, N rows of all shards.

    Args:
        sizes: ``int64[S]``, rows of each shard.
        number: Units of every row, or ``int[N]``, of each. A row may have none.
        of: The units of which these are parts, where not every row is one.

    Raises:
        ConfigError: There are fewer than no parts, or another number of counts than of rows.
    """

    has_parts = True

    def __init__(self, sizes: _Ints, number: int | NDArray[np.integer], of: Selection | None = None) -> None:
        self.sizes = sizes
        self.of = of
        total = int(sizes.sum())
        if not isinstance(number, int):
            if number.shape != (total,):
                raise ConfigError(f"Counts of shape {number.shape} do not fit {total} samples; expected ({total},).")
            least, most = (int(number.min()), int(number.max())) if total else (0, 0)
            # As small as they fit: there is one for every row.
            number = number.astype(np.min_scalar_type(most)) if least >= 0 else number
        else:
            least = number
        if least < 0:
            raise ConfigError(f"A sample cannot have {least} parts; counts must be at least 0.")
        self._number = number
        self._begins: _Ints = np.cumsum(sizes) - sizes
        every = range(len(sizes))
        self.counts = np.fromiter((int(self._numbers(shard).sum()) for shard in every), np.int64, len(sizes))

    @cached_property
    def fingerprint(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """16 hexadecimal digits of how many units each row has."""
        digest = blake2b(b"parts|", digest_size=8)
        digest.update(np.ascontiguousarray(self.sizes).tobytes())
        number = self._number if isinstance(self._number, int) else np.ascontiguousarray(self._number)
        digest.update(str(number).encode() if isinstance(number, int) else number.astype("<i8").tobytes())
        digest.update((self.of.fingerprint if self.of else "").encode())
        return digest.hexdigest()

    def rows(self, shard: int) -> _Ints:
        """Return the row of each unit of a shard; see :meth:`Units.rows`."""
        return np.repeat(self._rows_of(shard), self._numbers(shard))

    def parts(self, shard: int) -> _Ints:
        """Return which part of its row each unit of a shard is; see :meth:`Units.parts`."""
        numbers = self._numbers(shard)
        return np.arange(int(numbers.sum())) - np.repeat(np.cumsum(numbers) - numbers, numbers)

    def number(self, shard: int, row: int) -> int:
        """Return how many units a row of a shard has; see :meth:`Units.number`."""
        return self._number if isinstance(self._number, int) else int(self._number[int(self._begins[shard]) + row])

    def _rows_of(self, shard: int) -> _Ints:
        return np.arange(int(self.sizes[shard])) if self.of is None else self.of.rows(shard)

    def _numbers(self, shard: int) -> _Ints:
        if isinstance(self._number, int):
            return np.full(int(self.sizes[shard] if self.of is None else self.of.counts[shard]), self._number)
        return self._number[int(self._begins[shard]) + self._rows_of(shard)].astype(np.int64)


class Chosen(Units):
    """Some of the units of another kind.

    Args:
        some: Which, as a selection among ``of.counts``.
        of: The units.
    """

    def __init__(self, some: Selection, of: Units) -> None:
        self.some = some
        self.of = of
        self.counts = some.counts
        self.has_parts = of.has_parts
        self.has_rows = of.has_rows
        self.tokens = of.tokens
        self.reach = of.reach

    @cached_property
    def fingerprint(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """16 hexadecimal digits of both."""
        return blake2b(f"{self.some.fingerprint}|{self.of.fingerprint}".encode(), digest_size=8).hexdigest()

    def rows(self, shard: int) -> _Ints:
        """Return the row of each unit of a shard; see :meth:`Units.rows`."""
        return self.of.rows(shard)[self.some.rows(shard)]

    def parts(self, shard: int) -> _Ints:
        """Return which part of its row each unit of a shard is; see :meth:`Units.parts`."""
        return self.of.parts(shard)[self.some.rows(shard)]

    def number(self, shard: int, row: int) -> int:
        """Return into how many parts a row was cut; see :meth:`Units.number`."""
        return self.of.number(shard, row)


def choose(some: Selection, of: Units | None) -> Units | None:
    """Return some of the units of a stream, as simply as can be: the same are the same however they were chosen.

    Args:
        some: Which, as a selection among all of them.
        of: The units; ``None`` for every row.
    """
    if (some.counts == some.sizes).all():
        return of
    if of is None:
        return some
    if isinstance(of, Selection):
        return some.within(of)
    return Chosen(some.within(of.some), of.of) if isinstance(of, Chosen) else Chosen(some, of)
