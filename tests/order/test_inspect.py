"""Asking the order gives the answers that training acts on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.order.queries.inspect import EpochInspector
from streaming.order.queries.plan import EpochOrder
from streaming.order.skips import Skips
from streaming.order.spec import Layout, OrderSpec

from budget import share

ALGOS = ["lanes", "py1e", "naive"]


def make_spec(algo: str, sizes: list[int], batch: int, canonical: int = 2, **kwargs: Any) -> OrderSpec:
    total = sum(sizes)
    arguments: dict[str, Any] = {
        "samples_per_shard": np.array(sizes, np.int64),
        "shards_per_stream": np.array([len(sizes)], np.int64),
        "choose": np.array([total], np.int64),
        "proportion": np.ones(1),
        "epoch_size": total,
        "batch_size": batch,
        "num_canonical_nodes": canonical,
        "shuffle": True,
        "shuffle_algo": algo,
        "shuffle_seed": 5,
        "shuffle_block_size": 64,
    }
    return OrderSpec(**{**arguments, **kwargs})


@pytest.mark.parametrize("algo", ALGOS)
@pytest.mark.parametrize("shuffle", [True, False])
@given(data=st.data())
@share(0.15)
def test_batches_are_what_workers_serve(algo: str, shuffle: bool, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(5, 40), min_size=2, max_size=8))
    nodes, ranks, workers = data.draw(st.sampled_from([(1, 1, 1), (1, 2, 3), (2, 2, 2), (2, 1, 1)]))
    spec = make_spec(algo, sizes, 3, shuffle=shuffle)
    inspector = EpochInspector(spec, 1, nodes, ranks)
    order = EpochOrder(spec, 1, Layout(nodes, ranks, workers))
    for node in range(nodes):
        for rank in range(ranks):
            for worker in range(workers):
                ids = order.worker_ids(node, rank, worker)
                served = ids.ids(0, len(ids)).reshape(-1, 3)
                for b, row in enumerate(served):
                    batch = b * workers + worker
                    if batch < inspector.num_batches:
                        assert inspector.batch(batch)[node * ranks + rank].tolist() == row.tolist()
                    else:
                        assert (row == -1).all()


@pytest.mark.parametrize("algo", ALGOS)
def test_find_is_the_inverse(algo: str) -> None:
    spec = make_spec(algo, [13, 40, 7, 60], 3)
    for nodes, ranks in ((1, 1), (2, 2), (1, 4)):
        inspector = EpochInspector(spec, 2, nodes, ranks)
        for sample in range(120):
            places = inspector.find(sample)
            assert places
            for place in places:
                assert inspector.batch(place.batch)[place.rank, place.slot] == sample
    with pytest.raises(ValueError, match="120"):
        inspector.find(120)


@pytest.mark.parametrize("algo", ALGOS)
def test_shards_needed(algo: str) -> None:
    sizes = [13, 40, 7, 60, 25, 25]
    spec = make_spec(algo, sizes, 2)
    inspector = EpochInspector(spec, 0, 2, 2)
    ends = np.cumsum(sizes)
    needs = inspector.shards_needed(3, 9)
    expected: dict[int, list[int]] = {}
    for batch in range(3, 9):
        for sample in inspector.batch(batch).ravel().tolist():
            if sample >= 0:
                expected.setdefault(int(np.searchsorted(ends, sample, side="right")), []).append(batch)
    found = {
        s: (a, b)
        for s, a, b in zip(needs.shards.tolist(), needs.first_batch.tolist(), needs.last_batch.tolist(), strict=True)
    }
    assert found == {shard: (min(b), max(b)) for shard, b in expected.items()}
    assert needs.first_batch.tolist() == sorted(needs.first_batch.tolist())
    both = [set(inspector.shards_needed(3, 9, node).shards.tolist()) for node in range(2)]
    assert both[0] | both[1] == set(expected)
    assert 1 <= needs.max_open() <= len(sizes)
    assert inspector.shards_needed(0, 0).max_open() == 0


def test_no_such_batch() -> None:
    inspector = EpochInspector(make_spec("lanes", [20], 4), 0, 1, 1)
    assert inspector.num_batches == 5
    assert inspector.batch(-1).tolist() == inspector.batch(4).tolist()
    for bad in (5, -6):
        with pytest.raises(IndexError, match="5 global batches"):
            inspector.batch(bad)


@pytest.mark.parametrize("algo", ALGOS)
@given(data=st.data())
@share(0.25)
def test_skipped_batches_are_left_out_on_every_rank(algo: str, data: st.DataObject) -> None:
    spec = make_spec(algo, [30, 50, 45], 2)
    nodes, ranks, workers = data.draw(st.sampled_from([(1, 1, 1), (1, 2, 3), (2, 2, 2)]))
    global_batch = 2 * nodes * ranks
    inspector = EpochInspector(spec, 0, nodes, ranks)
    total = inspector.num_batches
    ranges = data.draw(
        st.lists(st.tuples(st.integers(0, total), st.integers(1, 6)).map(lambda r: (r[0], r[0] + r[1])), max_size=4)
    )
    skips = Skips.of_batches(ranges, global_batch)
    kept = [b for b in range(total) if not any(low <= b < high for low, high in ranges)]
    done = data.draw(st.integers(0, len(kept)))
    # At its end, an epoch counts as many samples for every rank, and no more.
    every = np.stack([inspector.batch(b) for b in range(total)])
    most = nodes * ranks * int((every >= 0).sum((0, 2)).max())
    consumed = done * global_batch if skips else min(done * global_batch, most)
    order = EpochOrder(spec, 0, Layout(nodes, ranks, workers))
    for node in range(nodes):
        for rank in range(ranks):
            queues = []
            for worker in range(workers):
                ids = order.worker_ids(node, rank, worker, consumed, skips)
                queues.append(ids.ids(0, len(ids)).reshape(-1, 2).tolist())
            served = []
            step = 0
            while any(queues):
                queue = queues[step % workers]
                if queue:
                    served.append(queue.pop(0))
                step += 1
            served = [row for row in served if row != [-1, -1]]
            assert served == [inspector.batch(b)[node * ranks + rank].tolist() for b in kept[done:]]


def test_bad_skips() -> None:
    for bad in ([(3, 3)], [(-1, 2)], [(5, 4)]):
        with pytest.raises(ValueError, match="skip"):
            Skips(bad)
    with pytest.raises(ValueError, match="whole global batches"):
        Skips([(0, 5)]).kept_batches(4, 10)
    assert Skips([(8, 12), (0, 4), (4, 6)]).ranges == [[0, 6], [8, 12]]
    assert Skips([(8, 12), (0, 4)]).position_after(5) == 13
