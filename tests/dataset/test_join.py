"""Columns of other datasets, added by place or by key: the join that a database would make, in any world."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from streaming import MDSWriter, Pack, Side, Stream, StreamingDataLoader, StreamingDataset
from streaming.core.errors import CheckpointError, ConfigError
from streaming.dataset.joins.links import Links

from budget import pairings, share
from copies import Later

duckdb = Later("duckdb")

N, GLOBAL = 60, 6


def write(path: Path, rows: list[dict[str, Any]], side_columns: list[str], size_limit: int = 300) -> str:
    columns = {name: {int: "int", str: "str", bytes: "bytes"}[type(value)] for name, value in rows[0].items()}
    with MDSWriter(out=str(path), columns=columns, side_columns=side_columns or None, size_limit=size_limit) as out:
        for row in rows:
            out.write(row)
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Images; the length of each, by place; and captions of most of them, by key and in another order."""
    path = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    order = rng.permutation(N)[: N - 9].tolist()
    return {
        "images": write(path / "images", [{"id": i, "image": b"i" * i} for i in range(N)], ["id"]),
        "lengths": write(path / "lengths", [{"length": i, "unused": "u" * 9} for i in range(N)], ["length"], 150),
        "captions": write(path / "captions", [{"uuid": i, "caption": f"caption {i}"} for i in order], ["uuid"], 200),
    }


def by_key(data: dict[str, str], missing: Any) -> Side:
    return Side(local=data["captions"], on=("id", "uuid"), columns=["caption"], missing=missing)


def by_place(data: dict[str, str]) -> Side:
    return Side(local=data["lengths"], columns=["length"])


def opened(data: dict[str, str], *sides: Side, **more: Any) -> StreamingDataset:
    return StreamingDataset(streams=[Stream(local=data["images"], join=sides)], **{"batch_size": 1, **more})


def captioned(data: dict[str, str]) -> set[int]:
    return {sample["uuid"] for sample in StreamingDataset(local=data["captions"])[:]}


def test_by_place_and_by_key(data: dict[str, str]) -> None:
    joined = opened(data, by_place(data), by_key(data, None))
    there = captioned(data)
    for i, sample in enumerate(joined[:]):
        assert list(sample) == ["id", "image", "length", "caption"]
        assert sample["id"] == sample["length"] == i
        assert sample["caption"] == (f"caption {i}" if i in there else None)
    assert joined[7] == joined[[7]][0] == list(joined)[7]
    dropped = opened(data, by_key(data, "drop"), shuffle=True)
    assert {sample["id"]: sample["caption"] for sample in dropped} == {i: f"caption {i}" for i in there}
    assert dropped.filter("id > 30").size == len([i for i in there if i > 30])


