"""The elements of a stream in all canonical nodes, counted as they come: block after block, nodes in turn in a block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.order.lanes.mixing import BLOCK, Mixer
from streaming.order.lanes.striping import striped_total

__all__ = ["Rows"]

_Ints = NDArray[np.int64]


class Rows:
    """How many elements of a stream come before one, in any canonical node of a merge. Legend: I elements, G groups.

    Canonical nodes whose parts of all streams are equally long give the same at the end of each block. They are
    neighbours, and there are no more groups of them than streams and one.

    Args:
        mixer: The merge.
        ends: ``int64[K]``, elements up to each stream where they are laid end to end.
        num_nodes: Canonical nodes.
    """

    def __init__(self, mixer: Mixer, ends: _Ints, num_nodes: int) -> None:
        self._mixer = mixer
        self._first: _Ints = distinct(np.append(ends % num_nodes, 0))[0]
        self._size: _Ints = np.diff(np.append(self._first, num_nodes))[:, None]
        self._length: _Ints = striped_total(np.full(1, ends.max(), np.int64), num_nodes, self._first)[:, None]

    def order(self, stream: int, node: _Ints, index: _Ints, unit: _Ints) -> _Ints:
        """Return the places among all of a stream's elements of units of it, and of the indexes that serve them."""
        block = index // BLOCK
        blocks = distinct(block)[0]
        row = np.searchsorted(blocks, block)
        before, count = self._table(stream, blocks)
        base = (self._size * before).sum(0)
        count = count[:, row]
        group = np.searchsorted(self._first, node, side="right") - 1
        turn = unit - before[group, row]
        same_turn = np.where(count > turn, self._size, 0)
        same_turn[np.arange(len(self._first))[:, None] >= group] = 0
        return base[row] + self._upto(count, turn) + same_turn.sum(0) + (node - self._first[group])

    def find(self, stream: int, place: _Ints) -> tuple[_Ints, _Ints]:
        """Return canonical nodes and units of elements by their places (the inverse of :meth:`order`)."""
        block = np.zeros_like(place)
        for bit in reversed(range(int(self._length.max()).bit_length())):
            later = block + (1 << bit)
            block = np.where((self._size * self._units(stream, later)).sum(0) <= place, later, block)
        before, count = self._table(stream, block)
        rest = place - (self._size * before).sum(0)
        turn = np.zeros_like(place)
        for one in range(1, BLOCK):
            turn += self._upto(count, np.full_like(place, one)) <= rest
        rest -= self._upto(count, turn)
        upto = np.cumsum(np.where(count > turn, self._size, 0), 0)
        group = (upto <= rest).sum(0)
        every = np.arange(len(place))
        node = self._first[group] + rest - np.where(group > 0, upto[group - 1, every], 0)
        return node, before[group, every] + turn

    def _table(self, stream: int, block: _Ints) -> tuple[_Ints, _Ints]:
        """Return ``int64[G, I]`` each: elements of a node of each group before a block, and in it."""
        before = self._units(stream, block)
        return before, self._units(stream, block + 1) - before

    def _upto(self, count: _Ints, turn: _Ints) -> _Ints:
        """Return how many elements of a block come before a turn; in each, every node that has one left gives one."""
        return (self._size * np.minimum(count, turn)).sum(0)

    def _units(self, stream: int, block: _Ints) -> _Ints:
        index = np.minimum(block * BLOCK, self._length)
        return self._mixer.in_order(self._first[:, None], stream, index)
