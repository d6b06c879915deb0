"""Some of a dataset's samples, parts of them, and functions over them: without a byte rewritten, in any world."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming import (
    Bucket,
    LocalDataset,
    MDSWriter,
    Pack,
    Phase,
    Ramp,
    Schedule,
    Stream,
    StreamingDataLoader,
    StreamingDataset,
)
from streaming.columns.side import SideColumns
from streaming.core.errors import CheckpointError, ConfigError, EmptyDatasetError
from streaming.dataset.views import transforms
from streaming.sources.kinds import lines, survey, tars

from budget import pairings, repetitions, share

N, GLOBAL = 90, 6
#: A dataset's directory, or what a stream is told of files that are read in place.
Place = str | dict[str, Any]
EXAMPLES = repetitions("STREAMING_TEST_EXAMPLES", 8, 500)


def write_people(path: Path, count: int, first: int = 0, append: bool = False) -> str:
    """Write ``count`` samples with side columns."""
    columns = {"id": "int", "age": "int", "sex": "str", "patient": "str"}
    names = ["id", "age", "sex", "patient"]
    with MDSWriter(out=str(path), columns=columns, side_columns=names, size_limit=500, append=append) as out:
        for i in range(first, first + count):
            out.write({"id": i, "age": i * 7 % 90, "sex": "FM"[i % 2], "patient": f"p{i // 4}"})
    return str(path)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_people(tmp_path_factory.mktemp("people") / "data", N)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_people(tmp_path_factory.mktemp("others") / "data", 60, first=1000)


def ids_of(dataset: Any) -> list[int]:
    return [sample["id"] for sample in dataset[:]]


# -- what is chosen ------------------------------------------------------------------------------


def test_every_way_to_choose(people: str) -> None:
    data = StreamingDataset(local=people, batch_size=1)
    every = range(N)
    assert ids_of(data.filter("sex = 'F' and age > 60")) == [i for i in every if i % 2 == 0 and i * 7 % 90 > 60]
    assert ids_of(data.filter([i % 3 == 0 for i in every])) == list(range(0, N, 3))
    assert ids_of(data.filter(np.array([5, 80]))) == [5, 80]
    assert ids_of(data.select([3, 50, -1])) == [3, 50, N - 1]
    assert ids_of(data.drop(range(1, N - 1))) == [0, N - 1]
    assert ids_of(data.drop([0, 0, -1])) == list(range(1, N - 1))
    assert ids_of(data.take(7)) == list(range(7))
    assert data.take("0.05k").size == 50
    assert [i for part in range(4) for i in ids_of(data.shard(4, part))] == list(every)


def test_a_view_of_a_view_is_what_both_keep(people: str) -> None:
    data = StreamingDataset(local=people, batch_size=1)
    view = data.filter("age > 30").drop([0, 1]).filter("sex = 'M'").take(9)
    over = [i for i in range(N) if i * 7 % 90 > 30][2:]
    kept = [i for i in over if i % 2][:9]
    assert ids_of(view) == kept
    assert view.source_ids().tolist() == kept
    assert view.source_ids([-1]).tolist() == kept[-1:]
    assert [view.find(i) for i in kept] == [[place] for place in range(9)]
    assert view.find(over[0] - 1) == []
    assert [sample["id"] for sample in view] == kept
    assert data.size == N


def test_shards_of_which_nothing_is_kept_are_not_fetched(people: str, tmp_path: Path) -> None:
    data = StreamingDataset(remote=people, local=str(tmp_path), batch_size=1, shuffle=True)
    per_shard = data.samples_per_shard.tolist()
    view = data.take(sum(per_shard[:2]))
    assert len(list(view)) == view.size
    assert view.stats()["files_fetched"] == 2
    needed = view.inspect_epoch(0).shards_needed().shards
    assert sorted(needed.tolist()) == [0, 1]


def test_when_a_row_is_served(people: str) -> None:
    view = StreamingDataset(local=people, batch_size=2, shuffle=True).filter("age > 30")
    order = [sample["id"] for sample in view]
    for source_id in (order[0], order[5], order[-1]):
        (place,) = view.inspect_epoch(0).find(view.find(source_id)[0])
        assert order[place.batch * 2 + place.slot] == source_id


def test_local_datasets(people: str) -> None:
    data = LocalDataset(people)
    assert ids_of(data.filter("age < 10").take(3)) == [0, 1, 13]
    assert len(data.take(5)) == 5
    train, val = data.split([0.5, 0.5], by="patient")
    assert len(train) + len(val) == N
    assert data.map(lambda sample: sample["id"])[4] == 4


# -- saved ---------------------------------------------------------------------------------------


def test_saved_and_found_again(people: str, others: str, tmp_path: Path) -> None:
    place = tmp_path / "views" / "old"
    data = StreamingDataset(streams=[Stream(local=people), Stream(local=others)], batch_size=1)
    view = data.filter("age > 60")
    view.save(place)
    again = StreamingDataset(
        streams=[Stream(local=others, view=place, where="sex = 'M'"), Stream(local=people, view=place)], batch_size=1
    )
    assert sorted(ids_of(again)) == sorted(i for i in ids_of(view) if i < 1000 or i % 2)
    assert ids_of(data.view(place)) == ids_of(view)
    assert ids_of(data.take(50)) == [*range(30), *range(1000, 1020)]
    assert ids_of(data.take(50).view(place)) == [i for i in [*range(30), *range(1000, 1020)] if i * 7 % 90 > 60]
    for nothing_chosen in (data, data.filter("true"), data.filter("true").drop([])):
        with pytest.raises(ConfigError, match="nothing to save"):
            nothing_chosen.save(place)


def test_a_view_is_no_dataset(people: str, tmp_path: Path) -> None:
    place = tmp_path / "old.view"
    StreamingDataset(local=people, batch_size=1).filter("age > 60").save(place)
    for where in ({"local": place}, {"remote": place, "local": tmp_path / "cache"}):
        with pytest.raises(EmptyDatasetError, match=rf"a saved view: .* with view='{place}', .*remote='{people}'"):
            StreamingDataset(**where, batch_size=1)


def test_a_stream_that_is_kept_whole_is_as_it_was(people: str, others: str, tmp_path: Path) -> None:
    place = tmp_path / "view"
    data = StreamingDataset(streams=[Stream(local=people), Stream(local=others)], batch_size=1)
    some = StreamingDataset(streams=[Stream(local=people, where="age > 60"), Stream(local=others)], batch_size=1)
    some.save(place)
    streams = [Stream(local=people, view=place), Stream(local=others, view=place)]
    again = [data.view(place), StreamingDataset(streams=streams, batch_size=1), data.filter("age > 60 or id >= 1000")]
    assert [found.state_dict()["units"] for found in again] == [some.state_dict()["units"]] * 3
    assert "units" not in data.filter("true").state_dict()


def test_views_of_something_else_are_refused(people: str, others: str, tmp_path: Path) -> None:
    grown = write_people(tmp_path / "grown", 20)
    StreamingDataset(local=grown).take(3).save(tmp_path / "view")
    write_people(tmp_path / "grown", 5, first=20, append=True)
    with pytest.raises(
        ConfigError, match=r"another version of .*grown: its index had digest \w+, it now has .*take\(3\)"
    ):
        Stream(local=grown, view=tmp_path / "view").open_source()
    with pytest.raises(ConfigError, match=r"is of .*grown, not of .*others"):
        StreamingDataset(streams=[Stream(local=others, view=tmp_path / "view")])
    with pytest.raises(ConfigError, match="There is no view at"):
        StreamingDataset(local=people).view(tmp_path / "nothing")


# -- splits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_view(people: str, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.view")
    with pytest.raises(ConfigError, match=r"a\.view"):
        StreamingDataset(streams=[Stream(local=people, view=tmp_path / "a.view")], batch_size=2)


@pytest.mark.parametrize("by", [None, "patient"])
def test_splits_stay_when_a_dataset_grows(tmp_path: Path, by: str | None) -> None:
    path = write_people(tmp_path / "data", 120)
    shares = {"train": 0.6, "val": 0.3, "test": 0.1}
    before = {name: set(ids_of(part)) for name, part in StreamingDataset(local=path).split(shares, by, 4).items()}
    assert sorted(i for part in before.values() for i in part) == list(range(120))
    if by:
        patients = [{i // 4 for i in part} for part in before.values()]
        assert sum(map(len, patients)) == len(set.union(*patients))
    write_people(tmp_path / "data", 50, first=120, append=True)
    after = {name: set(ids_of(part)) for name, part in StreamingDataset(local=path).split(shares, by, 4).items()}
    for name, part in before.items():
        assert {i for i in after[name] if i < 120} == part
    assert sum(map(len, after.values())) == 170
    assert StreamingDataset(local=path).split(shares, by, 5)["val"].source_ids().tolist() != sorted(after["val"])


def test_a_split_of_a_view_keeps_each_sample_in_its_part(people: str) -> None:
    data = StreamingDataset(local=people)
    whole, part = data.split([0.5, 0.5], seed=2), data.filter("sex = 'F'").split([0.5, 0.5], seed=2)
    assert ids_of(part[0]) == [i for i in ids_of(whole[0]) if i % 2 == 0]


# -- functions -----------------------------------------------------------------------------------


def noisy(sample: dict[str, Any], rng: np.random.Generator) -> tuple[int, int]:
    return sample["id"], int(rng.integers(1 << 40))


class Doubled(StreamingDataset):
    """A dataset that makes something of its own of a sample."""

    def __getitem__(self, at: Any) -> Any:
        sample = super().__getitem__(at)
        return {**sample, "age": sample["age"] * 2}


def test_functions_come_after_what_a_subclass_does(people: str) -> None:
    data = Doubled(local=people, batch_size=2)
    made = data.map(lambda sample: sample["age"]).map(lambda age: age + 1)
    assert made[1] == 15
    assert made[:3] == made[[0, 1, 2]] == made[np.arange(3)] == [1, 15, 29]
    assert made.filter("age = 7")[0] == 15
    assert list(made.take(3)) == [1, 15, 29]
    assert isinstance(made, Doubled)
    assert type(data) is Doubled
    assert data.map(noisy, rng=True)[4] == data.map(noisy, rng=True)[4] != data.map(noisy, rng=True)[5]


def test_random_functions_repeat_by_epoch_and_sample(people: str) -> None:
    def epochs(**more: Any) -> list[dict[int, int]]:
        data = StreamingDataset(local=people, batch_size=3, shuffle=True).filter("age > 20").map(noisy, rng=True)
        loader = StreamingDataLoader(data, batch_size=3, collate_fn=list, **more)
        return [dict(sample for batch in loader for sample in batch) for _ in range(2)]

    alone = epochs()
    assert alone[0].keys() == alone[1].keys()
    assert all(alone[0][i] != alone[1][i] for i in alone[0])
    assert epochs(num_workers=2, multiprocessing_context="fork") == alone
    assert epochs(num_workers=2, multiprocessing_context="forkserver", persistent_workers=True) == alone


@share(1)
@given(st.tuples(*[st.integers(0, 2**40)] * 4), st.integers(0, 9))
def test_what_is_drawn_is_for_good(key: tuple[int, ...], stage: int) -> None:
    digest = blake2b("|".join(map(str, (*key, stage))).encode(), digest_size=16).digest()
    expected = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    found, copies = (transforms._generator(key, stage) for _ in range(2))
    assert str(found.bit_generator.state) == str(expected.bit_generator.state)
    assert found.normal(size=5).tolist() == expected.normal(size=5).tolist()
    assert found.permutation(9).tolist() == expected.permutation(9).tolist()
    assert pickle.loads(pickle.dumps(found)).random() == expected.random()
    children = [[child.random() for child in parent.spawn(2) + parent.spawn(1)] for parent in (found, copies)]
    assert children[0] == children[1]
    assert len(set(children[0])) == 3


def test_a_generator_may_be_kept(people: str) -> None:
    kept: list[np.random.Generator] = []
    data = StreamingDataset(local=people).map(lambda sample, rng: kept.append(rng), rng=True)
    for index in (0, 1, 0, 1):
        assert data[index] is None
    alone = [kept[0].integers(1 << 40) for _ in range(3)]
    assert [(kept[2].integers(1 << 40), kept[3].integers(1 << 40))[0] for _ in range(3)] == alone


def test_pickled(people: str) -> None:
    data = StreamingDataset(local=people, batch_size=3).filter("age > 20").map(noisy, rng=True)
    assert pickle.loads(pickle.dumps(data))[:] == data[:]


def halves(sample: dict[str, Any]) -> list[tuple[int, int]]:
    return [(sample["id"], part) for part in range(sample["id"] % 3)]


def test_parts_of_samples(people: str) -> None:
    data = StreamingDataset(local=people, batch_size=4, shuffle=True).drop([4])
    counts = [i % 3 for i in range(N) if i != 4]
    expected = [(i, part) for i in range(N) if i != 4 for part in range(i % 3)]
    for count in (counts, np.array(counts), data.measure(halves), "measure"):
        parts = data.flat_map(halves, count=count)
        assert parts[:] == expected
    assert sorted(parts) == expected
    assert parts.source_ids().tolist() == [i for i, _ in expected]
    assert parts.find(5) == [expected.index((5, 0)), expected.index((5, 1))]
    some = parts.filter("sex = 'F'").take(5).map(lambda part: part[0])
    assert some[:] == [i for i, _ in expected if i % 2 == 0][:5]
    assert sorted(some) == sorted(some[:])
    constant = data.flat_map(lambda sample: [sample["id"]] * 2, count=2)
    assert constant.size == 2 * (N - 1)


def test_counts_by_side_column(people: str) -> None:
    data = StreamingDataset(local=people, batch_size=4).take(10)
    parts = data.flat_map(lambda sample: range(sample["age"]), count="age")
    assert parts.size == sum(i * 7 % 90 for i in range(10))
    with pytest.raises(ConfigError, match="needs whole numbers"):
        data.flat_map(halves, count="sex")


# -- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda d: d.filter("agee > 3"), "'age'"),
        (lambda d: d.filter("age >"), "age >"),
        (lambda d: d.filter("age > 1000"), r"filter\(age > 1000\) leaves no sample of"),
        (lambda d: d.filter([True]), "a truth value for each of the 90 samples"),
        (lambda d: d.select([1, 1]), "Sample 1 is chosen more than once"),
        (lambda d: d.select([90]), "There is no sample 90: ids go from 0 to 89"),
        (lambda d: d.select([-91]), "There is no sample -91"),
        (lambda d: d.select([1.5]), "whole numbers"),
        (lambda d: d.select([]), "leaves no sample"),
        (lambda d: d.drop(range(90)), "leaves no sample"),
        (lambda d: d.take(91), "Cannot take 91 samples: there are 90"),
        (lambda d: d.take("many"), "a count such as"),
        (lambda d: d.shard(2, 2), "There is no part 2 of 2"),
        (lambda d: d.split({"a": 0.5}), "must sum to 1"),
        (lambda d: d.split([1, 0]), r"split\(.*\['1'\] leaves no sample"),
        (lambda d: d.split([0.5, 0.5], by="nothing"), "no column 'nothing'"),
        (lambda d: d.map(3), "fn must be a function"),
        (lambda d: d.flat_map(halves, count=-1), "-1"),
        (lambda d: d.flat_map(halves, count=[1, 2]), "one for each of the 90 samples"),
        (lambda d: d.flat_map(halves, count=2)[0], "made 0 parts of sample 0"),
        (lambda d: d.flat_map(halves, "measure").flat_map(halves, 2), "parts already"),
        (lambda d: d.flat_map(halves, "measure").save("x"), "parts of rows"),
        (lambda d: d.find(90), "There is no sample 90"),
    ],
)
def test_what_cannot_be_is_refused(people: str, wrong: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        wrong(StreamingDataset(local=people, batch_size=1))


def test_without_side_columns(tmp_path: Path) -> None:
    with MDSWriter(out=str(tmp_path), columns={"id": "int"}) as out:
        out.write({"id": 1})
    data = StreamingDataset(local=str(tmp_path))
    with pytest.raises(ConfigError, match=r"has no side columns .* streaming index .* --columns"):
        data.filter("id = 1")


def test_ids_that_do_not_ascend_are_warned_of(people: str) -> None:
    with pytest.warns(UserWarning, match="not ascending"):
        assert ids_of(StreamingDataset(local=people).select([5, 3])) == [3, 5]


def test_checkpoints_of_other_choices_are_refused(people: str) -> None:
    data = StreamingDataset(local=people, batch_size=1)
    half, other = data.filter("sex = 'F'"), data.filter("sex = 'M'")
    state = half.state_dict()
    assert "units" not in data.state_dict()
    data.filter("sex != 'M'").load_state_dict(state)
    for wrong, theirs in ((other, state), (data, state), (half, data.state_dict())):
        with pytest.raises(CheckpointError, match=r"units: checkpoint .*, now .* choose the same samples"):
            wrong.load_state_dict(theirs)


# -- together ------------------------------------------------------------------------------------


def by_four(sample: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**sample, "part": i} for i in range(sample["id"] % 4)]


def thirds(sample: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**sample, "part": i} for i in range(3)]


def noised(sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return {**sample, "noise": int(rng.integers(1 << 30))}


def tokens(sample: dict[str, Any]) -> dict[str, Any]:
    return {"x": np.full(sample["age"], sample["id"])}


def noisy_tokens(sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return {"x": rng.integers(1 << 30, size=sample["age"])}


def by_documents(sample: dict[str, Any]) -> dict[str, Any]:
    return {"id": str(sample["x"].tolist())}


def by_members(samples: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": str([sample["id"] for sample in samples])}


def bins(data: Any, rule: dict[str, Any], **more: Any) -> Any:
    return data.pack(Pack("x", to=128, emit=(), lengths="age", **rule), **more).map(by_documents)


VIEWS: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda d: d,
    "bins": lambda d: bins(d.map(tokens), {}),
    "bins of a view": lambda d: bins(d.filter("age > 30").map(tokens), {"method": "first_fit"}),
    "bins that cut": lambda d: bins(d.map(tokens), {"method": "concat"}),
    "bins of pieces": lambda d: d.map(tokens).pack(Pack("x", to=40, emit=(), lengths="age")).map(by_documents),
    "bins of parts": lambda d: bins(p := d.flat_map(thirds, 3).map(tokens), {}, lengths=p.measure(lambda s: s["x"])),
    "some bins, random": lambda d: bins(d.map(noisy_tokens, rng=True), {}).shard(2, 1).map(noised, rng=True),
    "buckets": lambda d: d.bucket(Bucket("age", 300, 10)).map(by_members),
    "condition": lambda d: d.filter("age > 30"),
    "sparse": lambda d: d.filter("id % 11 = 3"),
    "part of a split": lambda d: d.split([0.7, 0.3], by="patient", seed=3)[0],
    "view of a view": lambda d: d.drop([0, 7]).filter("sex = 'F'").shard(2, 1),
    "parts": lambda d: d.filter("age < 50").flat_map(by_four, "measure"),
    "some parts": lambda d: d.flat_map(thirds, 3).filter("age > 50"),
    "random": lambda d: d.take(80).map(noised, rng=True),
}
MIXTURES: dict[str, tuple[dict[str, Any], ...]] = {
    "one": ({},),
    "two": ({}, {}),
    "by share": ({"proportion": 3}, {"proportion": 1}),
    "some twice": ({"repeat": 1.5}, {"choose": 20}),
    "schedule": ({}, {}),
}
MIX = Schedule([Phase(0, {"0": 3, "1": 1}), Phase(18, {"1": 1}), Ramp(24, 48, to={"0": 1})])
ALGOS = ["lanes", "py1e", "naive"]
STARTS = [(1, 0, None), (2, 0, None), (3, 0, None), (1, 2, "fork"), (2, 3, "fork")]
CASES = st.tuples(st.sampled_from(sorted(VIEWS)), st.sampled_from(sorted(MIXTURES)), st.sampled_from(ALGOS))


def rank_of(paths: list[Place], view: str, mixture: str, algo: str, rank: int, world: int) -> Any:
    weights = MIXTURES[mixture]
    places = [{"local": path} if isinstance(path, str) else path for path in paths]
    streams = {str(i): Stream(**places[i], **weight) for i, weight in enumerate(weights)}
    is_scheduled = mixture == "schedule"  # which lanes alone know
    more: dict[str, Any] = {"mix": MIX, "epoch_size": 66} if is_scheduled else {}
    data = StreamingDataset(
        streams=streams,
        batch_size=batch_of(view, world),
        shuffle=True,
        shuffle_algo="lanes" if is_scheduled else algo,
        num_canonical_nodes=1,
        data_parallel_rank=rank,
        data_parallel_size=world,
        **more,
    )
    return VIEWS[view](data)


def batch_of(view: str, world: int) -> int:
    return 1 if view == "buckets" else GLOBAL // world


def play(
    paths: list[Place], case: tuple[str, str, str], start: Any, steps: int | None, state: Any
) -> tuple[list[Any], Any]:
    """Play all ranks; return what is in each global batch, and the checkpoint of the last rank."""
    world, num_workers, context = start
    size = batch_of(case[0], world)
    together = GLOBAL // (world * size)  # batches, in as many samples as other worlds have
    batches: list[list[Any]] = []
    found = None
    for rank in range(world):
        data = rank_of(paths, *case, rank, world)
        more: dict[str, Any] = {"num_workers": num_workers, "multiprocessing_context": context, "collate_fn": list}
        loader = StreamingDataLoader(data, batch_size=size, **more)
        if state is not None:
            loader.load_state_dict(state)
        for number, batch in enumerate(loader, 1):
            step = (number - 1) // together
            if len(batches) <= step:
                batches.append([])
            batches[step] += [json.dumps(sample, sort_keys=True) for sample in batch]
            if steps is not None and number == steps * together:
                break
        found = json.loads(json.dumps(loader.state_dict()))
    return [sorted(batch) for batch in batches], found


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(CASES, st.sampled_from(STARTS), st.sampled_from(STARTS), st.integers(1, 12))
def test_stopped_anywhere_and_resumed_on_any_world(
    people: str, others: str, case: tuple[str, str, str], first: Any, then: Any, steps: int
) -> None:
    check_resuming([people, others], case, first, then, steps)


@pytest.mark.parametrize("context", [pytest.param("spawn", marks=pytest.mark.long), "forkserver"])
@share(0.025, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(CASES, st.sampled_from([(1, 1), (1, 2), (2, 1)]), st.sampled_from(STARTS), st.booleans(), st.integers(1, 12))
def test_workers_that_begin_anew(
    people: str, others: str, context: str, case: Any, anew: tuple[int, int], other: Any, is_first: bool, steps: int
) -> None:
    """The same where a worker is no copy of this process: before it is stopped, or after."""
    starts = [(*anew, context), other]
    check_resuming([people, others], case, *(starts if is_first else reversed(starts)), steps)


@pytest.mark.parametrize(("view", "mixture", "algo", "steps"), pairings(sorted(VIEWS), sorted(MIXTURES), ALGOS, [1, 4]))
def test_pairs(people: str, others: str, view: str, mixture: str, algo: str, steps: int) -> None:
    check_resuming([people, others], (view, mixture, algo), STARTS[2], STARTS[1], steps)


@pytest.fixture(scope="module")
def in_place(people: str, others: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Place]]]:
    """The same people and others by format: as our own shards, and as files of others that are read where they lie."""
    root = tmp_path_factory.mktemp("in_place")
    found: dict[str, list[Place]] = {"mds": [people, others]}
    with pytest.MonkeyPatch.context() as patch:
        for module, bytes_ in ((lines, 300), (survey, 12_000)):
            patch.setattr(module, "_PIECE_BYTES", bytes_)
        patch.setattr("streaming.inplace.cutting.SHARD_BYTES", 600)
        for name in ("age", "sex", "patient"):
            patch.setitem(tars._ENCODINGS, name, "int" if name == "age" else "str")
            patch.setitem(tars._DECODERS, name, int if name == "age" else bytes.decode)
        for kind, write in (("parquet", write_parquet), ("tar", write_tar), ("jsonl.gz", write_lines)):
            found[kind] = []
            for path in (people, others):
                place = root / kind / Path(path).parent.name
                place.mkdir(parents=True)
                rows = LocalDataset(path)[:]
                for number, begin in enumerate(range(0, len(rows), 25)):
                    write(place / f"{number}.{kind}", rows[begin : begin + 25])
                found[kind].append({"remote": f"{place}/*.{kind}", "local": str(place / "cache")})
        yield found


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)


def write_tar(path: Path, rows: list[dict[str, Any]]) -> None:
    with tarfile.open(path, "w") as archive:
        for row in rows:
            for name, value in row.items():
                info, data = tarfile.TarInfo(f"{row['id']}.{name}"), str(value).encode()
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


#: What lies in the first stream, and in the second.
KINDS = ["parquet mds", "tar parquet", "jsonl.gz tar", "mds jsonl.gz"]
IN_PLACE = [
    pytest.param(view, mixture, kinds, marks=() if m == v % len(MIXTURES) and k == v % len(KINDS) else pytest.mark.long)
    for v, view in enumerate(sorted(VIEWS))
    for m, mixture in enumerate(sorted(MIXTURES))
    for k, kinds in enumerate(KINDS)
]


@pytest.mark.parametrize(("view", "mixture", "kinds"), IN_PLACE)
def test_pairs_in_place(in_place: dict[str, list[Place]], view: str, mixture: str, kinds: str) -> None:
    """The same of files that are read where they lie, of several formats in one dataset."""
    places = [in_place[kind][i] for i, kind in enumerate(kinds.split())]
    algo = ALGOS[len(view + mixture) % 3]
    check_resuming(
        places, (view, mixture, algo), STARTS[len(view) % 5], STARTS[len(mixture + kinds) % 5], 1 + len(view) % 4
    )


#: DuckDB takes as long to begin as an epoch here: each question about a file is asked once, not by each rank.
_where = cache(SideColumns.where)


def check_resuming(paths: list[Place], case: tuple[str, str, str], first: Any, then: Any, steps: int) -> None:
    world = 1
    if case[:2] == ("buckets", "schedule"):  # weights change at global batches
        world, then = first[0], (first[0], *then[1:])
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", UserWarning)
        patch.setattr(SideColumns, "where", _where)
        whole, _ = play(paths, case, (world, 0, None), None, None)
        # In classic orders, other ranks fill up the end of an epoch with other samples.
        steps = min(steps, len(whole) - (case[2] != "lanes"))
        begun, state = play(paths, case, first, steps, None)
        rest, _ = play(paths, case, then, None, state)
    again = begun + rest
    assert again[:-1] == whole[:-1]
    assert set(again[-1]) >= set(whole[-1])  # several ranks fill up a last batch that is short
    if case[1] in ("one", "two"):
        data = rank_of(paths, *case[:2], "lanes", 0, 1)
        served = Counter(json.loads(sample).get("id") for batch in whole for sample in batch)
        expected = Counter(data.map(lambda sample: sample["id"])[:])
        assert not expected - served


# -- few rows of large shards --------------------------------------------------------------------


def test_few_rows_alone_are_fetched(bucket: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"id": "int", "image": "bytes"}
    with MDSWriter(out=f"{bucket}/data", columns=columns, side_columns=["id"], size_limit="4mb") as out:
        for i in range(600):
            out.write({"id": i, "image": rng.bytes(20_000 + i % 5 * 1000)})
    remote = f"{bucket}/data"
    data = StreamingDataset(remote=remote, local=str(tmp_path / "cache"), batch_size=2, shuffle=True)
    ids = sorted(rng.choice(600, 12, replace=False).tolist())
    view = data.filter(f"id in ({', '.join(map(str, ids))})")
    assert sorted(sample["id"] for sample in view) == ids
    wanted = sum(len(sample["image"]) for sample in view[:])
    assert view.stats()["bytes_fetched"] <= 1.3 * wanted
    assert view.source_ids().tolist() == ids
    assert [view.find(i) for i in ids] == [[place] for place in range(12)]
    loader = StreamingDataLoader(view, batch_size=2, num_workers=2, multiprocessing_context="fork", collate_fn=list)
    assert sorted(sample["id"] for batch in loader for sample in batch) == ids
    mapped = view.map(noisy, rng=True)
    assert mapped[:] == data.map(noisy, rng=True)[ids]  # which fetches shards whole
    assert ids_of(view.filter(f"id > {ids[5]}")) == ids[6:]
