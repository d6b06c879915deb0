"""What the batching methods share."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.epoch import epoch_ids
from streaming.order.classic.partition import make_partition
from streaming.order.spec import Layout, OrderSpec

__all__ = ["block_size_of", "deal_batches", "full_rows", "shuffle_rows", "stream_work", "traversal"]

Ints = NDArray[np.int64]


def traversal(work: Ints) -> Ints:
    """Flatten ``int64[P, R, W, batches, B]`` in the order in which training consumes it."""
    return work.transpose(3, 2, 0, 1, 4).reshape(-1)


def stream_work(spec: OrderSpec, layout: Layout, epoch: int, stream: int, batch_size: int) -> Ints:
    """Split one stream's share of an epoch as if it were alone, its block size in proportion.

    Returns:
        ``int64[P, R, W, batches, batch_size]``, sample ids, -1 for padding.
    """
    ids = epoch_ids(spec, epoch, stream, block_size_of(spec, stream))
    partition = make_partition(
        spec.partition_algo,
        int(spec.choose[stream]),
        spec.num_canonical_nodes,
        layout.num_nodes,
        layout.ranks_per_node,
        layout.workers_per_rank,
        batch_size,
        0,
        spec.initial_physical_nodes,
    )
    return partition.table(ids)


def block_size_of(spec: OrderSpec, stream: int) -> int:
    """Return the stream's proportion of the shuffle block size."""
    return int(spec.shuffle_block_size * spec.proportion[stream])


def full_rows(rows: Ints, what: str, stream: int) -> Ints:
    """Return as many leading rows as there are rows without padding; warn if samples are left out."""
    full = int((rows.min(axis=1) >= 0).sum())
    lost = int((rows[full:] >= 0).sum())
    if lost:
        warnings.warn(
            f"Stream {stream} does not fill its last {what}; {lost} of its samples are not served in this epoch.",
            stacklevel=4,
        )
    return rows[:full]


def shuffle_rows(rows: list[Ints], rng: np.random.Generator) -> Ints:
    """Deal the streams' rows in a random order of streams; each stream's own order stays."""
    counts = [len(part) for part in rows]
    origins = np.repeat(np.arange(len(rows)), counts)
    rng.shuffle(origins)
    dealt = np.empty((len(origins), rows[0].shape[1]), np.int64)
    for stream, part in enumerate(rows):
        dealt[origins == stream] = part
    return dealt


def deal_batches(rows: Ints, spec: OrderSpec, layout: Layout, sample_in_epoch: int) -> Ints:
    """Drop the global batches already consumed, and give the rest to nodes, ranks and workers.

    Args:
        rows: ``int64[batches, G]``, sample ids of each global batch.
        spec: The order.
        layout: Nodes, ranks and workers.
        sample_in_epoch: Samples already consumed.
    """
    global_batch = rows.shape[1]
    if sample_in_epoch % global_batch:
        warnings.warn(
            f"{sample_in_epoch} samples are consumed, which is not a multiple of the global batch of {global_batch}: some "
            "samples are served again.",
            stacklevel=4,
        )
    rows = rows[sample_in_epoch // global_batch :]
    missing = -len(rows) % layout.workers_per_rank
    rows = np.concatenate([rows, np.full((missing, global_batch), -1, np.int64)])
    shape = (
        -1,
        layout.workers_per_rank,
        layout.num_nodes,
        layout.ranks_per_node,
        spec.batch_size,
    )
    return rows.reshape(shape).transpose(2, 3, 1, 0, 4)
