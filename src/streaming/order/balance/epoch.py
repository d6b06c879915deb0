"""An epoch whose samples have changed places, so that each rank's cost about the same."""

from __future__ import annotations

from collections import OrderedDict
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.balance.deal import deal, gather
from streaming.order.balance.windows import Windows
from streaming.order.lanes.epoch import WorkerIds
from streaming.order.lanes.keys import Purpose, derive
from streaming.order.lanes.permutation import permute
from streaming.order.lanes.worker import WorkerPositions
from streaming.order.spec import Layout, OrderSpec

__all__ = ["BalancedEpoch", "windows_of"]

_Ints = NDArray[np.int64]

#: Windows of a worker that are kept: the one that is read, and one that a block begins or ends in.
_KEPT = 3


class Inner(Protocol):
    """An order whose samples change places."""

    total: int

    def ids(self, positions: _Ints) -> _Ints:
        """Return the sample ids at positions of the epoch."""
        ...

    def positions(self, sample_id: int, stop: int | None = None) -> _Ints:
        """Return all positions at which a sample comes, ascending."""
        ...

    def spans(self, nodes: _Ints | None = None, begin: int = 0) -> tuple[_Ints, _Ints, _Ints]:
        """Return when which shards are needed."""
        ...


def windows_of(spec: OrderSpec, total: int, begin: int, global_batch: int) -> Windows:
    """Return the windows of an epoch.

    Args:
        spec: The order, balanced.
        total: Positions of the epoch.
        begin: Position of the run at which it begins.
        global_batch: Samples of a batch over all ranks.
    """
    assert spec.balance is not None
    cuts = np.array([record.begin - begin for record in spec.table], np.int64)
    return Windows(total, global_batch, spec.balance.batches, cuts[(cuts > 0) & (cuts < total - total % global_batch)])


class BalancedEpoch:
    """The order of one epoch, balanced, for one layout.

    Args:
        inner: The order as it would be.
        spec: What it depends on.
        epoch: The epoch.
        begin: Position of the run at which it begins.
        layout: All workers.

    Attributes:
        total: Positions of the epoch.
        windows: Which of them change places.
    """

    def __init__(self, inner: Inner, spec: OrderSpec, epoch: int, begin: int, layout: Layout) -> None:
        if spec.batching_method != "random":
            raise ConfigError(
                f"balance moves samples between batches, which batching_method={spec.batching_method!r} composes. Use one "
                "of the two."
            )
        self._inner = inner
        self._spec = spec
        self._epoch = epoch
        self._layout = layout
        self.total: int = inner.total
        self.windows: Windows = windows_of(spec, inner.total, begin, spec.batch_size * layout.num_ranks)
        self._at_hand: OrderedDict[tuple[int, int], tuple[_Ints, _Ints]] = OrderedDict()

    def for_layout(self, layout: Layout) -> BalancedEpoch:
        """Return the same for another layout of as many ranks."""
        other = copy(self)
        other._layout = layout
        other._at_hand = OrderedDict()
        return other

    @property
    def _is_local(self) -> bool:
        """Whether samples stay on the nodes that would have read them."""
        assert self._spec.balance is not None
        return self._spec.balance.local

    @property
    def _has_own(self) -> bool:
        """Whether each node has canonical nodes of its own, whose samples it then needs to know alone."""
        return self._is_local and self._spec.num_canonical_nodes % self._layout.num_nodes == 0

    def ids(self, positions: _Ints, node: int = 0) -> _Ints:
        """Return the sample ids at positions that a node serves, -1 where the position is."""
        return self._inner.ids(self._sources(positions, node))

    def _sources(self, positions: _Ints, node: int) -> _Ints:
        out = positions.copy()
        moved = np.flatnonzero((positions >= 0) & (positions < self.windows.end))
        begins, ends = self.windows.around(positions[moved])
        firsts, which = np.unique(begins, return_inverse=True)
        for number, begin in enumerate(firsts.tolist()):
            rows = np.flatnonzero(which == number)
            places, sources = self._window(begin, int(ends[rows[0]]), node)
            out[moved[rows]] = sources[np.searchsorted(places, positions[moved[rows]])]
        return out

    def _window(self, begin: int, end: int, node: int) -> tuple[_Ints, _Ints]:
        """Return the positions of a window that a node serves, or all, and where each takes its sample from."""
        node = node if self._has_own else -1
        known = self._at_hand.pop((begin, node), None)
        if known is None:
            known = self._make(begin, end, node)
            if len(self._at_hand) >= _KEPT:
                self._at_hand.popitem(last=False)
        self._at_hand[begin, node] = known
        return known

    def _make(self, begin: int, end: int, node: int) -> tuple[_Ints, _Ints]:
        spec, layout = self._spec, self._layout
        assert spec.balance is not None
        nodes = layout.num_nodes if node >= 0 else 1
        places = np.arange(begin + max(node, 0), end, nodes, dtype=np.int64)
        costs = spec.balance.costs[self._inner.ids(places)].astype(np.float64)
        batches = (end - begin) // self.windows.global_batch
        key = np.array([derive(spec.shuffle_seed, Purpose.BALANCE, self._epoch, begin)], np.uint64)
        turn = permute(np.arange(batches), batches, np.broadcast_to(key, batches))
        classes = places % spec.num_canonical_nodes if self._is_local else None
        source = gather(costs, classes, batches, turn)
        ranks = layout.num_ranks // nodes
        dealt = deal(costs[source].reshape(batches, -1), ranks)
        rows = (dealt + np.arange(batches)[:, None] * dealt.shape[1]).ravel()
        return places, places[source[rows]]

    def positions(self, sample_id: int, stop: int | None = None) -> _Ints:
        """Return all positions before ``stop`` at which a sample comes, ascending; see :meth:`LanesEpoch.positions`."""
        last = None if stop is None else int(self.windows.around(np.array([max(stop - 1, 0)]))[1][0])
        found: list[int] = []
        for position in self._inner.positions(sample_id, last).tolist():
            (begin,), (end,) = (edge.tolist() for edge in self.windows.around(np.array([position])))
            if position >= self.windows.end:
                found.append(position)
                continue
            places, sources = self._window(begin, end, position % self._layout.num_nodes)
            found += places[sources == position].tolist()
        out = np.unique(np.array(found, np.int64))
        return out if stop is None else out[out < stop]

    def worker_ids(
        self, layout: Layout, node: int, rank_of_node: int, worker_of_rank: int, sample_in_epoch: int = 0
    ) -> WorkerIds:
        """Return the sample ids that one worker serves. A global batch that was begun is served again."""
        begin = sample_in_epoch - sample_in_epoch % self.windows.global_batch
        size = self._spec.batch_size
        positions = WorkerPositions(self.total, size, layout, node, rank_of_node, worker_of_rank, begin)
        return WorkerIds(_OfNode(self, node), positions)

    def spans(self, nodes: _Ints | None = None, begin: int = 0) -> tuple[_Ints, _Ints, _Ints]:
        """Return when which shards are needed, as :meth:`LanesEpoch.spans`: in whole windows."""
        first_of = int(self.windows.around(np.array([begin]))[0][0])
        shards, first, last = self._inner.spans(nodes if self._is_local else None, first_of)
        return shards, self.windows.around(first)[0], self.windows.around(last)[1] - 1


@dataclass(frozen=True, eq=False)
class _OfNode:
    """What one node serves."""

    epoch: BalancedEpoch
    node: int

    def ids(self, positions: _Ints) -> _Ints:
        return self.epoch.ids(positions, self.node)
