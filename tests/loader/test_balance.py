"""Equal work on every rank: what costs alike comes in the same step, and nothing else changes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from streaming import (
    Balance,
    Bucket,
    MDSWriter,
    Pack,
    Phase,
    Schedule,
    Stream,
    StreamingDataLoader,
    StreamingDataset,
)
from streaming.core.errors import CheckpointError, ConfigError
from streaming.order.queries.inspect import EpochInspector
from streaming.order.spec import Balancing, OrderSpec

from budget import repetitions

GLOBAL = 12
EXAMPLES = repetitions("STREAMING_TEST_EXAMPLES", 5, 400)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Documents of log-normal length, each of one token over and over: its number."""
    path = tmp_path_factory.mktemp("texts") / "data"
    rng = np.random.default_rng(1)
    columns = {"tokens": "ndarray:int32", "id": "int", "cost": "int"}
    with MDSWriter(out=str(path), columns=columns, size_limit=6000, side_columns=["cost", "len(tokens)"]) as out:
        for number, length in enumerate(np.minimum(rng.lognormal(2.5, 1, 600).astype(int) + 1, 64)):
            out.write({"tokens": np.full(length, number, np.int32), "id": number, "cost": int(length) ** 2})
    return str(path)


def make(texts: str, rank: int = 0, world: int = 1, pack: bool = False, **more: Any) -> StreamingDataset:
    given: dict[str, Any] = {"local": texts, "shuffle": True, "num_canonical_nodes": 2, **more}
    given.setdefault("batch_size", GLOBAL // world)
    if pack:
        given["pack"] = Pack(tokens="tokens", to=64)
    else:
        given["columns"] = ["id", "cost"]
    return StreamingDataset(data_parallel_rank=rank, data_parallel_size=world, **given)


def ids_of(batch: Any) -> list[str]:
    if "id" in batch:
        return [str(int(i)) for i in batch["id"]]
    return ["-".join(map(str, sorted(set(row.tolist())))) for row in batch["tokens"]]


def rounds(loaders: list[StreamingDataLoader], stop: int | None = None) -> Iterator[list[list[str]]]:
    """Yield what each rank has at each step."""
    every = [iter(loader) for loader in loaders]
    step = 0
    while stop is None or step < stop:
        batches = [next(batches, None) for batches in every]
        if batches[0] is None:
            assert batches == [None] * len(batches)
            return
        yield [ids_of(batch) for batch in batches]
        step += 1


def loaders_of(
    texts: str, world: int, balance: Balance | None, workers: int = 0, **more: Any
) -> list[StreamingDataLoader]:
    context = more.pop("context", None)
    return [
        StreamingDataLoader(
            data := make(texts, rank, world, **more),
            batch_size=data.batch_size,
            balance=balance,
            num_workers=workers,
            multiprocessing_context=context,
        )
        for rank in range(world)
    ]


def sets(steps: Any) -> list[list[str]]:
    return [sorted(name for rank in step for name in rank) for step in steps]


@pytest.mark.parametrize("within", ["run", "node"])
@pytest.mark.parametrize("pack", [False, True])
def test_ranks_have_as_much_to_do(texts: str, pack: bool, within: Any) -> None:
    balance = Balance("l2" if pack else "cost", over="8 batches", within=within)

    def imbalance(balance: Balance) -> float:
        data = make(texts, world=6, pack=pack)
        data.set_balance(balance)
        epoch = data.inspect_epoch(0, ranks_per_node=6)
        loads = np.array([epoch.loads(batch) for batch in range(epoch.num_batches - 1)])
        return float((loads.max(1) / loads.mean(1)).mean())

    data = make(texts, world=6, pack=pack)
    data.set_balance(balance)
    costs = data._ordering.balance.costs  # pyright: ignore
    plain = make(texts, world=6, pack=pack).inspect_epoch(0, ranks_per_node=6)
    loads = np.array([costs[plain.batch(batch)].sum(1) for batch in range(plain.num_batches - 1)])
    before = float((loads.max(1) / loads.mean(1)).mean())
    assert imbalance(balance) - 1 < (before - 1) * 0.45
    assert data.stats()["imbalance"] >= 1
    if pack:
        tokens = sum(len(row["tokens"]) for row in StreamingDataset(local=texts)[:])
        assert data.stats()["pack_tokens_per_step"] == pytest.approx(tokens / data.size * GLOBAL)


def test_hundreds_of_ranks() -> None:
    """512 ranks, bins of 8,192 tokens of documents of log-normal length, 4 a rank; some batches of a window of 16."""
    count = 512 * 4 * 16
    lengths = np.minimum(np.random.default_rng(0).lognormal(np.log(600), 1, 20 * count).astype(int) + 1, 8192)
    bins = np.cumsum(lengths) // 8192
    costs = np.bincount(bins, lengths.astype(float) ** 2)[:count].astype(np.float32)
    one = np.array([1])
    spec = OrderSpec(
        *(one * count, one, one * count, one * 1.0),
        count,
        4,
        1,
        True,
        "lanes",
        1,
        1 << 18,
        balance=Balancing(costs, 16, False, ""),
    )
    epoch = EpochInspector(spec, 0, 64, 8)
    some = range(0, 16, 4)
    loads = np.array([epoch.loads(batch) for batch in some])
    assert (loads.max(1) / loads.mean(1)).mean() < 1.05
    plain = EpochInspector(replace(spec, balance=None), 0, 64, 8)
    loads = np.array([costs[plain.batch(batch)].sum(1) for batch in some])
    assert (loads.max(1) / loads.mean(1)).mean() > 2


@pytest.mark.parametrize(
    ("within", "pack"),
    [
        ("run", False),
        ("node", True),
        pytest.param("run", True, marks=pytest.mark.long),
        pytest.param("node", False, marks=pytest.mark.long),
    ],
)
def test_every_sample_as_often_and_the_same_batches_in_any_world(texts: str, pack: bool, within: Any) -> None:
    balance = Balance("l2" if pack else "cost", over=5, within=within)
    plain = sets(rounds(loaders_of(texts, 1, None, pack=pack)))
    alone = sets(rounds(loaders_of(texts, 1, balance, pack=pack)))
    assert alone != plain
    assert sorted(sum(alone, [])) == sorted(sum(plain, []))  # noqa: RUF017
    whole = len(plain) if len(plain[-1]) == GLOBAL else len(plain) - 1
    assert alone[whole:] == plain[whole:]  # a last batch that is not full stays as it is
    for begin in range(0, whole, 5):  # and windows hold what they held
        both = [sorted(sum(found[begin : min(begin + 5, whole)], [])) for found in (alone, plain)]  # noqa: RUF017
        assert both[0] == both[1]
    for world, workers in ((2, 0), (3, 2), (4, 0)):
        assert sets(rounds(loaders_of(texts, world, balance, workers, pack=pack)))[:whole] == alone[:whole]


def test_each_epoch_has_an_order_of_its_own(texts: str) -> None:
    (loader,) = loaders_of(texts, 1, Balance("cost"))
    first, second = ([ids_of(batch) for batch in loader] for _ in range(2))
    assert first != second
    heaviest = [np.argmax([sum(map(int, ids)) for ids in epoch[:16]]) for epoch in (first, second)]
    assert len(heaviest) == 2


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stop=st.integers(0, 30),
    before=st.sampled_from([(1, 0), (2, 0), (3, 1)]),
    after=st.sampled_from([(1, 2), (4, 0), (6, 0)]),
    kind=st.sampled_from(["rows", "bins", "view", "mixture", "schedule", "skips"]),
    over=st.integers(2, 20),
    within=st.sampled_from(["run", "node"]),
)
def test_stopped_anywhere_is_never_stopped(
    texts: str, stop: int, before: tuple[int, int], after: tuple[int, int], kind: str, over: int, within: Any
) -> None:
    balance = Balance("l2" if kind == "bins" else "cost", over=over, within=within)

    def loaders(world: int, workers: int) -> list[StreamingDataLoader]:
        if kind == "view":
            found = [make(texts, rank, world).filter("cost < 1000") for rank in range(world)]
        elif kind in ("mixture", "schedule"):
            streams = {"a": Stream(local=texts), "b": Stream(local=texts, where="cost > 200")}
            mix = Schedule([Phase(0, {"a": 3, "b": 1}), Phase(GLOBAL * 11, {"a": 1, "b": 2})])
            more: dict[str, Any] = {"epoch_size": GLOBAL * 40, **({"mix": mix} if kind == "schedule" else {})}
            found = [make(texts, rank, world, local=None, streams=streams, **more) for rank in range(world)]
        else:
            found = [make(texts, rank, world, pack=kind == "bins") for rank in range(world)]
        made = [
            StreamingDataLoader(data, batch_size=data.batch_size, num_workers=workers, balance=balance)
            for data in found
        ]
        if kind == "skips":
            for data in found:
                data.skip_batches([(3, 5)], epoch=0)
        return made

    whole = sets(rounds(loaders(1, 0)))
    assume_whole = [batch for batch in whole if len(batch) == GLOBAL]
    stop = min(stop, len(assume_whole) - 1)
    first = loaders(*before)
    seen = sets(rounds(first, stop))
    state = first[0].state_dict()
    rest = loaders(*after)
    for loader in rest:
        loader.load_state_dict(state)
        if kind == "skips" and not stop:
            loader.dataset.skip_batches([(3, 5)], epoch=0)  # pyright: ignore
    found = seen + sets(rounds(rest))
    assert found[: len(assume_whole)] == assume_whole


