"""Which ranks of an order's layout each physical node has: with replication, several nodes may read the same."""

from __future__ import annotations

from streaming.core.world import World
from streaming.order.spec import Layout

__all__ = ["Share", "layout_of", "shares_of"]

#: A node of the layout, and those of its ranks that are meant; ``None`` for all.
Share = tuple[int, "range | None"]


def layout_of(num_nodes: int, ranks_per_node: int, replication: int) -> Layout:
    """Return nodes and ranks of a job, ranks that get the same samples counted once.

    Raises:
        ConfigError: The replication does not divide the ranks.
    """
    world = World(num_nodes, ranks_per_node, 1, 0).replicate(replication)
    return Layout(world.num_nodes, world.ranks_per_node, 1)


def shares_of(num_nodes: int, ranks_per_node: int, replication: int) -> list[tuple[Share, ...]]:
    """Return what each physical node reads.

    Args:
        num_nodes: Physical nodes.
        ranks_per_node: Ranks of each, those that get the same samples counted each.
        replication: Consecutive ranks that get the same samples.
    """
    layout = layout_of(num_nodes, ranks_per_node, replication)
    size = layout.ranks_per_node
    found: list[tuple[Share, ...]] = []
    for node in range(num_nodes):
        begin = node * ranks_per_node // replication
        end = ((node + 1) * ranks_per_node - 1) // replication + 1
        parts: list[Share] = []
        for other in range(begin // size, (end - 1) // size + 1):
            low, high = max(begin - other * size, 0), min(end - other * size, size)
            parts.append((other, None if high - low == size else range(low, high)))
        found.append(tuple(parts))
    return found
