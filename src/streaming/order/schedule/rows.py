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
from streaming.order.table import HORIZON

__all__ = ["Rows"]

_Ints = NDArray[np.int64]


class Rows:
    """A merge of streams in each canonical node. Legend: I elements, C canonical nodes, K streams, B batches.

    Args:
        mixer: The merge.
        count: ``int64[K]``, elements of each stream.
        num_nodes: Canonical nodes.
        batch: Rows in which a stream's elements are counted node by node; neighbours change places within them.
        shift: Rows that each node begins later in the merge than the one before: 0, or a batch if all have as many, in whole
            batches.
    """

    def __init__(self, mixer: Mixer, count: _Ints, num_nodes: int, batch: int, shift: int) -> None:
        self._mixer = mixer
        self._num_streams = len(count)
        self._nodes = np.arange(num_nodes, dtype=np.int64)
        self._length: _Ints = striped_total(np.full(1, count.sum(), np.int64), num_nodes, self._nodes) + 0 * self._nodes
        self._batch = batch
        self._shift = shift
        # Nodes whose parts of all streams are equally long have the same merge. They are neighbours.
        self._first: _Ints = distinct(np.append((mixer.origin + count) % num_nodes, 0))[0]
        self._group: _Ints = np.searchsorted(self._first, self._nodes, side="right") - 1
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
        """Return ``int64[C]``: elements of a stream before a row of each node, at whole batches if nodes begin apart."""
        return self.upto(stream, row[:, None])[:, 0] if self._shift else self._mixer.before(self._nodes, stream, row)

    def upto(self, stream: int, row: _Ints) -> _Ints:
        """Return ``int64[C, B]``: elements of a stream before rows, ``int64[B]`` or of each node, at whole batches."""
        length = self._length[:, None]
        row = np.minimum(row, length)
        if not self._shift:
            return self._mixer.in_order(self._first[:, None], stream, row[self._first])[self._group]
        at = row + self._begin[:, None]
        again = at >= length
        count = self._in_order(stream, np.where(again, at - length, at))
        return count + again * self.totals[:, stream, None] - self._before[:, stream, None]

    def _in_order(self, stream: int, row: _Ints) -> _Ints:
        """Return ``int64[C, B]``: units of a stream before rows of the merge, at whole batches."""
        low, high = int(row.min(initial=HORIZON)) // self._batch, int(row.max(initial=0)) // self._batch
        if not row.size or (high - low + 1) * len(self._first) > row.size:
            return self._mixer.in_order(self._nodes[:, None], stream, row)
        # Where a node is, the one before it is a batch later: most rows come several times.
        every = np.tile(np.arange(low, high + 1) * self._batch, (len(self._first), 1))
        found = self._mixer.in_order(self._first[:, None], stream, every)
        return found[self._group[:, None], row // self._batch - low]

    def order(self, stream: int, node: _Ints, row: _Ints, number: _Ints) -> _Ints:
        """Return the places among all of a stream's elements of those in rows of nodes, which have numbers there."""
        batch = row // self._batch
        batches = distinct(batch)[0]
        at = np.searchsorted(batches, batch)
        before, first = self._table(stream, batches)
        return first[node, at] + number - before[node, at]

    def find(self, stream: int, place: _Ints) -> tuple[_Ints, _Ints]:
        """Return nodes and numbers of elements by their places (the inverse of :meth:`order`)."""
        batch = np.zeros_like(place)
        for bit in reversed(range(int(self._length.max() // self._batch + 1).bit_length())):
            later = batch + (1 << bit)
            batch = np.where(self.upto(stream, later * self._batch).sum(0) <= place, later, batch)
        before, first = self._table(stream, batch)
        # Of nodes without an element here, the next one begins at the same place.
        node = (first <= place).sum(0) - 1
        every = np.arange(len(place))
        return node, before[node, every] + place - first[node, every]

    def _table(self, stream: int, batch: _Ints) -> tuple[_Ints, _Ints]:
        """Return ``int64[C, B]`` each: elements of each node before batches, and the place of its first one there."""
        edges = distinct(np.concatenate([batch, batch + 1]))[0]
        upto = self.upto(stream, edges * self._batch)
        at = np.searchsorted(edges, batch)
        before, count = upto[:, at], upto[:, at + 1] - upto[:, at]
        return before, before.sum(0) + np.cumsum(count, 0) - count
