"""Datasets for the tests of the lanes order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from streaming.order.lanes import LanesEpoch
from streaming.order.spec import Layout, OrderSpec


def make_spec(streams: Sequence[Sequence[int]], choose: Sequence[int] | None = None, **changes: Any) -> OrderSpec:
    sizes = [int(np.sum(stream)) for stream in streams]
    chosen = np.array(sizes if choose is None else choose, np.int64)
    settings: dict[str, Any] = {
        "batch_size": 4,
        "num_canonical_nodes": 1,
        "shuffle": True,
        "shuffle_algo": "lanes",
        "shuffle_seed": 9176,
        "shuffle_block_size": 1 << 18,
        "proportion": chosen / max(int(chosen.sum()), 1),
        **changes,
    }
    return OrderSpec(
        samples_per_shard=np.concatenate([np.asarray(stream, np.int64) for stream in streams]),
        shards_per_stream=np.array([len(stream) for stream in streams], np.int64),
        choose=chosen,
        epoch_size=int(chosen.sum()),
        **settings,
    )


def all_ids(epoch: LanesEpoch) -> NDArray[np.int64]:
    return epoch.ids(np.arange(epoch.total))


def stream_of(spec: OrderSpec, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    ends = spec.sample_offset_per_shard[spec.shard_offset_per_stream[1:]]
    return np.searchsorted(ends, ids, side="right")


def batches(
    epoch: LanesEpoch, layout: Layout, batch_size: int, sample_in_epoch: int = 0
) -> list[list[NDArray[np.int64]]]:
    """Positions of every global batch in turn, as one array per device, without empty ones."""
    workers = [
        [
            epoch.worker_positions(layout, node, rank, worker, sample_in_epoch)
            for node in range(layout.num_nodes)
            for rank in range(layout.ranks_per_node)
        ]
        for worker in range(layout.workers_per_rank)
    ]
    out: list[list[NDArray[np.int64]]] = []
    for begin in range(0, len(workers[0][0]), batch_size):
        for worker in workers:
            batch = [device.positions(begin, begin + batch_size) for device in worker]
            if any((part >= 0).any() for part in batch):
                out.append(batch)
    return out


def real(batch: list[NDArray[np.int64]]) -> list[int]:
    """The different positions of a global batch, ascending."""
    positions = np.unique(np.concatenate(batch))
    return positions[positions >= 0].tolist()


sizes = st.one_of(
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.lists(st.integers(0, 3), min_size=1, max_size=30).filter(any),
    st.builds(lambda size, count: [size] * count, st.integers(1, 100), st.integers(1, 12)),
)


@st.composite
def specs(draw: st.DrawFn, **changes: Any) -> OrderSpec:
    """Any spec for random batching."""
    streams = draw(st.lists(sizes, min_size=1, max_size=5))
    choose = None
    if draw(st.booleans()):
        choose = [draw(st.integers(0, 4 * sum(stream) + 1)) for stream in streams]
        choose[0] = max(choose[0], 1)
    settings: dict[str, Any] = {
        "num_canonical_nodes": draw(st.integers(1, 9)),
        "shuffle": draw(st.integers(0, 3)) > 0,
        "shuffle_seed": draw(st.integers(0, 2**70)),
        "shuffle_block_size": draw(st.integers(1, 500)),
        "sampling_method": draw(st.sampled_from(["balanced", "fixed"])),
        "sampling_granularity": draw(st.integers(1, 40)),
        **changes,
    }
    return make_spec(streams, choose, **settings)