@pytest.mark.parametrize("context", [pytest.param("spawn", marks=pytest.mark.long), "forkserver"])
def test_workers_that_begin_anew(texts: str, context: str) -> None:
    balance = Balance("l2", over=4)
    expected = sets(rounds(loaders_of(texts, 1, balance, pack=True), 8))
    loaders = loaders_of(texts, 1, balance, 1, pack=True, context=multiprocessing.get_context(context))
    assert sets(rounds(loaders, 8)) == expected


def test_weights_change_between_windows(texts: str) -> None:
    streams = {"a": Stream(local=texts, where="cost < 200"), "b": Stream(local=texts, where="cost >= 200")}
    mix = Schedule([Phase(0, {"a": 1})])

    def run(stop: int | None) -> tuple[StreamingDataLoader, list[list[str]]]:
        data = make(texts, local=None, streams=streams, mix=mix, epoch_size=GLOBAL * 30)
        loader = StreamingDataLoader(data, batch_size=GLOBAL, balance=Balance("cost", over=8))
        batches = iter(loader)
        seen = [ids_of(next(batches)) for _ in range(5)]
        assert data.set_weights({"b": 1}) == 8
        seen += [ids_of(next(batches)) for _ in range((stop or 30) - 5)]
        return loader, seen

    _, whole = run(None)
    heavy = {row["id"] for row in StreamingDataset(local=texts).filter("cost >= 200")[:]}
    assert [all(int(i) in heavy for i in ids) for ids in whole] == [False] * 8 + [True] * 22
    assert len({i for ids in whole[:8] for i in ids}) == 8 * GLOBAL  # nothing came twice when the weights changed
    loader, seen = run(11)
    state = loader.state_dict()
    fresh = make(texts, local=None, streams=streams, mix=mix, epoch_size=GLOBAL * 30)
    loader = StreamingDataLoader(fresh, batch_size=GLOBAL, balance=Balance("cost", over=8))
    loader.load_state_dict(state)
    assert seen + [ids_of(batch) for batch in loader] == whole
    later = Schedule([Phase(0, {"a": 1}), Phase(GLOBAL * 12, {"a": 1, "b": 1})])
    fresh = make(texts, local=None, streams=streams, mix=later, epoch_size=GLOBAL * 30)
    loader = StreamingDataLoader(fresh, batch_size=GLOBAL, balance=Balance("cost", over=8))
    with pytest.raises(CheckpointError, match=rf"Change it from {GLOBAL * 16} on"):
        loader.load_state_dict(state)


