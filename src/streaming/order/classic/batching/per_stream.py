"""Every global batch holds samples of one stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.batching.common import (
    deal_batches,
    full_rows,
    shuffle_rows,
    stream_work,
    traversal,
)
from streaming.order.spec import Layout, OrderSpec

__all__ = ["generate_work_per_stream_batching"]


def generate_work_per_stream_batching(
    spec: OrderSpec, layout: Layout, epoch: int, sample_in_epoch: int
) -> NDArray[np.int64]:
    """See :func:`streaming.order.classic.batching.generate_work`.

    Raises:
        ConfigError: A stream does not fill a single global batch.
    """
    global_batch = spec.batch_size * layout.num_ranks
    rows: list[NDArray[np.int64]] = []
    for stream in range(spec.num_streams):
        work = stream_work(spec, layout, epoch, stream, spec.batch_size)
        part = full_rows(traversal(work).reshape(-1, global_batch), "global batch", stream)
        if not len(part):
            raise ConfigError(
                f"Stream {stream} has fewer samples than the global batch of {global_batch}, so per_stream batching would "
                "never serve it. Use a smaller batch, draw more of the stream, or batching_method='random'."
            )
        rows.append(part)
    seed = spec.shuffle_seed + epoch if spec.epoch_seed_change else spec.shuffle_seed
    dealt = shuffle_rows(rows, np.random.default_rng(seed))
    return deal_batches(dealt, spec, layout, sample_in_epoch)
