"""The elements of a step in rows of one for each canonical node, and how a stream's are counted in all nodes as they come.

Were all nodes to begin a merge at its beginning, all would give the same at a time, and what a batch has too much of a
stream would be so many times too much. So each begins a batch further in it, and goes on at its beginning in the end: what
the nodes give in one batch is a stretch of the merge.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.order.lanes.mixing import Mixer
from streaming.order.lanes.striping import striped_total

__all__ = ["Rows"]

_Ints = NDArray[np.int64]


class Rows:
    """A merge of streams in each canonical node. Legend: I elements, C canonical nodes, K streams, B blocks.

    Args:
        mixer: The merge.
        num_streams: Streams.
        num_nodes: Canonical nodes.
        total: Elements of all.
        block: Rows among which neighbours change places, and in which a stream's elements are counted node by node.
        shift: Rows that each node begins later in the merge than the one before, whole blocks; only if all have as many, and
            whole blocks.
    """

    def __init__(self, mixer: Mixer, num_streams: int, num_nodes: int, total: int, block: int, shift: int) -> None:
        self._mixer = mixer
        self._num_streams = num_streams
        self._nodes = np.arange(num_nodes, dtype=np.int64)
        self._length: _Ints = striped_total(np.full(1, total, np.int64), num_nodes, self._nodes) + 0 * self._nodes
        self._block = block
        self._shift = shift
        self._begin: _Ints = self._nodes * shift % np.maximum(self._length, 1)

    @cached_property
    def totals(self) -> _Ints:
        """``int64[C, K]``: elements of each stream."""
        return np.stack([self._mixer.in_order(self._nodes, k, self._length) for k in range(self._num_streams)], 1)

    @cached_property
    def _before(self) -> _Ints:
        """``int64[C, K]``: units of the merge before that with which a node begins."""
        return np.stack([self._mixer.in_order(self._nodes, k, self._begin) for k in range(self._num_streams)], 1)

    def split(self, node: _Ints, row: _Ints) -> tuple[_Ints, _Ints]:
        """Return the stream of each element of nodes, and its number among those of the stream there, ``int64[I]`` each."""
        if not self._shift:
            return self._mixer.split(node, row)
        stream, unit = self._mixer.split(node, (row + self._begin[node]) % self._length[node])
        unit -= self._before[node, stream]
        return stream, np.where(unit < 0, unit + self.totals[node, stream], unit)

    def join(self, node: _Ints, stream: int, number: _Ints) -> _Ints:
        """Return the rows of numbers of a stream (the inverse of :meth:`split`)."""
        every = np.full(len(number), stream, np.int64)
        if not self._shift:
            return self._mixer.join(node, every, number)
        total = self.totals[node, stream]
        unit = number + self._before[node, stream]
        row = self._mixer.join(node, every, np.where(unit < total, unit, unit - total)) - self._begin[node]
        return np.where(row < 0, row + self._length[node], row)

    def before(self, stream: int, row: _Ints) -> _Ints:
        """Return ``int64[C]``: elements of a stream before a row of each node, at whole blocks if nodes begin apart."""
        return self.upto(stream, row[:, None])[:, 0] if self._shift else self._mixer.before(self._nodes, stream, row)

    def upto(self, stream: int, row: _Ints) -> _Ints:
        """Return ``int64[C, B]``: elements of a stream before rows, ``int64[B]`` or of each node, at whole blocks."""
        node, length = self._nodes[:, None], self._length[:, None]
        row = np.minimum(row, length)
        if not self._shift:
            return self._mixer.in_order(node, stream, row)
        at = row + self._begin[:, None]
        again = at >= length
        count = self._mixer.in_order(node, stream, np.where(again, at - length, at))
        return count + again * self.totals[:, stream, None] - self._before[:, stream, None]

    def order(self, stream: int, node: _Ints, row: _Ints, number: _Ints) -> _Ints:
        """Return the places among all of a stream's elements of those in rows of nodes, which have numbers there."""
        block = row // self._block
        blocks = distinct(block)[0]
        at = np.searchsorted(blocks, block)
        before, first = self._table(stream, blocks)
        return first[node, at] + number - before[node, at]

    def find(self, stream: int, place: _Ints) -> tuple[_Ints, _Ints]:
        """Return nodes and numbers of elements by their places (the inverse of :meth:`order`)."""
        block = np.zeros_like(place)
        for bit in reversed(range(int(self._length.max() // self._block + 1).bit_length())):
            later = block + (1 << bit)
            block = np.where(self.upto(stream, later * self._block).sum(0) <= place, later, block)
        before, first = self._table(stream, block)
        # Of nodes without an element here, the next one begins at the same place.
        node = (first <= place).sum(0) - 1
        every = np.arange(len(place))
        return node, before[node, every] + place - first[node, every]

    def _table(self, stream: int, block: _Ints) -> tuple[_Ints, _Ints]:
        """Return ``int64[C, B]`` each: elements of each node before blocks, and the place of its first one there."""
        before = self.upto(stream, block * self._block)
        count = self.upto(stream, (block + 1) * self._block) - before
        return before, before.sum(0) + np.cumsum(count, 0) - count