def test_without_our_loader(texts: str) -> None:
    data = make(texts, pack=True)
    data.set_balance(Balance("l2"))
    (loader,) = loaders_of(texts, 1, Balance("l2"), pack=True)
    found = [ids_of(batch) for batch in DataLoader(data, batch_size=GLOBAL)]
    assert found == [ids_of(batch) for batch in loader]


def test_where_a_sample_comes(texts: str) -> None:
    data = make(texts, world=3)
    data.set_balance(Balance("cost", over=4))
    epoch = data.inspect_epoch(0, ranks_per_node=3)
    for sample in (0, 17, 599):
        for place in epoch.find(sample):
            assert epoch.batch(place.batch)[place.rank, place.slot] == sample
        assert len(epoch.find(sample)) >= 1
        assert epoch.find(sample, end=epoch.find(sample)[0].batch) == []


def test_which_shards_a_node_reads_from(texts: str, tmp_path: Path) -> None:
    def needed(balance: Balance | None) -> list[set[int]]:
        data = make(texts)
        data.set_balance(balance)
        epoch = data.inspect_epoch(0, num_nodes=2)
        return [set(epoch.shards_needed(node=node).shards.tolist()) for node in range(2)]

    plain, every = needed(None), set(range(make(texts).num_shards))
    assert needed(Balance("cost", within="node")) == plain
    assert plain[0] != every
    assert needed(Balance("cost")) == [every, every]
    data = make(texts, remote=texts, local=str(tmp_path / "cache"), cache_limit="36kb")
    loader = StreamingDataLoader(data, batch_size=GLOBAL, balance=Balance("cost", over=4))
    assert len({i for batch in loader for i in ids_of(batch)}) == 600
    assert data.stats()["evictions"] > 0


