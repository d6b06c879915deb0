"""The order of mixtures that change: pure numbers in, ids out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes_cases import make_spec, sizes, stream_of
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.queries.inspect import EpochInspector
from streaming.order.queries.plan import EpochOrder
from streaming.order.schedule import passes
from streaming.order.schedule.course import shares
from streaming.order.schedule.epoch import ScheduledEpoch
from streaming.order.skips import Kept, Skips
from streaming.order.spec import Layout, OrderSpec
from streaming.order.table import HORIZON, Record, steps_of

from budget import share

BATCH = 24
#: Worlds with global batches of 24: nodes, ranks per node, batch size.
WORLDS = [(1, 1, 24), (1, 2, 12), (2, 1, 12), (2, 2, 6), (3, 2, 4), (1, 4, 6)]


def scheduled(streams: Sequence[Sequence[int]], table: Sequence[Record], **changes: Any) -> OrderSpec:
    spec = replace(make_spec(streams, **changes), table=tuple(table))
    return replace(spec, epoch_size=changes.get("epoch_size", HORIZON))


@st.composite
def weights(draw: st.DrawFn, count: int, method: str = "random") -> tuple[float, ...]:
    least = 3 if method == "stratified" else 1  # a sample of 24 at least
    raw = draw(st.lists(st.just(0) | st.integers(least, 20), min_size=count, max_size=count).filter(any))
    return tuple(w / sum(raw) for w in raw)


@st.composite
def tables(draw: st.DrawFn, count: int, method: str) -> tuple[Record, ...]:
    lengths = [24 * n for n in draw(st.lists(st.integers(1, 30), min_size=1, max_size=5))]
    begins = np.cumsum([0, *lengths]).tolist()
    table: list[Record] = []
    for begin, end in zip(begins, [*begins[1:], HORIZON], strict=True):
        to = draw(weights(count, method)) if end < HORIZON and draw(st.booleans()) else None
        is_cut = to is None and draw(st.booleans())
        table.append(Record(begin, HORIZON if is_cut else end, draw(weights(count, method)), to))
    return tuple(table)


@st.composite
def specs(draw: st.DrawFn, **changes: Any) -> OrderSpec:
    streams = draw(st.lists(sizes, min_size=1, max_size=4))
    settings: dict[str, Any] = {
        "num_canonical_nodes": draw(st.sampled_from([1, 1, 2, 3, 6])),
        "shuffle": draw(st.integers(0, 3)) > 0,
        "shuffle_seed": draw(st.integers(0, 2**70)),
        "shuffle_block_size": draw(st.integers(1, 500)),
        "batching_method": draw(st.sampled_from(["random", "random", "stratified", "per_stream", "device_per_stream"])),
        "batch_size": 12,
        **changes,
    }
    return scheduled(streams, draw(tables(len(streams), settings["batching_method"])), **settings)


@pytest.fixture(scope="module", autouse=True, params=[60, 1 << 12], ids=["lanes", "whole"])
def _small(request: pytest.FixtureRequest) -> Iterator[None]:
    """Streams of the tests are small: once as if they were large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "SMALL", request.param)
        yield


def first_ids(spec: OrderSpec, count: int = 1200) -> NDArray[np.int64]:
    return ScheduledEpoch(spec, 0, BATCH).ids(np.arange(count))


given_specs = given(specs())


@given_specs
@share(0.25)
def test_random_access_both_ways(spec: OrderSpec) -> None:
    epoch = ScheduledEpoch(spec, 0, BATCH)
    ids = epoch.ids(np.arange(1200))
    places = np.random.default_rng(0).integers(0, 1200, 50)
    assert np.array_equal(epoch.ids(places), ids[places])
    for sample in {int(ids[0]), int(ids[1134]), spec.num_samples - 1}:
        assert epoch.positions(sample, 1200).tolist() == np.flatnonzero(ids == sample).tolist()


