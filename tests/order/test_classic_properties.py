"""What holds of the classic orders whatever the numbers: nothing lost, elastic, resumable, and clear errors."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streaming.core.errors import ConfigError, UnknownNameError
from streaming.order.classic.batching import generate_work
from streaming.order.classic.epoch import ClassicEpoch, epoch_ids
from streaming.order.classic.partition import get_partitions
from streaming.order.classic.shuffle import get_shuffle
from streaming.order.classic.shuffle.py1e import get_shuffle_py1e
from streaming.order.classic.sorting import stable_order
from streaming.order.classic.spans import divide_runs, empty_ids
from streaming.order.classic.weights import resolve_weights
from streaming.order.defaults import default_block_size, default_num_canonical_nodes
from streaming.order.queries.plan import worker_ids
from streaming.order.registry import batching_methods, partition_algos, shuffle_algos
from streaming.order.spec import Layout, OrderSpec

from budget import share

CLASSIC = ("naive", "py1br", "py1e", "py1s", "py2s")
quick = share(0.6)


def make_spec(sizes: list[list[int]], choose: list[int] | None = None, **changes: Any) -> OrderSpec:
    """Return the order of streams with shards of these sizes."""
    drawn = np.array([sum(stream) for stream in sizes] if choose is None else choose, np.int64)
    arguments: dict[str, Any] = {
        "samples_per_shard": np.array([size for stream in sizes for size in stream], np.int64),
        "shards_per_stream": np.array([len(stream) for stream in sizes], np.int64),
        "choose": drawn,
        "proportion": drawn / max(int(drawn.sum()), 1),
        "epoch_size": int(drawn.sum()),
        "batch_size": 2,
        "num_canonical_nodes": 1,
        "shuffle": True,
        "shuffle_algo": "py1e",
        "shuffle_seed": 9176,
        "shuffle_block_size": 100,
        "partition_algo": "orig",
    }
    return OrderSpec(**{**arguments, **changes})


def served(spec: OrderSpec, layout: Layout, epoch: int = 0, sample_in_epoch: int = 0) -> NDArray[np.int64]:
    """Return the global batches in the order of training: ``int64[steps, G]``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work = generate_work(spec, layout, epoch, sample_in_epoch)
    return work.transpose(3, 2, 0, 1, 4).reshape(-1, spec.batch_size * layout.num_ranks)