# -- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"over": 1}, "over must be .* 2"),
        ({"over": "some"}, "over must be a number of global batches"),
        ({"within": "rank"}, "within must be 'run' or 'node'"),
        ({"cost": ""}, "side column"),
        ({"cost": 3}, "cost"),
    ],
)
def test_arguments_are_checked(arguments: Any, words: str) -> None:
    with pytest.raises((ConfigError, TypeError), match=words):
        Balance(**arguments)


def test_what_it_does_not_go_with(texts: str) -> None:
    with pytest.raises(ConfigError, match="costs is not known: cost='tokens' is for bins"):
        loaders_of(texts, 1, Balance())
    with pytest.raises(ConfigError, match="has no column 'weight'"):
        loaders_of(texts, 1, Balance("weight"))
    with pytest.raises(ConfigError, match="Bins have no side columns"):
        loaders_of(texts, 1, Balance("cost"), pack=True)
    with pytest.raises(ConfigError, match="balance must be a Balance"):
        loaders_of(texts, 1, "l2")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="for a StreamingDataset"):
        StreamingDataLoader([1, 2], balance=Balance())  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="needs the order 'lanes'"):
        list(loaders_of(texts, 1, Balance("cost"), shuffle_algo="py1e")[0])
    with pytest.raises(ConfigError, match="batching_method='per_stream' composes"):
        list(loaders_of(texts, 1, Balance("cost"), batching_method="per_stream")[0])


def test_another_balance_cannot_go_on(texts: str) -> None:
    (loader,) = loaders_of(texts, 1, Balance("cost"))
    list(rounds([loader], 3))
    state = loader.state_dict()
    for other in (None, Balance("cost", over=4)):
        (loader,) = loaders_of(texts, 1, other)
        with pytest.raises(CheckpointError, match="give the loader the same balance"):
            loader.load_state_dict(state)
    (loader,) = loaders_of(texts, 1, Balance("cost"), batch_size=GLOBAL * 2)
    with pytest.raises(CheckpointError, match="global batches of 12 samples"):
        loader.load_state_dict(state)


def test_buckets(texts: str) -> None:
    def buckets(balance: Balance | None) -> list[list[int]]:
        bucket = Bucket("len_tokens", budget=300, pad_to=8)
        data = StreamingDataset(local=texts, batch_size=1, bucket=bucket, shuffle=True)
        loader = StreamingDataLoader(data, batch_size=1, balance=balance, collate_fn=list)
        return [sorted(sample["id"] for sample in batch) for (batch,) in loader]

    assert sorted(buckets(Balance("l2", over=3))) == sorted(buckets(None))


