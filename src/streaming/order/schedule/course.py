"""The course of a mixture: how many samples each stream gives in each step of a table, and before it.

Shares are in elements: samples, or the units that a batching method keeps together. A step's elements are merged as those
of an epoch of fixed weights are (:class:`streaming.order.lanes.mixing.Mixer`). Its counts are the exact shares, rounded;
which streams get what rounding leaves over depends on what they lack from the steps before, so that errors do not add up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.order.lanes.arithmetic import ragged_arange
from streaming.order.lanes.keys import Purpose, derive
from streaming.order.lanes.mixing import BLOCK, Mixer
from streaming.order.lanes.striping import striped_total
from streaming.order.schedule.numbering import Numbering
from streaming.order.schedule.rows import Rows
from streaming.order.table import Steps

__all__ = ["Course", "shares"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

#: Merges that are kept: a reader is in one step or two.
_KEPT = 64


class Course:
    """How the streams' counts grow. Legend: T steps, K streams, C canonical nodes, I elements.

    Args:
        steps: The table.
        num_nodes: Canonical nodes.
        seed: Seed of the order of neighbours, ``None`` to leave them in place.
        unit: Samples of an element.
        whole: ``bool[K]``, streams whose elements are numbered over all canonical nodes; the others in each by itself.

    Attributes:
        num_nodes: Canonical nodes.
        totals: ``int64[T + 1, K]``, elements that each stream has given before each step, and at the horizon.
    """

    def __init__(self, steps: Steps, num_nodes: int, seed: int | None, unit: int, whole: NDArray[np.bool_]) -> None:
        self.num_nodes = num_nodes
        self._begin: _Ints = steps.begin // unit
        self._length: _Ints = steps.end // unit - self._begin
        self._used: _Ints = steps.until // unit - self._begin
        self._weights: _Floats = steps.weights
        self._seed = seed
        self._nodes: _Ints = np.arange(num_nodes, dtype=np.int64)
        count, self._num_streams = self._weights.shape
        self._whole: list[int] = np.flatnonzero(whole).tolist() if num_nodes > 1 else []
        self._mixers: dict[int, tuple[Mixer, Rows]] = {}
        self._counts: _Ints = np.zeros((count, self._num_streams), np.int64)
        self._turns: _Ints = np.zeros(count, np.int64)
        nothing = np.empty(0, np.int64)
        in_nodes = [Numbering(np.zeros(num_nodes * self._num_streams, np.int64), nothing, nothing)]
        in_all = [Numbering(np.zeros(self._num_streams, np.int64), nothing, nothing)]
        given = np.zeros((num_nodes, self._num_streams), np.int64)
        self.totals: _Ints = np.zeros((count + 1, self._num_streams), np.int64)
        lack = np.zeros(self._num_streams, np.float64)
        for step in range(count):
            self._counts[step] = shares(self._weights[step], int(self._length[step]), lack)
            full = self._full(step)
            self._turns[step] = self._turn(step, full, given)
            now = self._advance(step, full, in_nodes, in_all)
            given += now
            self.totals[step + 1] = self.totals[step] + now.sum(0)
            lack += self._weights[step] * self._used[step] - now.sum(0)
        self._numberings = in_nodes, in_all
        self._first = tuple(np.stack([step.first for step in steps_]) for steps_ in self._numberings)

    def draws(self, element: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return ``int64[I]`` each: canonical node, stream and number of each element."""
        step = self._step_of(element)
        if not len(step) or int(step.min()) == int(step.max()):
            return self._draws_of_step(int(step[0]) if len(step) else 0, element)
        out = np.empty(len(element), np.int64), np.empty(len(element), np.int64), np.empty(len(element), np.int64)
        for one in distinct(step)[0].tolist():
            rows = np.flatnonzero(step == one)
            for column, values in zip(out, self._draws_of_step(one, element[rows]), strict=True):
                column[rows] = values
        return out

    def _draws_of_step(self, step: int, element: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        index, node = np.divmod(element - self._begin[step], self.num_nodes)
        label = self._label(step, node)
        mixer, order = self._mixer(step)
        stream, unit = mixer.split(label, index)
        in_nodes, in_all = self._numberings
        number = in_nodes[step].numbers(node * self._num_streams + stream, unit)
        for k in self._whole:
            rows = np.flatnonzero(stream == k)
            if len(rows):
                place = order.order(k, label[rows], index[rows], unit[rows])
                number[rows] = in_all[step].numbers(stream[rows], place)
        return node, stream, number

    def find(self, node: _Ints, stream: int, number: _Ints) -> _Ints:
        """Return the elements that have numbers of one stream, -1 where there is none (the inverse of :meth:`draws`).

        Args:
            node: ``int64[I]``, canonical nodes, which are not looked at where numbers are over all.
            stream: The stream.
            number: ``int64[I]``.
        """
        is_whole = stream in self._whole
        numberings, first = self._numberings[is_whole], self._first[is_whole]
        line = np.full_like(node, stream) if is_whole else node * self._num_streams + stream
        step = np.empty(len(number), np.int64)
        for one in distinct(line)[0].tolist():
            rows = np.flatnonzero(line == one)
            step[rows] = np.searchsorted(first[:, one], number[rows], side="right") - 1
        out = np.full(len(number), -1, np.int64)
        rows = np.flatnonzero(step < len(self._begin))
        while len(rows):
            for one in distinct(step[rows])[0].tolist():
                some = rows[step[rows] == one]
                element = numberings[one].elements(line[some], number[some])
                out[some] = self._elements_of_step(one, node[some], stream, element, is_whole)
            # What a step left out, one after it has.
            late = (out[rows] < 0) | (out[rows] >= (self._begin + self._used)[step[rows]])
            rows = rows[late]
            out[rows] = -1
            step[rows] += 1
            rows = rows[step[rows] < len(self._begin)]
        return out

    def _elements_of_step(self, step: int, node: _Ints, stream: int, unit: _Ints, is_whole: bool) -> _Ints:
        out = np.full(len(unit), -1, np.int64)
        mixer, order = self._mixer(step)
        every = self._indexes(int(self._length[step]))
        count = mixer.in_order(self._label(step, self._nodes), stream, every)
        rows = np.flatnonzero((unit >= 0) & (unit < (count.sum() if is_whole else count[node])))
        if not len(rows):
            return out
        node, unit = node[rows], unit[rows]
        if is_whole:
            label, unit = order.find(stream, unit)
            node = (label - self._turns[step]) % self.num_nodes
        index = mixer.join(self._label(step, node), np.full(len(rows), stream, np.int64), unit)
        out[rows] = self._begin[step] + index * self.num_nodes + node
        return out

    def given(self, element: int) -> _Ints:
        """Return ``int64[K]``: elements that each stream gives before one."""
        step = int(self._step_of(np.array([element], np.int64))[0])
        index = self._indexes(element - int(self._begin[step]))
        labels, mixer = self._label(step, self._nodes), self._mixer(step)[0]
        now = [int(mixer.before(labels, k, index).sum()) for k in range(self._num_streams)]
        return self.totals[step] + np.array(now, np.int64)

    def weights(self, element: int) -> _Floats:
        """Return ``float64[K]``: the streams' shares at an element."""
        return self._weights[int(self._step_of(np.array([element], np.int64))[0])]

    def _step_of(self, element: _Ints) -> _Ints:
        return np.searchsorted(self._begin, element, side="right") - 1

    def _indexes(self, count: int) -> _Ints:
        """Return ``int64[C]``: how many of the first elements of a step each canonical node has."""
        return np.broadcast_to(striped_total(np.full(1, count, np.int64), self.num_nodes, self._nodes), self.num_nodes)

    def _mixer(self, step: int) -> tuple[Mixer, Rows]:
        """Return the merge of a step's elements; its nodes are those of ``_label``."""
        found = self._mixers.get(step)
        if found is None:
            if len(self._mixers) >= _KEPT:
                del self._mixers[next(iter(self._mixers))]
            mixer = Mixer(self._counts[step], self.num_nodes, self._keys(step))
            found = self._mixers[step] = mixer, Rows(mixer, mixer.origin + self._counts[step], self.num_nodes)
        return found

    def _label(self, step: int, node: _Ints) -> _Ints:
        """Return the place of canonical nodes in a step's merge."""
        return (node + self._turns[step]) % self.num_nodes if self._turns[step] else node

    def _full(self, step: int) -> _Ints:
        """Return ``int64[C, K]``: how many elements of each stream each place in a step's merge has, to its end."""
        if self.num_nodes == 1:
            return self._counts[step][None]
        mixer, index = self._mixer(step)[0], self._indexes(int(self._length[step]))
        return np.stack([mixer.in_order(self._nodes, k, index) for k in range(self._num_streams)], 1)

    def _turn(self, step: int, full: _Ints, given: _Ints) -> int:
        """Return how far canonical nodes turn in a step's merge.

        Rounding leaves some of them an element more of a stream: those that have had less of it, as far as a turn does it.
        """
        if self.num_nodes == 1 or self._length[step] % self.num_nodes:
            return 0
        product = (given - given.min(0)) @ (full - full.min(0)).T
        return int(product[self._nodes[:, None], (self._nodes[:, None] + self._nodes) % self.num_nodes].sum(0).argmin())

    def _advance(self, step: int, full: _Ints, in_nodes: list[Numbering], in_all: list[Numbering]) -> _Ints:
        """Find how elements are numbered after a step. Return ``int64[C, K]``: how many each node gives in it."""
        if self._used[step] == self._length[step]:
            full, none = full[self._label(step, self._nodes)], np.empty(0, np.int64)
            in_nodes.append(in_nodes[step].after(full.ravel(), full.ravel(), none, none))
            if self._whole:
                every = full.sum(0) * np.isin(range(self._num_streams), self._whole)
                in_all.append(in_all[step].after(every, every, none, none))
            return full
        mixer, order = self._mixer(step)
        labels, streams = self._label(step, self._nodes), range(self._num_streams)
        index = self._indexes(int(self._used[step]))
        block = int(index.min()) // BLOCK
        ends = [np.minimum(count * BLOCK, self._indexes(int(self._length[step]))) for count in (block, block + 1)]
        whole, end = (np.stack([mixer.in_order(labels, k, upto) for k in streams], 1) for upto in ends)
        node, place = ragged_arange(index - ends[0])
        place += block * BLOCK
        stream, unit = mixer.split(labels[node], place)
        line = node * self._num_streams + stream
        in_nodes.append(in_nodes[step].after(whole.ravel(), end.ravel(), line, unit))
        if self._whole:
            is_in = np.isin(stream, self._whole)
            rows, count = np.flatnonzero(is_in), np.isin(streams, self._whole)
            places = np.empty(len(rows), np.int64)
            for k in self._whole:
                some = np.flatnonzero(stream[rows] == k)
                of = rows[some]
                places[some] = order.order(k, labels[node[of]], place[of], unit[of])
            in_all.append(in_all[step].after(whole.sum(0) * count, end.sum(0) * count, stream[rows], places))
        return whole + np.bincount(line, minlength=whole.size).reshape(whole.shape)

    def _keys(self, step: int) -> NDArray[np.uint64] | None:
        if self._seed is None:
            return None
        begin = int(self._begin[step])
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
