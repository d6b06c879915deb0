"""How well lanes shuffle, and how evenly they need shards."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from lanes_cases import all_ids, make_spec

from streaming.order.lanes import LanesEpoch

EQUAL = [1000] * 400
RAGGED = np.random.default_rng(0).integers(100, 3000, 400).tolist()


@pytest.mark.parametrize("sizes", [EQUAL, RAGGED], ids=["equal", "ragged"])
@pytest.mark.parametrize("lanes", [16, 30, 64, 100])
def test_shards_open_one_by_one(sizes: list[int], lanes: int) -> None:
    mean = sum(sizes) // len(sizes)
    epoch = LanesEpoch(make_spec([sizes], shuffle_block_size=lanes * mean), 0)
    shard = epoch.shard_of(all_ids(epoch))
    assert len(np.unique(shard[:32])) <= 8
    assert epoch.max_open_shards() == pytest.approx(lanes, abs=1)
    first = np.sort(np.unique(shard, return_index=True)[1])
    opened = np.histogram(first, bins=np.arange(0, epoch.total, 4 * mean))[0]
    # Four would be even; the first lanes come on top, and the openings that widen the window.
    assert opened.max() <= 8 + 4 * 4
    steady = opened[len(opened) // 3 : -len(opened) // 3]
    assert steady.max() <= (6 if sizes is EQUAL else 12)


def test_a_batch_draws_on_many_shards() -> None:
    epoch = LanesEpoch(make_spec([EQUAL], shuffle_block_size=1 << 17), 0)
    shard = epoch.shard_of(epoch.ids(np.arange(200_000, 200_000 + 3200))).reshape(-1, 32)
    # A full shuffle of 400 shards gives 30.8.
    assert np.mean([len(np.unique(row)) for row in shard]) > 30


def test_few_shards_are_read_twice() -> None:
    epoch = LanesEpoch(make_spec([[1000] * 2000], shuffle_block_size=64_000), 0)
    _, first, last = epoch.shard_windows()
    assert np.mean(last - first > epoch.total // 2) < 64 / 2000


@pytest.mark.parametrize("change", ["seed", "epoch", "both"])
def test_neighbouring_seeds_and_epochs_share_nothing(change: str) -> None:
    spec = make_spec([[500] * 60], shuffle_block_size=8000, shuffle_seed=11)
    other = make_spec([[500] * 60], shuffle_block_size=8000, shuffle_seed=11 + (change != "epoch"))
    one, two = all_ids(LanesEpoch(spec, 3)), all_ids(LanesEpoch(other, 3 + (change != "seed")))
    assert (one == two).sum() < 12
    # Neighbours within a shard: the same samples do not follow each other again.
    follows = np.empty(len(one), np.int64)
    follows[one[:-1]] = one[1:]
    assert (follows[two[:-1]] == two[1:]).sum() < 12


def test_order_within_shards_is_not_shared() -> None:
    spec = make_spec([[2000] * 4])
    places: list[np.ndarray] = []
    for number in range(4):
        ids = all_ids(LanesEpoch(spec, number))
        for shard in range(4):
            places.append(np.argsort(ids[ids // 2000 == shard]))
    corr = np.corrcoef(np.stack(places))
    assert np.abs(corr - np.eye(len(places))).max() < 0.1


def test_a_large_dataset_needs_little_memory() -> None:
    spec = make_spec([np.full(10**5, 10**4)])
    tracemalloc.start()
    epoch = LanesEpoch(spec, 0)
    ids = epoch.ids(np.arange(5 * 10**8, 5 * 10**8 + 10_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert len(np.unique(ids)) == 10_000
    for position in (0, 123, 9_999):
        assert epoch.positions(int(ids[position])).tolist() == [5 * 10**8 + position]


def test_numbers_near_the_limit() -> None:
    spec = make_spec([[2**31 - 1] * 1000, [2**20] * 3], num_canonical_nodes=7)
    epoch = LanesEpoch(spec, 0)
    positions = np.random.default_rng(0).integers(0, epoch.total, 200)
    ids = epoch.ids(positions)
    for position, sample in zip(positions[:5].tolist(), ids[:5].tolist(), strict=True):
        assert epoch.positions(sample).tolist() == [position]