def test_bins_of_joined_documents(data: dict[str, str], tmp_path: Path) -> None:
    """More bins than rows: each needs what belongs to its shard."""
    side = Side(data["captions"], local=tmp_path / "captions", on=("id", "uuid"), columns=["caption"], missing=None)
    stream = Stream(remote=data["images"], local=tmp_path / "images", join=[side])
    packed = StreamingDataset(streams=[stream], batch_size=1, shuffle=True).pack(Pack("image", to=8, dtype="uint8"))
    assert packed.size > N
    assert sum(len(packed.documents(i).ids) for i in range(packed.size)) == sum(-(-i // 8) for i in range(N))
    assert len(list(packed)) == packed.size


keys = st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=1, max_size=25)


@share(0.5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys, st.lists(st.integers(0, 12), min_size=1, max_size=12, unique=True))
def test_as_a_database_joins(left: list[int | None], right: list[int]) -> None:
    from streaming.dataset.joins.keys import match

    rows = match(pa.chunked_array([pa.array(left, pa.int64())]), pa.chunked_array([pa.array(right)]), "key", "there")
    with duckdb.connect() as connection:
        tables = {"l": pa.table({"key": pa.array(left, pa.int64()), "n": range(len(left))})}
        tables["r"] = pa.table({"key": right, "m": range(len(right))})
        for name, table in tables.items():
            connection.register(name, table)
        expected = connection.execute("select coalesce(m, -1) from l left join r using (key) order by n").fetchall()
    assert [(row,) for row in rows.tolist()] == expected


@pytest.mark.parametrize(
    ("value", "kind", "other", "other_kind"),
    [
        ([1], pa.list_(pa.int64()), [1], pa.list_(pa.int64())),
        ("a", pa.dictionary(pa.int32(), pa.string()), "a", pa.dictionary(pa.int32(), pa.string())),
        (1 << 63, pa.uint64(), 1, pa.int64()),
        (1.5, pa.float16(), 1.5, pa.float16()),
    ],
)
def test_keys_that_are_none_are_refused(value: Any, kind: pa.DataType, other: Any, other_kind: pa.DataType) -> None:
    from streaming.dataset.joins.keys import match

    left, right = pa.array([value], kind), pa.array([other], other_kind)
    expected = f"'key', which is {right.type} at there and {left.type} in the stream. Join on a side column of whole"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        match(pa.chunked_array([left]), pa.chunked_array([right]), "key", "there")


def test_what_is_not_asked_for_is_not_fetched(tmp_path: Path) -> None:
    """Images with ten sets of embeddings, of which two are read."""
    images = write(tmp_path / "images", [{"id": i} for i in range(N)], ["id"])
    for number in range(10):
        rows = [{f"emb{number}": bytes([number, i])} for i in range(N)]
        write(tmp_path / f"emb{number}", rows, [], 150)
    sides = [Side(tmp_path / f"emb{n}", local=tmp_path / "cache" / f"emb{n}") for n in (3, 8)]
    stream = Stream(remote=images, local=tmp_path / "cache" / "images", join=sides)
    joined = StreamingDataset(streams=[stream], batch_size=2, shuffle=True)
    loader = StreamingDataLoader(joined, batch_size=2, num_workers=2, multiprocessing_context="fork", collate_fn=list)
    found = [sample for batch in loader for sample in batch]
    assert sorted(sample["id"] for sample in found) == list(range(N))
    for sample in found:
        assert (sample["emb3"], sample["emb8"]) == (bytes([3, sample["id"]]), bytes([8, sample["id"]]))
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["emb3", "emb8", "images"]
    names = {p.name for part in ("emb3", "images") for p in (tmp_path / part).glob("shard*")}
    assert joined.stats()["files_fetched"] == 2 * len(list((tmp_path / "emb3").glob("shard*"))) + len(
        list((tmp_path / "images").glob("shard*"))
    )
    assert names


def test_with_a_small_cache(data: dict[str, str], tmp_path: Path) -> None:
    lengths = Side(data["lengths"], local=tmp_path / "lengths", columns=["length"])
    captions = Side(
        data["captions"], local=tmp_path / "captions", on=("id", "uuid"), columns=["caption"], missing="drop"
    )
    stream = Stream(remote=data["images"], local=tmp_path / "images", join=[lengths, captions])
    paths = [Path(data[name]) for name in ("images", "lengths", "captions")]
    limit = sum((path / "index.json").stat().st_size for path in paths) + 3000
    assert sum(shard.stat().st_size for path in paths for shard in path.glob("shard*")) > 9000
    joined = StreamingDataset(streams=[stream], batch_size=2, shuffle=True, cache_limit=limit)
    for _ in range(2):
        found = {sample["id"]: sample["length"] for sample in joined}
        assert found == {i: i for i in captioned(data)}
    assert joined.cache_usage <= limit


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(0, 99), st.booleans())
def test_when_shards_of_sides_are_read(sizes: list[int], seed: int, by_place: bool) -> None:
    """Each shard of a side is read whenever a shard is that has rows of it, and at no other time."""
    rng = np.random.default_rng(seed)
    here = np.array([*sizes, 2], np.int64)
    total = int(here.sum())
    there = np.bincount(rng.integers(0, 4, total), minlength=4).astype(np.int64)
    rows = None if by_place else rng.permutation(np.where(rng.random(total) < 0.2, -1, rng.permutation(total)))
    side: Any = SimpleNamespace(source=SimpleNamespace(sizes=there), rows=rows, names=("x",))
    links = Links([SimpleNamespace(sizes=here, joins=(side,))])  # type: ignore[list-item]
    shards = rng.integers(0, len(here), 6)
    first = rng.integers(0, 30, 6)
    last = first + rng.integers(0, 6, 6)
    found, begins, ends = links.spans(shards, first, last)
    assert found[:6].tolist() == shards.tolist()
    shard_of = np.repeat(np.arange(4), there)
    own = np.repeat(np.arange(len(here)), here)
    needed: dict[int, set[int]] = {4: set()}
    for row in range(total):
        other = row if rows is None else int(rows[row])
        if other >= 0:
            for shard, begin, end in zip(shards.tolist(), first.tolist(), last.tolist(), strict=True):
                if shard == own[row]:
                    needed.setdefault(int(shard_of[other]), set()).update(range(begin, end + 1))
    told: dict[int, list[int]] = {}
    for shard, begin, end in zip(found[6:].tolist(), begins[6:].tolist(), ends[6:].tolist(), strict=True):
        told.setdefault(shard - len(here), []).extend(range(begin, end + 1))
    assert {shard: sorted(times) for shard, times in needed.items() if times} == {k: sorted(v) for k, v in told.items()}


def noised(sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return {**sample, "noise": int(rng.integers(1 << 30))}


def halves(sample: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**sample, "part": i} for i in range(2)]