@given_specs
@share(0.25)
def test_shares_of_every_step_are_exact(spec: OrderSpec) -> None:
    spec = replace(spec, table=[replace(a, end=b.begin) for a, b in pairwise(spec.table)] + [spec.table[-1]])
    ids = first_ids(spec)
    steps = steps_of(spec.table, BATCH)
    unit = {"per_stream": BATCH, "device_per_stream": spec.batch_size}.get(spec.batching_method, 1)
    stream = stream_of(spec, ids)
    owed = np.zeros(spec.num_streams)
    for begin, end, share_ in zip(steps.begin, steps.until, steps.weights, strict=True):
        if end > len(ids):
            break
        counts = np.bincount(stream[begin:end], minlength=spec.num_streams)
        if spec.batching_method == "stratified":
            each = [np.bincount(batch, minlength=len(counts)) for batch in stream[begin:end].reshape(-1, BATCH)]
            assert (np.array(each) == each[0]).all()
            assert (abs(each[0] - share_ * BATCH) < 1 + 1e-6).all()
            continue
        assert (abs(counts - share_ * (end - begin)) < unit + 1e-6).all()
        owed += counts - share_ * (end - begin)
    assert (abs(owed) < 4 * unit).all()


@given(specs(), st.integers(1, 30), st.data())
@share(0.25)
def test_repeats_are_exact(spec: OrderSpec, cut: int, data: st.DataObject) -> None:
    """In each stream, to within what is interleaved in a block: eight elements of each canonical node."""
    # Of all streams there is enough after a change to serve what it has left out, in six blocks.
    raw = [data.draw(st.integers(4, 8)) for _ in range(spec.num_streams)]
    cut = cut * BATCH
    first = [record for record in spec.table if record.begin < cut]
    spec = replace(spec, table=(*first, Record(cut, HORIZON, tuple(w / sum(raw) for w in raw))))
    small = spec.samples_per_stream <= passes.SMALL
    block = {"stratified": BATCH, "per_stream": 8 * BATCH}.get(spec.batching_method)
    block = block or 8 * spec.num_canonical_nodes * (1 if spec.batching_method == "random" else spec.batch_size)
    ids = first_ids(spec, cut + 12 * block)
    edges = spec.sample_offset_per_shard[spec.shard_offset_per_stream]
    epoch = ScheduledEpoch(spec, 0, BATCH)
    for stop in range(cut + 6 * block, len(ids) + 1, block):
        counts = np.bincount(ids[:stop], minlength=spec.num_samples)
        if stop % BATCH == 0:
            assert epoch.route.given(stop).tolist() == [counts[a:b].sum() for a, b in pairwise(edges)]
        for (low, high), is_small in zip(pairwise(edges), small, strict=True):
            if is_small or spec.num_canonical_nodes == 1:
                assert counts[low:high].max() - counts[low:high].min() <= 1


@given(specs(batching_method="random"))
@share(0.25)
def test_no_draw_is_left_out(spec: OrderSpec) -> None:
    """Whatever is cut short: draws count on, but for those of the block in which it is."""
    epoch = ScheduledEpoch(spec, 0, BATCH)
    node, stream, draw = epoch.route.split(np.arange(1200))
    for k in range(spec.num_streams):
        is_small = spec.samples_per_stream[k] <= passes.SMALL
        for c in range(1 if is_small else spec.num_canonical_nodes):
            mine = np.sort(draw[(stream == k) & (is_small | (node == c))])
            assert len(np.unique(mine)) == len(mine)
            assert not len(mine) or mine[-1] < len(mine) + 8 * (spec.num_canonical_nodes if is_small else 1)


