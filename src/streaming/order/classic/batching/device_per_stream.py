"""Every rank's batch holds samples of one stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.batching.common import (
    block_size_of,
    deal_batches,
    full_rows,
    shuffle_rows,
    stream_work,
    traversal,
)
from streaming.order.spec import Layout, OrderSpec

__all__ = ["generate_work_device_per_stream_batching"]


def generate_work_device_per_stream_batching(
    spec: OrderSpec, layout: Layout, epoch: int, sample_in_epoch: int
) -> NDArray[np.int64]:
    """See :func:`streaming.order.classic.batching.generate_work`.

    Raises:
        ConfigError: The nodes do not divide the canonical nodes, or a stream does not fill a single batch.
    """
    canonical, nodes = spec.num_canonical_nodes, layout.num_nodes
    if canonical % nodes:
        raise ConfigError(
            f"device_per_stream batching needs num_canonical_nodes={canonical} to be a multiple of the {nodes} nodes."
        )
    each = Layout(canonical, layout.ranks_per_node, layout.workers_per_rank)
    streams: list[NDArray[np.int64]] = []
    for stream in range(spec.num_streams):
        if spec.shuffle and not block_size_of(spec, stream):
            raise ConfigError(
                f"Stream {stream} has proportion {spec.proportion[stream]:.4g}, which leaves nothing of "
                f"shuffle_block_size={spec.shuffle_block_size} for it. Use a larger block."
            )
        streams.append(stream_work(spec, each, epoch, stream, 1))
    seed = spec.shuffle_seed + epoch if spec.epoch_seed_change else spec.shuffle_seed
    rng = np.random.default_rng(seed)
    per_node = canonical // nodes
    batch = spec.batch_size
    by_node: list[list[NDArray[np.int64]]] = []
    for node in range(nodes):
        parts: list[NDArray[np.int64]] = []
        for stream, work in enumerate(streams):
            flat = traversal(work[node * per_node : (node + 1) * per_node])
            flat = np.concatenate([flat, np.full(batch - len(flat) % batch, -1, np.int64)])
            part = full_rows(flat.reshape(-1, batch), "batch", stream)
            if not len(part):
                raise ConfigError(
                    f"Stream {stream} does not fill a single batch of {batch} samples on node {node}. Use a smaller batch, "
                    "draw more of the stream, or batching_method='random'."
                )
            parts.append(part)
        by_node.append(parts)
    dealt = [shuffle_rows(parts, rng) for parts in by_node]
    longest = max(len(rows) for rows in dealt)
    longest += layout.num_ranks - longest % layout.num_ranks
    padded = [np.concatenate([rows, np.full((longest - len(rows), batch), -1, np.int64)]) for rows in dealt]
    table = np.stack(padded, axis=1).reshape(-1, batch * layout.num_ranks)
    return deal_batches(table, spec, layout, sample_in_epoch)