shard_sizes = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@quick
@given(
    sizes=st.lists(shard_sizes, min_size=1, max_size=3),
    factors=st.lists(st.floats(0.1, 3), min_size=3, max_size=3),
    algo=st.sampled_from((None, *CLASSIC)),
    method=st.sampled_from(("balanced", "fixed")),
    granularity=st.integers(1, 9),
    epoch=st.integers(0, 3),
)
def test_an_epoch_draws_what_the_weights_say(
    sizes: list[list[int]], factors: list[float], algo: str | None, method: str, granularity: int, epoch: int
) -> None:
    totals = [sum(stream) for stream in sizes]
    choose = [max(int(total * factor), 1) for total, factor in zip(totals, factors, strict=False)]
    spec = make_spec(
        sizes,
        choose,
        shuffle=algo is not None,
        shuffle_algo=algo or "py1e",
        sampling_method=method,
        sampling_granularity=granularity,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ids = epoch_ids(spec, epoch)
    drawn = np.arange(spec.num_samples) if ids is None else ids
    assert len(drawn) == spec.epoch_size
    times = np.bincount(drawn, minlength=spec.num_samples)
    begin = 0
    for total, wanted in zip(totals, choose, strict=True):
        mine = times[begin : begin + total]
        assert mine.sum() == wanted
        assert mine.max() - mine.min() <= 1
        begin += total


@quick
@given(
    sizes=shard_sizes,
    algo=st.sampled_from((None, *CLASSIC)),
    canonical=st.sampled_from((1, 2, 4)),
    worlds=st.lists(
        st.sampled_from([(1, 1, 1), (1, 4, 2), (2, 2, 1), (4, 1, 3), (2, 4, 2), (1, 8, 1), (4, 2, 1)]),
        min_size=2,
        max_size=3,
    ),
    epoch=st.integers(0, 2),
)
def test_global_batches_are_the_same_on_any_world(
    sizes: list[int], algo: str | None, canonical: int, worlds: list[tuple[int, int, int]], epoch: int
) -> None:
    global_batch = 8
    sizes = [*sizes, 8 * 8 - sum(sizes) % 64]
    answers: list[list[list[int]]] = []
    for world in worlds:
        layout = Layout(*world)
        if max(canonical, layout.num_nodes) % min(canonical, layout.num_nodes) or layout.num_nodes > canonical:
            continue
        spec = make_spec(
            [sizes],
            batch_size=global_batch // layout.num_ranks,
            num_canonical_nodes=canonical,
            shuffle=algo is not None,
            shuffle_algo=algo or "py1e",
        )
        steps = served(spec, layout, epoch)
        answers.append([sorted(step) for step in steps.tolist() if max(step) >= 0])
    assert all(answer == answers[0] for answer in answers)


@quick
@given(
    sizes=st.lists(shard_sizes, min_size=1, max_size=2),
    algo=st.sampled_from((None, *CLASSIC)),
    layout=st.sampled_from([Layout(), Layout(1, 2, 3), Layout(2, 2, 2)]),
    method=st.sampled_from(("random", "per_stream", "stratified", "device_per_stream")),
    done=st.integers(0, 4),
)
def test_a_resumed_epoch_is_the_rest_of_a_whole_one(
    sizes: list[list[int]], algo: str | None, layout: Layout, method: str, done: int
) -> None:
    sizes = [[*stream, 8 * 12 - sum(stream) % 96] for stream in sizes]
    spec = make_spec(
        sizes,
        batch_size=4,  # the smaller stream has a seventh at least: a sample of each batch
        num_canonical_nodes=2,
        shuffle=algo is not None,
        shuffle_algo=algo or "py1e",
        batching_method=method,
    )
    whole = served(spec, layout)
    global_batch = whole.shape[1]
    resumed = served(spec, layout, 0, done * global_batch)
    rest = [step for step in whole[done:].tolist() if max(step) >= 0]
    assert [step for step in resumed.tolist() if max(step) >= 0] == rest


@pytest.mark.parametrize("algo", CLASSIC)
@pytest.mark.parametrize("canonical", [1, 3, 8])
def test_a_shuffle_is_a_permutation(algo: str, canonical: int) -> None:
    sizes = np.random.default_rng(canonical).integers(1, 500, 90)
    total = int(sizes.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        orders = [get_shuffle(algo, sizes, canonical, 1, epoch, 300) for epoch in (0, 1)]
    for order in orders:
        # py1br's first two blocks overlap, but it only ever swaps.
        assert sorted(order.tolist()) == list(range(total))
    assert orders[0].tolist() != orders[1].tolist()


def test_py1e_in_windows_sorts_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = np.random.default_rng(5).integers(1, 300, 400)
    expected = get_shuffle_py1e(sizes, 2, 7, 3, 2000)
    monkeypatch.setattr("streaming.order.classic.shuffle.py1e._MIN_WINDOW", 1)
    assert get_shuffle_py1e(sizes, 2, 7, 3, 2000).tolist() == expected.tolist()


@pytest.mark.parametrize("block_size", [1, 2, 40, 5000, 1 << 18])
def test_py1e_moves_no_sample_out_of_reach(block_size: int) -> None:
    sizes = np.full(60, 25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        order = get_shuffle_py1e(sizes, 1, 3, 0, block_size)
    shards = order // 25
    first = {shard: index for index, shard in reversed(list(enumerate(shards.tolist())))}
    last = {shard: index for index, shard in enumerate(shards.tolist())}
    assert max(last[shard] - first[shard] for shard in first) <= 1.25 * block_size + 2 * 25


def test_py1e_warns_of_shards_larger_than_blocks() -> None:
    with pytest.warns(UserWarning, match="shuffle_block_size=40 is smaller than some shards"):
        get_shuffle("py1e", np.array([100, 100]), 1, 0, 0, 40)


@quick
@given(st.lists(st.one_of(st.floats(-1e9, 1e9), st.sampled_from((0.0, 1.0, 1 + 2**-52, 1e8, 1e8 + 1.5e-8)))))
def test_stable_order(values: list[float]) -> None:
    array = np.array(values, np.float64)
    assert stable_order(array).tolist() == np.argsort(array, kind="stable").tolist()


@pytest.mark.parametrize("ties", [0, 3, 400, 100_000])
def test_stable_order_of_many(ties: int) -> None:
    rng = np.random.default_rng(ties)
    values = np.arange(600_000) + rng.uniform(-50_000, 50_000, 600_000)
    chosen = rng.permutation(len(values))[: 2 * ties]
    values[chosen[:ties]] = values[chosen[ties:]]
    values[chosen[: ties // 2]] = np.nextafter(values[chosen[ties : ties + ties // 2]], np.inf)
    assert np.array_equal(stable_order(values), np.argsort(values, kind="stable"))


@quick
@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=15), parts=st.integers(1, 9))
def test_divided_runs_are_equal_parts_in_order(sizes: list[int], parts: int) -> None:
    ends = np.cumsum(sizes)
    begins, ends, bounds = divide_runs(ends - np.array(sizes), ends, parts)
    places = [place for begin, end in zip(begins, ends, strict=True) for place in range(begin, end)]
    assert places == list(range(sum(sizes)))
    held = [int((ends - begins)[bounds[j] : bounds[j + 1]].sum()) for j in range(parts)]
    assert held == [sum(sizes) * (j + 1) // parts - sum(sizes) * j // parts for j in range(parts)]


def test_ids_take_half_the_room_where_they_fit() -> None:
    assert empty_ids(1, 2**31 - 1).dtype == np.int32
    assert empty_ids(1, 2**31).dtype == np.int64
    ids = epoch_ids(make_spec([[5, 5]]), 0)
    assert ids is not None
    assert ids.dtype == np.int32


def test_large_ids_stay_exact() -> None:
    spec = make_spec([[2**33], [4, 4]], [0, 8])
    assert sorted(served(spec, Layout()).reshape(-1).tolist()) == list(range(2**33, 2**33 + 8))


def test_ids_at_hand_are_used() -> None:
    spec = make_spec([[7, 9]])
    ids = epoch_ids(spec, 4)
    again = ClassicEpoch(spec, 4, ids)
    assert again.work(Layout(1, 2, 1), 0).tolist() == generate_work(spec, Layout(1, 2, 1), 4).tolist()


def test_workers_ids_by_ranges() -> None:
    spec = make_spec([[30, 11], [20]], num_canonical_nodes=2)
    layout = Layout(2, 1, 2)
    alone = worker_ids(spec, 1, layout, 1, 0, 1, 8)
    whole = alone.ids(0, len(alone)).tolist()
    assert whole == generate_work(spec, layout, 1, 8)[1, 0, 1].reshape(-1).tolist()
    assert [sample for start in range(0, len(alone), 3) for sample in alone.ids(start, start + 3).tolist()] == whole


def test_without_shuffle_or_weights_nothing_is_materialised() -> None:
    spec = make_spec([[10**9] * 1000], shuffle=False)
    assert epoch_ids(spec, 0) is None
    assert worker_ids(spec, 0, Layout(1, 2, 2), 0, 1, 1, 0).ids(0, 3).tolist() == [5, 7, 13]


def test_fixed_sampling_draws_the_same_samples_in_every_epoch() -> None:
    for method, same in (("fixed", True), ("balanced", False)):
        spec = make_spec([[50] * 4], [70], sampling_method=method)
        draws = [Counter(served(spec, Layout(), epoch).reshape(-1).tolist()) for epoch in (0, 1)]
        assert (draws[0] == draws[1]) is same


def test_a_stream_of_weight_zero() -> None:
    sizes, choose = [[40], [40]], [40, 0]
    assert set(served(make_spec(sizes, choose), Layout()).reshape(-1).tolist()) == set(range(40))
    for method in ("per_stream", "device_per_stream"):
        with pytest.raises(ConfigError, match=r"Stream 1 draws no samples.*batching_method='random'"):
            served(make_spec(sizes, choose, batching_method=method, shuffle=False), Layout())
    with pytest.raises(ConfigError, match="less than a sample of the global batch"):
        served(make_spec(sizes, choose, batching_method="stratified"), Layout())


def test_defaults() -> None:
    assert [default_num_canonical_nodes(algo, 2) for algo in CLASSIC] == [2, 2, 2, 128, 128]
    assert [default_block_size(nodes) for nodes in (1, 4, 64)] == [4_000_000, 1_000_000, 1 << 18]


def test_names() -> None:
    assert set(CLASSIC) <= set(shuffle_algos)
    assert set(partition_algos) == {"orig", "relaxed"}
    assert set(batching_methods) == {"random", "stratified", "per_stream", "device_per_stream"}
    with pytest.raises(UnknownNameError, match="py1e"):
        get_shuffle("py9", np.array([1]), 1, 0, 0)
    with pytest.raises(UnknownNameError, match="relaxed"):
        get_partitions("strict", 1, 1, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be positive, got 0"),
        ({"num_canonical_nodes": 0}, "num_canonical_nodes must be positive"),
        ({"shuffle_seed": -1}, "shuffle_seed must not be negative, got -1"),
        ({"epoch_size": 3}, "choose must add up to epoch_size"),
        ({"shards_per_stream": np.array([3])}, "add up to the number of shards"),
        ({"proportion": np.array([0.5, 0.5])}, "Every stream needs"),
    ],
)
def test_a_spec_that_does_not_fit_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_spec([[4, 4]], **changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 3, 2, 1, 1, 1), "one must divide the other"),
        ((0, 1, 1, 1, 1, 1), "no samples"),
        ((3, 1, 8, 1, 1, 1), r"too few to split over 8 nodes.*num_canonical_nodes=8"),
        ((10, 1, 1, 2, 1, 1, 13), "Resuming after 13 samples, but the epoch has only 10"),
    ],
)
def test_splits_that_do_not_exist(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_partitions("orig", *arguments)  # type: ignore[arg-type]


def test_another_global_batch_than_the_runs() -> None:
    with pytest.raises(ConfigError, match="keep the global batch size"):
        get_partitions("relaxed", 100, 4, 3, 1, 1, 1, 0, 2)


@pytest.mark.parametrize(("algo", "block_size"), [("py1br", 1), ("py1e", 0)])
def test_blocks_that_are_too_small(algo: str, block_size: int) -> None:
    with pytest.raises(ConfigError, match=rf"{algo} needs blocks of at least . samples?, got {block_size}\."):
        get_shuffle(algo, np.array([5, 5]), 1, 0, 0, block_size)


def test_more_canonical_nodes_than_samples() -> None:
    with pytest.raises(ConfigError, match="num_canonical_nodes=9 leaves canonical node 0 without samples"):
        get_shuffle("py1e", np.array([5]), 9, 0, 0)


@pytest.mark.parametrize(
    ("weights", "epoch_size", "message"),
    [
        ({"proportions": (1, None)}, None, "Either all streams have a proportion or none"),
        ({"proportions": (1, None), "repeats": (1, None)}, None, "Stream 0 has proportion and repeat"),
        ({"repeats": (1, 2)}, 10, "epoch_size cannot be combined"),
        ({"chooses": (0, 0)}, None, "no samples"),
        ({"chooses": (-1, 3)}, None, "Stream 0 has choose=-1; it must be"),
        ({"repeats": (None, float("nan"))}, None, "Stream 1 has repeat=nan"),
        ({"proportions": (1, float("inf"))}, None, "Stream 1 has proportion=inf"),
        ({}, 0, "epoch_size must be positive, got 0"),
        ({"proportions": (0, 0)}, None, "positive proportion"),
    ],
)
def test_weights_that_contradict(weights: dict[str, Any], epoch_size: int | None, message: str) -> None:
    unset = (None, None)
    arguments = {"proportions": unset, "repeats": unset, "chooses": unset, **weights}
    with pytest.raises(ConfigError, match=message):
        resolve_weights(np.array([10, 20]), **arguments, epoch_size=epoch_size, seed=0)