def batches(spec: OrderSpec, world: tuple[int, int, int], workers: int, begin: int, count: int) -> list[list[int]]:
    """Global batches from a position on, each as a sorted list of ids."""
    nodes, ranks, size = world
    spec = replace(spec, batch_size=size)
    layout = Layout(nodes, ranks, workers)
    order = EpochOrder(spec, 0, layout)
    parts = [
        [order.worker_ids(node, rank, worker, begin).ids(0, -(-count // workers) * size).reshape(-1, size)
         for node in range(nodes) for rank in range(ranks)]
        for worker in range(workers)
    ]  # fmt: skip
    return [sorted(np.concatenate([rank[i // workers] for rank in parts[i % workers]]).tolist()) for i in range(count)]


@given(
    specs(batching_method="random") | specs(batching_method="per_stream"),
    st.sampled_from(WORLDS),
    st.integers(1, 3),
    st.integers(0, 30),
)
@share(0.25)
def test_global_batches_are_the_same_in_any_world(
    spec: OrderSpec, world: tuple[int, int, int], workers: int, stop: int
) -> None:
    want = [sorted(batch.tolist()) for batch in first_ids(spec).reshape(-1, BATCH)]
    assert batches(spec, world, workers, stop * BATCH, 20) == want[stop : stop + 20]


@given(specs(), st.integers(1, 45), st.data())
@share(0.25)
def test_what_comes_later_changes_nothing_before(spec: OrderSpec, batch: int, data: st.DataObject) -> None:
    begin = batch * BATCH
    kept = [record for record in spec.table if record.begin < begin]
    other = Record(begin, HORIZON, data.draw(weights(spec.num_streams, spec.batching_method)))
    ids = first_ids(replace(spec, table=(*kept, other)))
    assert np.array_equal(ids[:begin], first_ids(spec, begin))
    counts = np.bincount(stream_of(spec, ids[begin:]), minlength=spec.num_streams)
    assert not counts[np.array(other.weights) == 0].any()


@given(specs(), st.integers(0, 60))
@share(0.25)
def test_spans_cover_what_is_read(spec: OrderSpec, batch: int) -> None:
    epoch = ScheduledEpoch(spec, 0, BATCH)
    begin = batch * BATCH
    position = np.arange(begin, begin + 600)
    ids = epoch.ids(position)
    shard = np.searchsorted(spec.sample_offset_per_shard[1:], ids, side="right")
    node = epoch.route.split(position)[0]
    for nodes in (None, np.array([spec.num_canonical_nodes - 1])):
        shards, first, last = epoch.spans(nodes, begin)
        assert (first >= begin).all()
        mine = np.ones(len(ids), np.bool_) if nodes is None else node == nodes[0]
        for at, wanted in zip(position[mine][::7].tolist(), shard[mine][::7].tolist(), strict=True):
            assert ((shards == wanted) & (first <= at) & (last >= at)).any()


def test_a_stream_without_weight_holds_no_shard() -> None:
    table = [Record(0, 480, (0.5, 0.5)), Record(480, 4800, (1.0, 0.0)), Record(4800, HORIZON, (0.5, 0.5))]
    epoch = ScheduledEpoch(scheduled([[100] * 50, [100] * 50], table), 0, BATCH)
    shards, first, last = epoch.spans()
    other = shards >= 50
    assert not ((first < 4800) & (last >= 480) & other).any()


def test_epochs_go_on_where_the_last_ended() -> None:
    table = [Record(0, 600, (0.7, 0.3)), Record(600, HORIZON, (0.1, 0.9))]
    spec = scheduled([[30] * 4, [7] * 9], table, num_canonical_nodes=2)
    whole = first_ids(spec, 2400)
    part = replace(spec, epoch_size=480)
    epochs = [ScheduledEpoch(part, e, BATCH).ids(np.arange(480)) for e in range(5)]
    assert np.array_equal(np.concatenate(epochs), whole)
    with pytest.raises(ConfigError, match="whole number of global batches of 24"):
        ScheduledEpoch(replace(spec, epoch_size=490), 0, BATCH)


def test_stages_of_a_pretraining_run() -> None:
    """Five stages of nine sources, the last of a few hundred batches: each to within a sample of each source."""
    stages = [
        (0, (50, 20, 10, 8, 5, 3, 2, 1.5, 0.5)),
        (24 * 4000, (40, 20, 15, 10, 5, 5, 2, 2, 1)),
        (24 * 6000, (25, 20, 25, 15, 5, 5, 2, 2, 1)),
        (24 * 7000, (0, 10, 35, 35, 10, 5, 2, 2, 1)),
        (24 * 7300, (5, 5, 30, 30, 10, 10, 5, 2.5, 2.5)),
    ]
    ends = [*(begin for begin, _ in stages[1:]), HORIZON]
    table = [Record(b, e, tuple(w / sum(ws) for w in ws)) for (b, ws), e in zip(stages, ends, strict=True)]
    spec = scheduled([[500] * n for n in (60, 30, 20, 20, 8, 8, 4, 4, 1)], table, num_canonical_nodes=8)
    ids = first_ids(spec, 24 * 8000)
    for record in table:
        end = min(record.end, len(ids))
        counts = np.bincount(stream_of(spec, ids[record.begin : end]), minlength=9)
        # The last stage has no end: it is as exact as a prefix of a mixture, to a sample or so a canonical node.
        assert abs(counts - np.array(record.weights) * (end - record.begin)).max() < (1 if record.end < HORIZON else 9)


def test_rounding_does_not_add_up() -> None:
    lack = np.zeros(3)
    weights_ = np.array([0.9, 0.06, 0.04])
    total = np.zeros(3, np.int64)
    for _ in range(1000):
        counts = shares(weights_, 8, lack)
        lack += weights_ * 8 - counts
        total += counts
        assert counts.sum() == 8
        assert (abs(total - weights_ * total.sum()) < 2).all()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=5), st.integers(0, 60))
@settings(max_examples=30)
def test_kept_numbers(pairs: list[tuple[int, int]], total: int) -> None:
    ranges = Skips((begin, begin + length) for begin, length in pairs).ranges
    cut = [(begin, min(end, total)) for begin, end in ranges if begin < total]
    want = [n for n in range(total) if not any(begin <= n < end for begin, end in cut)]
    kept = Kept(cut, total)
    assert kept.batches(np.arange(len(kept))).tolist() == want
    served = Skips(cut).served_before(np.array(want, np.int64))
    assert served.tolist() == list(range(len(want)))


def test_asking() -> None:
    table = [Record(0, 480, (0.75, 0.25)), Record(480, HORIZON, (0.0, 1.0))]
    spec = scheduled([[10] * 4, [7] * 2], table, batch_size=BATCH)
    inspector = EpochInspector(spec, 0, 1, 1)
    first, last = inspector.streams(0), inspector.streams(25)
    assert [(s.weight, s.given, s.repeats) for s in first] == [(0.75, 0, 0.0), (0.25, 0, 0.0)]
    assert [(s.weight, s.given) for s in last] == [(0.0, 360), (1.0, 240)]
    assert last[0].repeats == 9
    places = inspector.find(3, end=20)
    assert len(places) == 9
    assert all(inspector.batch(place.batch)[place.rank, place.slot] == 3 for place in places)
    with pytest.raises(ConfigError, match="no end"):
        inspector.find(3)
    with pytest.raises(ConfigError, match="no end"):
        inspector.shards_needed()
    assert len(inspector.shards_needed(0, 20).shards) == 6
    with pytest.raises(ConfigError, match="has no samples but a weight"):
        ScheduledEpoch(scheduled([[10], [0]], table), 0, BATCH)


def test_spans_of_a_shard_whose_first_draws_a_cut_puts_off() -> None:
    table = [Record(0, 24, (0, 0, 0, 1)), Record(24, 48, (0, 0, 1, 0)), Record(48, HORIZON, (0, 0, 0.4, 0.6))]
    table.append(Record(72, HORIZON, (0, 0, 1, 0)))
    changes: dict[str, Any] = {"num_canonical_nodes": 1, "shuffle_block_size": 1, "batching_method": "per_stream"}
    for seed in range(30):
        spec = scheduled([[1], [1], [1], [22, 3, 36]], table, shuffle_seed=seed, **changes)
        epoch = ScheduledEpoch(spec, 0, BATCH)
        shards, first, last = epoch.spans()
        for at, sample in enumerate(epoch.ids(np.arange(72)).tolist()):
            shard = np.searchsorted(spec.sample_offset_per_shard[1:], sample, side="right")
            assert ((shards == shard) & (first <= at) & (last >= at)).any()
