"""Which stream serves each index of a canonical node, so that every stretch holds the streams' exact shares.

Streams are the leaves of a binary tree, heaviest first, halved by weight. At a node of the tree with weight ``W``, of
which ``w`` on the left, the first ``k`` elements hold ``(k * w + W // 2) // W`` that go left: this is monotone in ``k``,
exact over the whole, and never off by more than half an element. Halving damps what comes from above, so a stream's
share is off by little more than one. Going down the tree gives an element's stream and its place there, going up
undoes it.

The weights of a canonical node are the units of each stream that striping gives it. Streams are laid end to end in the
tree's order, so those of a whole subtree have a closed form as well.

Left alone, equal streams would take turns, and so do the ranks: each would meet the same streams all the time. So each
eight neighbours are put in a keyed order first, by flipping the binary digits of the place among them. A share is then
off by up to about two samples within eight neighbours, and not more than before after each eight.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.arithmetic import mul_div, offsets
from streaming.order.lanes.keys import mix64
from streaming.order.lanes.striping import striped_total

__all__ = ["BLOCK", "Mixer"]

_Ints = NDArray[np.int64]

#: Neighbours that are put in a keyed order.
BLOCK = 8
_DIGITS = 3


class Mixer:
    """A merge of streams in exact proportion, for each of some canonical nodes. Legend: K streams, C canonical nodes.

    Args:
        count: ``int64[K]``, units of each stream.
        num_nodes: Canonical nodes.
        keys: ``uint64[C]``, keys of the order of neighbours, or ``None`` to leave them in place.

    Attributes:
        origin: ``int64[K]``, units before each stream where they are laid end to end.
    """

    def __init__(self, count: _Ints, num_nodes: int, keys: NDArray[np.uint64] | None) -> None:
        self._num_nodes = num_nodes
        self._keys = keys
        ranked = np.argsort(-count, kind="stable")
        ends = offsets(count[ranked])
        self.origin: _Ints = np.empty_like(count)
        self.origin[ranked] = ends[:-1]
        self._total = np.full(1, ends[-1], np.int64)
        self._build(ends, int(np.count_nonzero(count)))
        self._stream = np.where(self._is_leaf, ranked[self._first_leaf], -1)
        self._node_of_stream = np.full(len(count), -1, np.int64)
        leaves = np.flatnonzero(self._is_leaf)
        self._node_of_stream[self._stream[leaves]] = leaves

    def _build(self, ends: _Ints, num_leaves: int) -> None:
        low = np.zeros(1, np.int64)
        high = np.full(1, max(num_leaves, 1), np.int64)
        parent = np.zeros(1, np.int64)
        levels: list[tuple[_Ints, _Ints, _Ints, _Ints]] = []
        before = 0
        while len(low):
            cut = _halve(low, high, ends)
            levels.append((low, cut, high, parent))
            split = np.flatnonzero(high - low > 1)
            parent = np.repeat(split + before, 2)
            before += len(low)
            low, high = (
                np.stack([low[split], cut[split]], 1).ravel(),
                np.stack([cut[split], high[split]], 1).ravel(),
            )
        low, cut, high, self._parent = (np.concatenate([level[i] for level in levels]) for i in range(4))
        self._first_leaf = low
        self._is_leaf = high - low <= 1
        self._begin, self._cut, self._end = ends[low], ends[cut], ends[high]
        node = np.arange(len(low), dtype=np.int64)
        self._left, self._right = node.copy(), node.copy()
        self._left[self._parent[1::2]] = node[1::2]
        self._right[self._parent[2::2]] = node[2::2]
        self._trivial = len(node) == 1

    def split(self, node: _Ints, index: _Ints) -> tuple[_Ints, _Ints]:
        """Return the stream that serves each index of canonical nodes, and its unit among those of the stream there."""
        if self._trivial:
            return np.full(len(index), self._stream[0], np.int64), index
        index = self._scramble(node, index, reversed(range(_DIGITS)))
        at = np.zeros(len(index), np.int64)
        while not self._is_leaf[at].all():
            weight, left = self._weights(node, at)
            quotient, remainder = mul_div(index, left, weight, weight // 2)
            goes_left = remainder + left >= weight
            index = np.where(goes_left, quotient, index - quotient)
            at = np.where(goes_left, self._left[at], self._right[at])
        return self._stream[at], index

    def join(self, node: _Ints, stream: _Ints, unit: _Ints) -> _Ints:
        """Return the index of canonical nodes that units of streams serve (the inverse of ``split``)."""
        if self._trivial:
            return unit
        at = self._node_of_stream[stream]
        index = unit
        while at.any():
            above = self._parent[at]
            weight, left = self._weights(node, above)
            is_left = self._left[above] == at
            half = weight // 2
            # An element at the root stays: all of the root is its share.
            share = np.where(at > 0, np.where(is_left, left, weight - left), weight)
            plus = np.where(is_left, weight - half - 1, half)
            index = np.where(at > 0, mul_div(index, weight, share, plus)[0], index)
            at = above
        return self._scramble(node, index, range(_DIGITS))

    def before(self, node: _Ints, stream: int, index: _Ints) -> _Ints:
        """Return how many of the first ``index`` elements of canonical nodes are of one stream."""
        if self._keys is None or self._trivial:
            return self.in_order(node, stream, index)
        # Neighbours change places within whole blocks only.
        whole = index - index % BLOCK
        count = self.in_order(node, stream, whole)
        row, step = np.nonzero(np.arange(BLOCK - 1) < (index - whole)[:, None])
        is_it = self.split(node[row], whole[row] + step)[0] == stream
        return count + np.bincount(row[is_it], minlength=len(index))

    def in_order(self, node: _Ints, stream: int, index: _Ints) -> _Ints:
        """Return what :meth:`before` does, of arrays that broadcast, as if neighbours had not changed places.

        It is the same at the ends of blocks.
        """
        at = int(self._node_of_stream[stream])
        if at < 0:
            return np.zeros_like(index)
        path: list[int] = []
        while at:
            path.append(at)
            at = int(self._parent[at])
        count = index
        for below in reversed(path):
            above = self._parent[below]
            weight, left = self._weights(node, np.full(1, above, np.int64))
            to_left = mul_div(count, left, np.maximum(weight, 1), weight // 2)[0]
            count = to_left if self._left[above] == below else count - to_left
        return count

    def window(self, node: _Ints, stream: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
        """Return indexes between which all units in ``[first, last]`` are served, at most ``BLOCK`` too many."""
        low, high = self.join(node, stream, first), self.join(node, stream, last)
        if self._keys is None or self._trivial:
            return low, high
        total = striped_total(self._total, self._num_nodes, node)
        return low // BLOCK * BLOCK, np.minimum(high // BLOCK * BLOCK + BLOCK, total) - 1

    def _weights(self, node: _Ints, at: _Ints) -> tuple[_Ints, _Ints]:
        """Return the units of canonical nodes in subtrees, and those on the left."""
        before = striped_total(self._begin[at], self._num_nodes, node)
        weight = striped_total(self._end[at], self._num_nodes, node) - before
        # A leaf has no left part; give it the whole, so that an element that has arrived stays.
        return weight, striped_total(self._cut[at], self._num_nodes, node) - before

    def _scramble(self, node: _Ints, index: _Ints, digits: Iterable[int]) -> _Ints:
        """Flip binary digits of an index, each by a bit keyed by the block and the digits above it."""
        if self._keys is None:
            return index
        block = index // BLOCK
        bits = mix64(self._keys[node] ^ block.view(np.uint64)).view(np.int64)
        moved = index.copy()
        for digit in digits:
            above = (moved & (BLOCK - 1)) >> (digit + 1)
            which = above + ((BLOCK >> (digit + 1)) - 1)
            moved ^= ((bits >> which) & 1) << digit
        whole = (block + 1) * BLOCK <= striped_total(self._total, self._num_nodes, node)
        return np.where(whole, moved, index)


def _halve(low: _Ints, high: _Ints, ends: _Ints) -> _Ints:
    """Return where to cut each ``[low, high)`` so that both sides weigh about the same; at ``high`` where it is a leaf."""
    middle = ends[low] + ends[high]
    cut = np.searchsorted(2 * ends, middle, side="left")
    cut -= 2 * ends[cut] - middle >= middle - 2 * ends[cut - 1]
    return np.where(high - low > 1, np.clip(cut, low + 1, high - 1), high)