VIEWS: dict[str, Callable[[Any], Any]] = {
    "all": lambda d: d,
    "view": lambda d: d.filter("id % 3 > 0"),
    "function": lambda d: d.take(50).map(noised, rng=True),
    "parts": lambda d: d.flat_map(halves, 2).drop([0, 5]),
}


def play(data: dict[str, str], case: Any, world: int, workers: Any, steps: int | None, state: Any) -> tuple[Any, Any]:
    view, missing, others = case
    batches: list[list[str]] = []
    found = None
    for rank in range(world):
        streams = [Stream(local=data["images"], join=[by_place(data), by_key(data, missing)])]
        streams += [Stream(local=data["images"])] * others
        joined = VIEWS[view](
            StreamingDataset(
                streams=streams,
                batch_size=GLOBAL // world,
                shuffle=True,
                num_canonical_nodes=1,
                data_parallel_rank=rank,
                data_parallel_size=world,
            )
        )
        more = {"num_workers": 2 if workers == "fork" else 1, "multiprocessing_context": workers} if workers else {}
        loader = StreamingDataLoader(joined, batch_size=GLOBAL // world, collate_fn=list, **more)
        if state is not None:
            loader.load_state_dict(state)
        for step, batch in enumerate(loader):
            if len(batches) <= step:
                batches.append([])
            batches[step] += [ascii(sorted(sample.items())) for sample in batch]
            if step + 1 == steps:
                break
        found = json.loads(json.dumps(loader.state_dict()))
    return [sorted(batch) for batch in batches], found


@pytest.mark.parametrize(
    ("view", "missing", "others", "world", "workers"),
    pairings(sorted(VIEWS), [None, "drop"], [0, 1], [1, 2], [None, "fork"]),
)
def test_stopped_and_resumed(
    data: dict[str, str], view: str, missing: Any, others: int, world: int, workers: Any
) -> None:
    check_resuming(data, (view, missing, others), world, workers, 3)


@pytest.mark.parametrize("context", [pytest.param("spawn", marks=pytest.mark.long), "forkserver"])
@share(0.025, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.tuples(st.sampled_from(sorted(VIEWS)), st.sampled_from([None, "drop"]), st.sampled_from([0, 1])),
    st.sampled_from([1, 2]),
    st.integers(1, 6),
)
def test_workers_that_begin_anew(data: dict[str, str], context: str, case: Any, world: int, steps: int) -> None:
    check_resuming(data, case, world, context, steps)


def check_resuming(data: dict[str, str], case: Any, world: int, workers: Any, steps: int) -> None:
    whole, _ = play(data, case, 1, None, None, None)
    begun, state = play(data, case, world, workers, steps, None)
    rest, _ = play(data, case, 3 - world, None, None, state)
    assert (begun + rest)[:-1] == whole[:-1]
    assert set((begun + rest)[-1]) == set(whole[-1])


def test_checkpoints_of_other_joins_are_refused(data: dict[str, str]) -> None:
    state = opened(data, by_place(data)).state_dict()
    opened(data, by_place(data)).load_state_dict(state)
    for other in (opened(data), opened(data, by_place(data), by_key(data, None))):
        with pytest.raises(CheckpointError, match="units"):
            other.load_state_dict(state)


def test_what_does_not_belong_together_is_refused(data: dict[str, str], tmp_path: Path) -> None:
    twice = write(tmp_path / "twice", [{"id": 3, "text": "a"}, {"id": 3, "text": "b"}], ["id"])
    words = write(tmp_path / "words", [{"id": "three", "text": "a"}], ["id"])
    for side, text in (
        (Side(local=data["captions"]), r"images has 60 samples and .*captions 51"),
        (by_key(data, "raise"), r"9 samples of .*images have no row at .*captions by 'id', the first of them \d+"),
        (Side(local=twice, on="id", columns=["text"]), r"The key 3 in 'id' is there 2 times at .*twice"),
        (Side(local=words, on="id", columns=["text"], missing=None), "'id'"),
        (Side(local=twice, on="id"), r"Both .*images and .*twice have 'id'"),
        (Side(local=data["lengths"], columns=["nothing"]), "no column 'nothing'"),
        (Side(local=data["captions"], on="nothing", columns=["caption"]), "no column 'nothing'"),
        (Side(local=words, on="id", columns=["text"], missing="drop"), "'id'|leaves no sample"),
    ):
        with pytest.raises(ConfigError, match=text):
            opened(data, side)
    for wrong in (
        lambda: Side("x", missing="skip"),
        lambda: Side("x", on=3),
        lambda: Stream(local="x", join=["y"]),
        lambda: Stream(local="x", join=3),
    ):
        with pytest.raises(ConfigError):
            wrong()  # type: ignore[no-untyped-call]
