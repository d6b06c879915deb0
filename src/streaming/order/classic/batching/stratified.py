"""Every global batch holds each stream's exact share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.batching.common import (
    deal_batches,
    full_rows,
    stream_work,
    traversal,
)
from streaming.order.spec import Layout, OrderSpec

__all__ = ["generate_work_stratified_batching"]


def generate_work_stratified_batching(
    spec: OrderSpec, layout: Layout, epoch: int, sample_in_epoch: int
) -> NDArray[np.int64]:
    """See :func:`streaming.order.classic.batching.generate_work`.

    Raises:
        ConfigError: A stream's share of a global batch is less than a sample.
    """
    global_batch = spec.batch_size * layout.num_ranks
    exact = global_batch * spec.proportion
    shares = exact.astype(np.int64)
    missing = global_batch - int(shares.sum())
    if missing:
        shares[np.flip(np.argsort(exact - shares))[:missing]] += 1
    for stream in np.flatnonzero(shares <= 0).tolist():
        raise ConfigError(
            f"Stream {stream} has proportion {spec.proportion[stream]:.4g}, less than a sample of the global batch of "
            f"{global_batch}. Use a larger batch, a larger proportion, or batching_method='random'."
        )
    alone = Layout(1, layout.ranks_per_node, layout.workers_per_rank)
    rows: list[NDArray[np.int64]] = []
    for stream, share in enumerate(shares.tolist()):
        flat = traversal(stream_work(spec, alone, epoch, stream, 1))
        flat = np.concatenate([flat, np.full(-len(flat) % share, -1, np.int64)])
        rows.append(full_rows(flat.reshape(-1, share), "share of a global batch", stream))
    batches = min(len(part) for part in rows)
    table = np.concatenate([part[:batches] for part in rows], axis=1)
    return deal_batches(table, spec, layout, sample_in_epoch)