def test_a_balance_amid_an_epoch_is_that_of_its_beginning(texts: str) -> None:
    (loader,) = loaders_of(texts, 1, None)
    list(rounds([loader], 3))
    plain = loader.state_dict()
    data = make(texts)
    data.load_state_dict(plain or {})
    with pytest.raises(ConfigError, match="amid an epoch with balance None"):
        StreamingDataLoader(data, batch_size=GLOBAL, balance=Balance("cost"))
    with pytest.raises(ConfigError, match="Set the balance of the checkpoint before it is loaded"):
        data.set_balance(Balance("cost"))
    assert len({i for batch in DataLoader(data, batch_size=GLOBAL) for i in ids_of(batch)}) == 600 - 3 * GLOBAL
    data.set_balance(Balance("cost"))  # of the next epoch, which begins at its beginning
    assert len({i for batch in DataLoader(data, batch_size=GLOBAL) for i in ids_of(batch)}) == 600


@pytest.mark.parametrize("workers", [0, 1])
def test_a_balance_that_is_set_amid_a_running_epoch(texts: str, workers: int) -> None:
    data = make(texts)
    loader = StreamingDataLoader(data, batch_size=GLOBAL, num_workers=workers)
    (plain,) = loaders_of(texts, 1, None)
    expected = [ids_of(batch) for batch in plain]
    found: list[Any] = []
    for batch in loader:
        found.append(ids_of(batch))
        if len(found) == 3:
            state = loader.state_dict()
            data.set_balance(Balance("cost"))
            with pytest.raises(CheckpointError, match="Epoch 0 has begun with balance None, and 'cost"):
                loader.state_dict()
        if len(found) == 4:
            data.set_balance(None)  # as if nothing had been
            assert loader.state_dict() == {**(state or {}), "sample_in_epoch": 4 * GLOBAL}
            data.set_balance(Balance("cost"))
    assert found == expected
    assert loader.state_dict()["balance"].startswith("cost")  # at the end there is nothing left to be dealt
    next(iter(loader))
    assert len({i for batch in loader for i in ids_of(batch)}) == 600
    data.set_epoch(0)
    for _ in loader:
        assert loader.state_dict()["balance"].startswith("cost")
        break


def test_costs_that_are_others_now_are_told(tmp_path: Path) -> None:
    def write(factor: int) -> None:
        with MDSWriter(
            out=str(tmp_path / "data"), columns={"id": "int", "cost": "int"}, side_columns=["cost"], exist_ok=True
        ) as out:
            for i in range(60):
                out.write({"id": i, "cost": i * 7 % 60 * factor + i * (factor - 1)})

    def loader() -> StreamingDataLoader:
        data = StreamingDataset(local=str(tmp_path / "data"), batch_size=4, shuffle=True)
        return StreamingDataLoader(data, batch_size=4, balance=Balance("cost", over=3))

    write(1)
    first = loader()
    list(rounds([first], 2))
    state = first.state_dict()
    again = loader()
    again.load_state_dict(state)
    assert len(list(again)) == 13
    write(2)  # the same samples by number and shard, other costs
    with pytest.raises(CheckpointError, match="balance: checkpoint 'cost"):
        loader().load_state_dict(state)


def test_a_loader_without_balance_changes_nothing(texts: str) -> None:
    data = make(texts)
    data.set_balance(Balance("cost"))
    (balanced,) = loaders_of(texts, 1, Balance("cost"))
    expected = [ids_of(batch) for batch in balanced]
    assert [ids_of(batch) for batch in StreamingDataLoader(data, batch_size=GLOBAL)] == expected
    data.set_balance(None)
    plain = [ids_of(batch) for batch in loaders_of(texts, 1, None)[0]]
    data.set_epoch(0)
    assert [ids_of(batch) for batch in StreamingDataLoader(data, batch_size=GLOBAL)] == plain


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_that_live_on_do_not_deal_otherwise(texts: str, persistent: bool) -> None:
    data = make(texts)
    loader = StreamingDataLoader(data, batch_size=data.batch_size, num_workers=2, persistent_workers=persistent)
    assert len(list(loader)) > 3
    data.set_balance(Balance("cost"))
    if persistent:
        with pytest.raises(ConfigError, match="set the balance before the first epoch"):
            next(iter(loader))
        return
    other = make(texts)
    other.set_balance(Balance("cost"))
    other.next_epoch = 1
    expected = [ids_of(batch) for batch in StreamingDataLoader(other, batch_size=data.batch_size)]
    assert [ids_of(batch) for batch in loader] == expected
