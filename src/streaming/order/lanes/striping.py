"""How many draws of each stream belong to each canonical node.

The streams' draws, laid end to end in units, go to the canonical nodes in turn. Counts per node and per stream then
both add up, and a count or a sum of counts needs no table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.arithmetic import striped

__all__ = ["Parts", "Striping", "striped_total"]

_Ints = NDArray[np.int64]


def striped_total(length: _Ints, num_nodes: int, node: _Ints) -> _Ints:
    """Return how many of the first ``length`` units go to ``node``."""
    return length if num_nodes == 1 else (length - node + (num_nodes - 1)) // num_nodes


class Parts(Protocol):
    """Which draws of which stream belong to which canonical node; see :class:`Striping`."""

    def samples(self, node: _Ints, stream: _Ints) -> _Ints:
        """Return how many draws of ``stream`` belong to ``node``."""
        ...

    def before(self, node: _Ints, stream: _Ints) -> _Ints:
        """Return how many draws of ``stream`` belong to nodes before ``node``."""
        ...

    def node_of(self, stream: int, draw: _Ints) -> _Ints:
        """Return the node that each draw of one stream belongs to."""
        ...


@dataclass(frozen=True, eq=False)
class Striping:
    """The canonical nodes' parts of the streams. Legend: K streams.

    Attributes:
        num_nodes: Canonical nodes.
        origin: ``int64[K]``, units before each stream where they are laid end to end.
        count: ``int64[K]``, units of each stream.
        unit: Draws that stay together.
    """

    num_nodes: int
    origin: _Ints
    count: _Ints
    unit: int = 1

    def samples(self, node: _Ints, stream: _Ints) -> _Ints:
        """Return how many draws of ``stream`` belong to ``node``."""
        begin = self.origin[stream]
        upto = striped_total(begin + self.count[stream], self.num_nodes, node)
        return self.unit * (upto - striped_total(begin, self.num_nodes, node))

    def before(self, node: _Ints, stream: _Ints) -> _Ints:
        """Return how many draws of ``stream`` belong to nodes before ``node``, which may be one past the last."""
        begin = self.origin[stream]
        upto = striped(begin + self.count[stream], self.num_nodes, node)
        return self.unit * (upto - striped(begin, self.num_nodes, node))

    def node_of(self, stream: int, draw: _Ints) -> _Ints:
        """Return the node that each draw of one stream belongs to, ``num_nodes`` where it is left out."""
        nodes = np.arange(self.num_nodes + 1, dtype=np.int64)
        ends = self.before(nodes, np.full(self.num_nodes + 1, stream, np.int64))
        return np.searchsorted(ends, draw, side="right") - 1
