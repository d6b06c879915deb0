"""What the measurements of orders share: the orders compared, their specs, and the ids of an epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.queries.plan import EpochOrder
from streaming.order.spec import Layout, OrderSpec

Ints = NDArray[np.int64]

#: Not an algorithm: the samples as they were written.
UNSHUFFLED = "none"
SEED = 9176


def make_spec(
    algo: str,
    num_shards: int,
    shard_size: int,
    block_size: int,
    *,
    num_canonical_nodes: int = 1,
    batch_size: int = 32,
    seed: int = SEED,
) -> OrderSpec:
    """Return the order of one stream of equal shards, each sample once an epoch."""
    total = num_shards * shard_size
    return OrderSpec(
        samples_per_shard=np.full(num_shards, shard_size, np.int64),
        shards_per_stream=np.array([num_shards], np.int64),
        choose=np.array([total], np.int64),
        proportion=np.ones(1),
        epoch_size=total,
        batch_size=batch_size,
        num_canonical_nodes=num_canonical_nodes,
        shuffle=algo != UNSHUFFLED,
        shuffle_algo="py1e" if algo == UNSHUFFLED else algo,
        shuffle_seed=seed,
        shuffle_block_size=block_size,
    )


def ids_per_node(spec: OrderSpec, num_nodes: int = 1, epoch: int = 0) -> list[Ints]:
    """Return the samples that each node serves, of one rank each, in order and without padding."""
    order = EpochOrder(spec, epoch, Layout(num_nodes))
    served: list[Ints] = []
    for node in range(num_nodes):
        worker = order.worker_ids(node, 0, 0)
        ids = worker.ids(0, len(worker))
        served.append(ids[ids >= 0])
    return served


def epoch_ids(spec: OrderSpec, epoch: int = 0) -> Ints:
    """Return all samples of an epoch, in the order in which training sees them."""
    return ids_per_node(spec, epoch=epoch)[0][: spec.epoch_size]
