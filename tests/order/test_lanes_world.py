"""Lanes over nodes, ranks and workers: batching methods, elasticity, resumption."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lanes_cases import all_ids, batches, make_spec, real, sizes, stream_of

from streaming.core.errors import ConfigError
from streaming.order.lanes import LanesEpoch
from streaming.order.spec import Layout

from budget import share

GLOBAL_BATCH = 48
METHODS = ("random", "stratified", "per_stream", "device_per_stream")

layouts = st.sampled_from([(1, 1, 1), (1, 1, 3), (2, 2, 3), (3, 2, 1), (4, 4, 2), (1, 6, 2), (2, 1, 1), (6, 8, 1)]).map(
    lambda counts: Layout(*counts)
)


@st.composite
def settings_of(draw: st.DrawFn) -> dict[str, Any]:
    streams = draw(st.lists(sizes, min_size=1, max_size=4))
    choose = [draw(st.integers(2 * GLOBAL_BATCH, 3 * GLOBAL_BATCH + 2 * sum(s))) for s in streams]
    return {
        "streams": streams,
        "choose": choose,
        "num_canonical_nodes": draw(st.integers(1, 5)),
        "shuffle": draw(st.booleans()),
        "shuffle_block_size": draw(st.integers(1, 200)),
    }


def make(settings: dict[str, Any], method: str, layout: Layout) -> LanesEpoch:
    batch_size = GLOBAL_BATCH // layout.num_ranks
    spec = make_spec(**settings, batching_method=method, batch_size=batch_size)
    return LanesEpoch(spec, 1, GLOBAL_BATCH)


@share(0.4)
@given(settings_of(), st.sampled_from(METHODS), layouts, st.integers(0, 12))
def test_batches_hold_all_positions_and_resume(case: dict[str, Any], method: str, layout: Layout, done: int) -> None:
    epoch = make(case, method, layout)
    size = GLOBAL_BATCH // layout.num_ranks
    found = batches(epoch, layout, size)
    expected = [list(range(k, min(k + GLOBAL_BATCH, epoch.total))) for k in range(0, epoch.total, GLOBAL_BATCH)]
    assert [real(batch) for batch in found] == expected
    resumed = batches(epoch, layout, size, done * GLOBAL_BATCH)
    assert len(resumed) == max(len(found) - done, 0)
    for before, after in zip(found[done:], resumed, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@share(0.6)
@given(settings_of(), st.sampled_from(METHODS[:3]), layouts, layouts, st.integers(0, 6))
def test_global_batches_do_not_depend_on_the_world(
    case: dict[str, Any], method: str, one: Layout, other: Layout, done: int
) -> None:
    samples: list[list[list[int]]] = []
    for layout, sample_in_epoch in ((one, 0), (other, done * GLOBAL_BATCH)):
        epoch = make(case, method, layout)
        size = GLOBAL_BATCH // layout.num_ranks
        found = batches(epoch, layout, size, sample_in_epoch)
        samples.append([np.sort(epoch.ids(np.array(real(b)))).tolist() for b in found])
    assert samples[0][done:] == samples[1]


@share(0.4)
@given(settings_of(), st.sampled_from(METHODS), layouts)
def test_ranks_serve_equally_many_samples(case: dict[str, Any], method: str, layout: Layout) -> None:
    epoch = make(case, method, layout)
    counts: set[int] = set()
    for node in range(layout.num_nodes):
        for rank in range(layout.ranks_per_node):
            workers = [epoch.worker_ids(layout, node, rank, worker) for worker in range(layout.workers_per_rank)]
            ids = [worker.ids(0, len(worker)) for worker in workers]
            counts.add(int(sum((part >= 0).sum() for part in ids)))
            # Empty slots only come after all others.
            assert all((np.diff((part >= 0).astype(np.int64)) <= 0).all() for part in ids)
    assert counts == {-(-epoch.total // layout.num_ranks)}


@share(0.6)
@given(settings_of(), st.sampled_from(METHODS[1:]), layouts, st.data())
def test_whole_batch_methods_invert_and_know_their_windows(
    case: dict[str, Any], method: str, layout: Layout, data: st.DataObject
) -> None:
    epoch = make(case, method, layout)
    spec = make_spec(**case)
    ids = all_ids(epoch)
    assert epoch.total % GLOBAL_BATCH == 0
    assert epoch.dropped == spec.epoch_size - epoch.total >= 0
    times = np.bincount(ids, minlength=spec.num_samples)
    most = -(-spec.choose // np.maximum(spec.samples_per_stream, 1))
    assert (times <= most[stream_of(spec, np.arange(spec.num_samples))]).all()
    for _ in range(3):
        sample = data.draw(st.integers(0, spec.num_samples - 1))
        assert epoch.positions(sample).tolist() == np.flatnonzero(ids == sample).tolist()
    of_position = epoch.shard_of(ids)
    shards, first, last = epoch.shard_windows()
    assert set(np.unique(of_position)) <= set(shards.tolist())
    for shard, low, high in zip(shards, first, last, strict=True):
        at = np.flatnonzero(of_position == shard)
        assert len(at) == 0 or (low <= at[0] and at[-1] <= high)


@share(0.2)
@given(settings_of(), layouts)
def test_stratified_devices_get_their_share(case: dict[str, Any], layout: Layout) -> None:
    epoch = make(case, "stratified", layout)
    spec = make_spec(**case)
    streams = stream_of(spec, all_ids(epoch)).reshape(-1, GLOBAL_BATCH)
    share = np.bincount(streams[0], minlength=spec.num_streams)
    assert (np.abs(share - spec.proportion * GLOBAL_BATCH) < 1).all()
    assert (np.sort(streams) == np.sort(streams[0])).all()
    size = GLOBAL_BATCH // layout.num_ranks
    for batch in batches(epoch, layout, size):
        for device in batch:
            counts = np.bincount(stream_of(spec, epoch.ids(device)), minlength=spec.num_streams)
            assert (np.abs(counts - share / layout.num_ranks) < 2).all()


@share(0.4)
@given(settings_of(), layouts)
def test_batches_of_one_stream(case: dict[str, Any], layout: Layout) -> None:
    spec = make_spec(**case)
    streams = stream_of(spec, all_ids(make(case, "per_stream", layout))).reshape(-1, GLOBAL_BATCH)
    assert (streams == streams[:, :1]).all()
    counts = np.bincount(streams[:, 0], minlength=spec.num_streams)
    assert np.array_equal(counts, spec.choose // GLOBAL_BATCH)
    epoch = make(case, "device_per_stream", layout)
    for batch in batches(epoch, layout, GLOBAL_BATCH // layout.num_ranks):
        for device in batch:
            assert len(set(stream_of(spec, epoch.ids(device)))) == 1


def test_devices_of_one_stream_read_only_their_nodes_shards() -> None:
    spec = make_spec(
        [[100] * 40, [100] * 40],
        num_canonical_nodes=4,
        batching_method="device_per_stream",
        batch_size=4,
    )
    epoch = LanesEpoch(spec, 0, 32)
    layout = Layout(2, 4, 1)
    read = [
        {shard for rank in range(4) for shard in epoch.shard_of(epoch.worker_ids(layout, node, rank, 0).ids(0, 10**6))}
        for node in range(2)
    ]
    assert len(read[0] & read[1] - {-1}) <= 8


def test_a_batch_that_was_begun_is_served_again() -> None:
    spec = make_spec([[100] * 4], batching_method="per_stream", batch_size=8)
    epoch = LanesEpoch(spec, 0, 16)
    layout = Layout(1, 2, 1)
    assert epoch.worker_positions(layout, 0, 0, 0, 21).positions(0, 1).tolist() == [16]
    assert len(epoch.worker_positions(layout, 0, 0, 0, 10**6)) == 0


@pytest.mark.parametrize(
    ("method", "choose", "batch_size", "ranks", "text"),
    [
        ("stratified", [1000, 1], 4, 4, "no sample of a global batch of 16"),
        ("stratified", [1000, 0], 4, 4, "no sample of a global batch of 16"),
        ("stratified", [7, 7], 4, 4, "no full batch"),
        ("per_stream", [1000, 15], 4, 4, "no full batch in stream 1"),
        ("per_stream", [1000, 0], 4, 4, "no full batch in stream 1"),
        ("device_per_stream", [1000, 3], 4, 4, "no full batch in stream 1"),
        ("device_per_stream", [4, 4], 4, 4, "no full batch"),
    ],
)
def test_streams_that_fill_no_batch(method: str, choose: list[int], batch_size: int, ranks: int, text: str) -> None:
    spec = make_spec([[50], [50]], choose, batching_method=method, batch_size=batch_size)
    with pytest.raises(ConfigError, match=text):
        LanesEpoch(spec, 0, batch_size * ranks)


def test_global_batch_size_must_fit() -> None:
    spec = make_spec([[500]], batching_method="per_stream", batch_size=4)
    with pytest.raises(ConfigError, match="pass global_batch_size"):
        LanesEpoch(spec, 0)
    with pytest.raises(ConfigError, match="Make it anew"):
        LanesEpoch(spec, 0, 8).worker_positions(Layout(1, 4, 1), 0, 0, 0)
    spec = make_spec([[500]], batching_method="stratified", batch_size=4)
    with pytest.raises(ConfigError, match="multiple of batch_size 4"):
        LanesEpoch(spec, 0, 10)
