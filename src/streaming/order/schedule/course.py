"""The course of a mixture: how many samples each stream gives in each step of a table, and before it.

Shares are in elements: samples, or the units that a batching method keeps together. A step's elements are merged as those
of an epoch of fixed weights are (:class:`streaming.order.lanes.mixing.Mixer`). Its counts are the exact shares, rounded;
which streams get what rounding leaves over depends on what they lack from the steps before, so that errors do not add up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.keys import Purpose, derive
from streaming.order.lanes.mixing import Mixer
from streaming.order.lanes.striping import striped_total
from streaming.order.table import Steps

__all__ = ["Course", "shares"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

#: Merges that are kept: a reader is in one step or two.
_KEPT = 64


class Course:
    """How the streams' counts grow. Legend: T steps, K streams, C canonical nodes.

    Args:
        steps: The table.
        num_nodes: Canonical nodes.
        seed: Seed of the order of neighbours, ``None`` to leave them in place.
        unit: Samples of an element.

    Attributes:
        begin: ``int64[T]``, first element of each step.
        num_nodes: Canonical nodes.
        base: ``int64[T + 1, C, K]``, elements that each stream has given in each node before each step, and at the horizon.
    """

    def __init__(self, steps: Steps, num_nodes: int, seed: int | None, unit: int = 1) -> None:
        self.num_nodes = num_nodes
        self.begin: _Ints = steps.begin // unit
        self._length: _Ints = steps.end // unit - self.begin
        self._used: _Ints = steps.until // unit - self.begin
        self._weights: _Floats = steps.weights
        self._seed = seed
        self._mixers: dict[int, Mixer] = {}
        count, num_streams = self._weights.shape
        self.counts: _Ints = np.zeros((count, num_streams), np.int64)
        self.base: _Ints = np.zeros((count + 1, num_nodes, num_streams), np.int64)
        lack = np.zeros(num_streams, np.float64)
        for step in range(count):
            self.counts[step] = shares(self._weights[step], int(self._length[step]), lack)
            given = self._given(step)
            self.base[step + 1] = self.base[step] + given
            lack += self._weights[step] * self._used[step] - given.sum(0)
        self.totals: _Ints = self.base.sum(1)

    def step_of(self, element: _Ints) -> _Ints:
        """Return the step of each element."""
        return np.searchsorted(self.begin, element, side="right") - 1

    def mixer(self, step: int) -> Mixer:
        """Return the merge of a step's elements; its nodes are those of :meth:`label`."""
        found = self._mixers.get(step)
        if found is None:
            if len(self._mixers) >= _KEPT:
                del self._mixers[next(iter(self._mixers))]
            found = self._mixers[step] = Mixer(self.counts[step], self.num_nodes, self._keys(step))
        return found

    def label(self, step: int, node: _Ints) -> _Ints:
        """Return the place of canonical nodes in a step's merge.

        It turns from step to step, or what rounding leaves over would always be the same nodes'.
        """
        if self.num_nodes == 1 or self._length[step] % self.num_nodes:
            return node
        turn = derive(0, Purpose.STEP_TURN, int(self.begin[step])) % self.num_nodes
        return (node + turn) % self.num_nodes

    def before(self, step: int, node: _Ints, stream: int, index: _Ints) -> _Ints:
        """Return how many of the first ``index`` elements of canonical nodes in a step are of one stream."""
        return self.mixer(step).before(self.label(step, node), stream, index)

    def given(self, element: int) -> _Ints:
        """Return ``int64[K]``: elements that each stream gives before one."""
        step = int(self.step_of(np.array([element], np.int64))[0])
        nodes = np.arange(self.num_nodes, dtype=np.int64)
        index = striped_total(np.full(1, element - self.begin[step], np.int64), self.num_nodes, nodes)
        index = np.broadcast_to(index, nodes.shape)
        now = [int(self.before(step, nodes, k, index).sum()) for k in range(self._weights.shape[1])]
        return self.totals[step] + np.array(now, np.int64)

    def weights(self, element: int) -> _Floats:
        """Return ``float64[K]``: the streams' shares at an element."""
        return self._weights[int(self.step_of(np.array([element], np.int64))[0])]

    def _given(self, step: int) -> _Ints:
        nodes = np.arange(self.num_nodes, dtype=np.int64)
        used = int(self._used[step])
        if self.num_nodes == 1 and used == int(self._length[step]):
            return self.counts[step][None]
        index = np.broadcast_to(striped_total(np.full(1, used, np.int64), self.num_nodes, nodes), nodes.shape)
        columns = [self.before(step, nodes, k, index) for k in range(self._weights.shape[1])]
        return np.stack(columns, 1)

    def _keys(self, step: int) -> NDArray[np.uint64] | None:
        if self._seed is None:
            return None
        begin = int(self.begin[step])
        keys = [derive(self._seed, Purpose.STEP_MIXING, begin, c) for c in range(self.num_nodes)]
        return np.array(keys, np.uint64)


def shares(weights: _Floats, total: int, lack: _Floats) -> _Ints:
    """Return ``int64[K]`` that add up to ``total``, each its exact share rounded down or up.

    Args:
        weights: ``float64[K]``, summing to 1.
        total: What is shared.
        lack: ``float64[K]``, what each lacks from before: who lacks most is rounded up.
    """
    exact = weights * total
    counts = np.floor(exact).astype(np.int64)
    missing = total - int(counts.sum())
    rest = exact - counts
    order = np.lexsort((np.arange(len(weights)), -(rest + lack), rest <= 0))
    counts[order[: max(missing, 0)]] += 1
    return counts
