"""An epoch of lanes: what is served, how often, and when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lanes_cases import all_ids, make_spec, specs, stream_of

from streaming.core.errors import ConfigError
from streaming.order.lanes import LanesEpoch
from streaming.order.lanes.sampling import draw
from streaming.order.spec import OrderSpec

from budget import share


@share(1.2)
@given(specs(), st.integers(0, 5))
def test_every_sample_comes_as_often_as_it_should(spec: OrderSpec, number: int) -> None:
    epoch = LanesEpoch(spec, number)
    ids = all_ids(epoch)
    times = np.bincount(ids, minlength=spec.num_samples)
    stream = stream_of(spec, np.arange(spec.num_samples))
    assert epoch.total == spec.epoch_size
    assert epoch.dropped == 0
    for s in range(spec.num_streams):
        of_stream = times[stream == s]
        assert of_stream.sum() == spec.choose[s]
        assert len(of_stream) == 0 or of_stream.max() - of_stream.min() <= 1


@share(0.8)
@given(specs(), st.integers(0, 2), st.data())
def test_positions_undoes_ids(spec: OrderSpec, number: int, data: st.DataObject) -> None:
    epoch = LanesEpoch(spec, number)
    ids = all_ids(epoch)
    for _ in range(4):
        sample = data.draw(st.integers(0, spec.num_samples - 1))
        assert epoch.positions(sample).tolist() == np.flatnonzero(ids == sample).tolist()


@share(0.6)
@given(specs(), st.data())
def test_any_positions_in_any_order(spec: OrderSpec, data: st.DataObject) -> None:
    ids = all_ids(LanesEpoch(spec, 1))
    asked = np.array(data.draw(st.lists(st.integers(-1, len(ids) - 1), max_size=20)), np.int64)
    expected = np.where(asked < 0, -1, ids[asked])
    assert np.array_equal(LanesEpoch(spec, 1).ids(asked), expected)
    piecemeal = LanesEpoch(spec, 1)
    assert [int(piecemeal.ids(asked[i : i + 1])[0]) for i in range(len(asked))] == expected.tolist()


@share(0.6)
@given(specs(), st.data())
def test_shard_windows_hold_every_need(spec: OrderSpec, data: st.DataObject) -> None:
    epoch = LanesEpoch(spec, 2)
    start = data.draw(st.integers(0, epoch.total - 1))
    stop = data.draw(st.integers(start + 1, epoch.total))
    node = data.draw(st.one_of(st.none(), st.integers(0, spec.num_canonical_nodes - 1)))
    shards, first, last = epoch.shard_windows(start, stop, node)
    window = {s: (f, t) for s, f, t in zip(shards.tolist(), first.tolist(), last.tolist())}
    assert len(window) == len(shards)
    assert np.array_equal(first, np.sort(first))
    asked = np.arange(start, stop)
    if node is not None:
        asked = asked[asked % spec.num_canonical_nodes == node]
    needed = epoch.shard_of(epoch.ids(asked))
    for shard in np.unique(needed).tolist():
        at = asked[needed == shard]
        low, high = window[shard]
        assert start <= low <= at[0]
        assert at[-1] <= high < stop


def test_shard_windows_are_narrow() -> None:
    spec = make_spec([[500] * 200], shuffle_block_size=10_000)
    epoch = LanesEpoch(spec, 0)
    of_position = epoch.shard_of(all_ids(epoch))
    for shard, first, last in zip(*epoch.shard_windows(), strict=True):
        at = np.flatnonzero(of_position == shard)
        assert (first, last) == (at[0], at[-1])


def test_at_most_the_stated_number_of_shards_is_open() -> None:
    spec = make_spec([[500] * 200, [100] * 50], num_canonical_nodes=2, shuffle_block_size=10_000)
    epoch = LanesEpoch(spec, 0)
    lanes, _ = epoch._lanes_of(np.arange(2))
    _, group, first, last = lanes.spans()
    most = 0
    for g in range(4):
        change = np.zeros(int(last[group == g].max()) + 2, np.int64)
        np.add.at(change, first[group == g], 1)
        np.add.at(change, last[group == g] + 1, -1)
        most += int(np.cumsum(change).max())
    assert most <= epoch.max_open_shards()
    assert epoch.max_open_shards() == epoch.max_open_shards(0) + epoch.max_open_shards(1)


@share(0.4)
@given(specs(shuffle=False))
def test_unshuffled_nodes_read_each_stream_in_order(spec: OrderSpec) -> None:
    epoch = LanesEpoch(spec, 0)
    ids = all_ids(epoch)
    for node in range(spec.num_canonical_nodes):
        of_node = ids[node :: spec.num_canonical_nodes]
        for s in range(spec.num_streams):
            shards = epoch.shard_of(of_node[stream_of(spec, of_node) == s])
            assert (np.diff(shards) >= 0).all()


def test_one_unshuffled_stream_is_in_order() -> None:
    assert all_ids(LanesEpoch(make_spec([[3, 4, 5]], shuffle=False), 3)).tolist() == list(range(12))


def test_a_node_reads_the_same_shards_in_every_epoch() -> None:
    sizes = np.random.default_rng(0).integers(100, 3000, 200).tolist()
    for choose in (None, [sum(sizes) // 3], [sum(sizes) * 2 + 5]):
        spec = make_spec([sizes], choose, num_canonical_nodes=4)
        read: list[list[set[int]]] = []
        for number in range(2):
            epoch = LanesEpoch(spec, number)
            ids = all_ids(epoch)
            read.append([set(epoch.shard_of(ids[c::4]).tolist()) for c in range(4)])
        for c in range(4):
            assert len(read[0][c] ^ read[1][c]) <= 2
            assert len(read[0][c]) < 60


@pytest.mark.parametrize("granularity", [1, 7, 100, 1000])
def test_sampling_is_balanced_over_shards(granularity: int) -> None:
    spec = make_spec([[100] * 40], [1234], sampling_granularity=granularity, num_canonical_nodes=3)
    taken = [draw(spec, number).partial for number in range(2)]
    for counts in taken:
        assert counts.sum() == 1234
        assert counts.max() - counts.min() <= min(granularity, 100)
    assert not np.array_equal(*taken)
    # Only the last granule of each node is not whole.
    assert (taken[0] % min(granularity, 100) > 0).sum() <= 3


def test_sampling_method_says_whether_the_choice_changes() -> None:
    for shuffle in (True, False):
        for method in ("balanced", "fixed"):
            spec = make_spec([[50, 60, 70]], [90], shuffle=shuffle, sampling_method=method)
            first, second = (all_ids(LanesEpoch(spec, number)) for number in range(2))
            assert (set(first) == set(second)) == (method == "fixed")
            assert np.array_equal(first, second) == (method == "fixed" and not shuffle)


def test_tiny_epochs() -> None:
    for nodes in (1, 3):
        epoch = LanesEpoch(make_spec([[1]], num_canonical_nodes=nodes), 0)
        assert all_ids(epoch).tolist() == [0]
        assert epoch.positions(0).tolist() == [0]
        assert [column.tolist() for column in epoch.shard_windows()] == [[0], [0], [0]]
    assert len(LanesEpoch(make_spec([[5]]), 0).ids(np.empty(0, np.int64))) == 0


def test_wrong_questions() -> None:
    epoch = LanesEpoch(make_spec([[5]]), 0)
    with pytest.raises(ConfigError, match="past the end"):
        epoch.ids(np.array([5]))
    with pytest.raises(ConfigError, match="no sample 5"):
        epoch.positions(5)
    with pytest.raises(ConfigError, match="epoch"):
        LanesEpoch(make_spec([[5]]), -1)
    with pytest.raises(ConfigError, match="Stream 1 has no samples"):
        LanesEpoch(make_spec([[5], [0]], [5, 1]), 0)
    with pytest.raises(ConfigError, match="too large"):
        LanesEpoch(make_spec([[2**50]]), 0)
    with pytest.raises(ConfigError, match="repeat"):
        LanesEpoch(make_spec([[1]], [2**23]), 0)
