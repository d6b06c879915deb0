"""Which shards a node needs, and when: in spans of the epoch, one or several for each shard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.order.queries.plan import EpochOrder
from streaming.order.skips import Skips
from streaming.order.spec import Layout

__all__ = ["node_spans"]

Ints = NDArray[np.int64]

_CHUNK = 1 << 13
#: So many chunks a rank, where they are not larger than that: how exact the spans are.
_CHUNKS = 1 << 9


def node_spans(
    order: EpochOrder,
    node: int,
    sample_in_epoch: int,
    skips: Skips,
    ranks: range | None = None,
    slots: int | None = None,
) -> tuple[Ints, Ints, Ints]:
    """Return the spans in which a node reads from shards. Legend: V spans.

    Costs time in proportion to the node's shards for lanes, to its samples for other orders and where parts are skipped.

    Args:
        order: The order of the epoch.
        node: The node.
        sample_in_epoch: Samples of the epoch that are already consumed.
        skips: Parts of the epoch that are left out.
        ranks: Those of the node's ranks that are meant, looked for sample by sample; by default all.
        slots: So many of each rank's samples are looked at, where that is done sample by sample.

    Returns:
        ``int64[V]`` each: shards; and the times at which their spans begin and end, in samples of the epoch that all ranks
        have served by then. Spans may be a little too wide.
    """
    spec, nodes = order.spec, order.layout.num_nodes
    lanes = order.lanes
    if lanes is None or (skips and order.scheduled is None) or ranks is not None:
        return _from_ids(order, node, sample_in_epoch, skips, ranks or range(order.layout.ranks_per_node), slots)
    canonical = None
    if spec.batching_method == "random" and spec.num_canonical_nodes % nodes == 0:
        first = (sample_in_epoch + node) % nodes
        canonical = np.arange(first, spec.num_canonical_nodes, nodes, dtype=np.int64)
    shards, begin, end = lanes.spans(canonical, skips.position_after(sample_in_epoch))
    begin, end = skips.served_before(begin), skips.served_before(end)
    coming = end >= sample_in_epoch
    return shards[coming], np.maximum(begin[coming], sample_in_epoch), end[coming]


def _from_ids(
    order: EpochOrder, node: int, sample_in_epoch: int, skips: Skips, ranks: range, slots: int | None
) -> tuple[Ints, Ints, Ints]:
    spec, layout = order.spec, order.layout
    ends = spec.sample_offset_per_shard[1:]
    parts: list[tuple[Ints, Ints, Ints]] = []
    per_slot = layout.num_ranks
    size = 1
    single = order.for_layout(Layout(layout.num_nodes, layout.ranks_per_node, 1))
    for rank in ranks:
        ids = single.worker_ids(node, rank, 0, sample_in_epoch, skips)
        count = len(ids) if slots is None else min(len(ids), slots)
        size = max(1, min(_CHUNK, count // _CHUNKS))
        for low in range(0, count, size):
            chunk = ids.ids(low, min(low + size, count))
            shards, _ = distinct(np.searchsorted(ends, chunk[chunk >= 0], side="right"))
            begin = np.full(len(shards), sample_in_epoch + low * per_slot, np.int64)
            parts.append((shards, begin, begin + len(chunk) * per_slot - 1))
    if not parts:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing
    shards, begin, end = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _merge(shards, begin, end, size * per_slot)


def _merge(shards: Ints, begin: Ints, end: Ints, gap: int) -> tuple[Ints, Ints, Ints]:
    """Join spans of a shard that are at most ``gap`` apart."""
    order = np.lexsort((begin, shards))
    shards, begin, end = shards[order], begin[order], end[order]
    # One running maximum serves all shards: each shard's times are lifted above those of the shards before.
    lift = shards * (int(end.max(initial=0)) + gap + 2)
    reach = np.maximum.accumulate(end + lift)
    starts = np.append(True, (begin + lift)[1:] > reach[:-1] + gap)
    starts[1:] |= np.diff(shards) != 0
    edges = np.flatnonzero(starts)
    return shards[edges], begin[edges], np.maximum.reduceat(end, edges)
