"""Batches made from the shards at once are those that ``default_collate`` makes of the samples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, default_collate, get_worker_info

from streaming import MDSWriter, Side, Stream, StreamingDataLoader, StreamingDataset

from budget import repetitions, share

SCALARS = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
N = 43


def value(encoding: str, i: int) -> Any:
    kind, _, rest = encoding.partition(":")
    if kind == "ndarray":
        dtype, _, shape = rest.partition(":")
        dims = [int(d) for d in shape.split(",")] if shape else [2, 3]
        return (np.arange(np.prod(dims)) + i).astype(dtype or "int32").reshape(dims)
    if kind in SCALARS:
        return np.dtype(kind).type(i * 3 % 127)
    if kind == "long":
        return bytes([i]) * 9_000
    makers: dict[str, Callable[[int], Any]] = {
        "int": lambda i: i - 20,
        "str": lambda i: f"\u00e4\U0001f600 {i}" * (i % 4),
        "bytes": lambda i: bytes([i]) * (i % 5),
        "json": lambda i: {"a": [i, i + 1], "b": str(i)},
        "str_int": lambda i: 10**12 + i,
        "str_float": lambda i: i / 7,
        "jpeg": lambda i: None,
    }
    return makers[kind](i)


def write(out: Path, columns: dict[str, str], order: Sequence[int] = range(N), key: str | None = None) -> str:
    encodings = {name: "bytes" if encoding == "long" else encoding for name, encoding in columns.items()}
    with MDSWriter(out=str(out), columns=encodings, size_limit=1 << 12, side_columns=key) as writer:
        for i in order:
            writer.write({name: value(encoding, i) for name, encoding in columns.items()})
    return str(out)


def by_samples(samples: Sequence[Any]) -> Any:
    """What the default does, in a function that it does not know."""
    copies: list[Any] = [{k: v.copy() if isinstance(v, np.ndarray) else v for k, v in s.items()} for s in samples]
    return default_collate(copies)


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.is_contiguous()
        assert found.numpy().flags.writeable
        assert np.array_equal(found.numpy(), expected.numpy())
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    else:
        assert found == expected


def open_dataset(path: str, **kwargs: Any) -> StreamingDataset:
    return StreamingDataset(**{"local": path, "batch_size": 5, "shuffle": True, "num_canonical_nodes": 1, **kwargs})


def check(path: str, workers: int = 0, start: str | None = None, drop_last: bool = False, **kwargs: Any) -> None:
    options: dict[str, Any] = {
        "batch_size": 5,
        "num_workers": workers,
        "multiprocessing_context": start,
        "drop_last": drop_last,
    }
    found = list(StreamingDataLoader(open_dataset(path, **kwargs), **options))
    expected = list(StreamingDataLoader(open_dataset(path, **kwargs), collate_fn=by_samples, **options))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


CASES = {
    "tokens": {"x": "ndarray:uint16:64"},
    "image": {"x": "ndarray:uint8:2,3,4", "y": "int"},
    "scalars": {name: name for name in SCALARS},
    "int": {"x": "int"},
    "text": {"x": "str", "n": "int", "w": "float32"},
    "binary": {"x": "bytes"},
    "long": {"x": "long", "i": "int"},
    "arrays": {"x": "ndarray", "y": "ndarray:float32"},
    "nested": {"x": "json", "y": "str_int", "z": "str_float"},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("drop_last", [False, True])
def test_same_as_by_samples(tmp_path: Path, name: str, drop_last: bool) -> None:
    check(write(tmp_path, CASES[name]), drop_last=drop_last)


FORKED = ("scalars", "text", "arrays", "nested")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FORKED else pytest.mark.long) for name in CASES]
)
def test_same_from_forked_workers(tmp_path: Path, name: str) -> None:
    check(write(tmp_path, CASES[name]), 2, "fork")


@pytest.mark.parametrize("start", [pytest.param("spawn", marks=pytest.mark.long), "forkserver"])
def test_same_from_other_workers(tmp_path: Path, start: str) -> None:
    check(write(tmp_path, CASES["image"]), 2, start, drop_last=True)


encodings = st.sampled_from(
    [*SCALARS, "int", "str", "bytes", "ndarray:int64:1", "ndarray:float32:3,1", "ndarray:uint8", "str_int"]
)


@share(0.25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=st.lists(encodings, min_size=1, max_size=6), batch_size=st.integers(1, 60))
def test_same_whatever_the_columns(
    tmp_path_factory: pytest.TempPathFactory, columns: list[str], batch_size: int
) -> None:
    path = write(tmp_path_factory.mktemp("d"), {f"c{i}": encoding for i, encoding in enumerate(columns)})
    datasets = [open_dataset(path, batch_size=batch_size) for _ in range(2)]
    found = list(StreamingDataLoader(datasets[0], batch_size=batch_size))
    expected = list(StreamingDataLoader(datasets[1], batch_size=batch_size, collate_fn=by_samples))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


@share(0.25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.lists(encodings, min_size=2, max_size=7),
    num_own=st.integers(0, 7),
    by_key=st.booleans(),
    copies=st.integers(1, 2),
    batch_size=st.integers(1, 60),
    workers=st.sampled_from([0] * 9 + [1]),
)
def test_joined_as_by_samples(
    tmp_path_factory: pytest.TempPathFactory,
    columns: list[str],
    num_own: int,
    by_key: bool,
    copies: int,
    batch_size: int,
    workers: int,
) -> None:
    """The columns of a stream and of two datasets that are joined to it, alone or mixed with another such stream."""
    path = tmp_path_factory.mktemp("d")
    named = [(f"c{i}", encoding) for i, encoding in enumerate(columns)]
    streams: list[Stream] = []
    for number in range(copies):
        order = np.random.default_rng(number).permutation(N).tolist() if by_key else range(N)
        own = write(path / f"own{number}", {"key": "int", **dict(named[:num_own])}, key="key")
        other = write(path / f"other{number}", {"there": "int", **dict(named[num_own:])}, order, "there")
        third = write(path / f"third{number}", {"image": "ndarray:uint8:2,2"})
        on = ("key", "there") if by_key else None
        streams.append(Stream(local=own, join=[Side(local=other, on=on), Side(local=third)]))
    found, expected = (
        list(
            StreamingDataLoader(
                open_dataset("", local=None, streams=streams, batch_size=batch_size),
                batch_size=batch_size,
                num_workers=workers,
                multiprocessing_context="fork" if workers else None,
                **more,
            )
        )
        for more in ({}, {"collate_fn": by_samples})
    )
    assert sum(len(batch["key"]) for batch in found) == N * copies
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("workers", [0, 1])
def test_joined_columns_that_some_lack(tmp_path: Path, workers: int) -> None:
    own = write(tmp_path / "own", {"key": "int"}, key="key")
    few = write(tmp_path / "few", {"there": "int", "x": "float32"}, range(9), "there")
    with pytest.raises(Exception, match="Column 'x' is None in"):
        list(StreamingDataLoader(joined(own, few, None), batch_size=5, num_workers=workers))
    batches = list(StreamingDataLoader(joined(own, few, "drop"), batch_size=5, num_workers=workers))
    assert sorted(x for batch in batches for x in batch["x"].tolist()) == [i * 3 for i in range(9)]


def joined(own: str, few: str, missing: str | None) -> StreamingDataset:
    side = Side(local=few, on=("key", "there"), columns=["x"], missing=missing)
    return StreamingDataset(streams=[Stream(local=own, join=[side])], batch_size=5, shuffle=True)


def test_functions_of_arrays(tmp_path: Path) -> None:
    """Arrays that cannot be written make batches too, without a word of PyTorch's."""
    path = write(tmp_path, CASES["image"])
    found = list(StreamingDataLoader(open_dataset(path).map(dict), batch_size=5))
    expected = list(StreamingDataLoader(open_dataset(path), batch_size=5, collate_fn=by_samples))
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


@given(data=st.data())
@share(0.25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_at_once_are_those_one_by_one(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    columns = data.draw(st.lists(encodings, min_size=1, max_size=3))
    path = write(tmp_path_factory.mktemp("d"), {f"c{i}": encoding for i, encoding in enumerate(columns)})
    dataset = open_dataset(path)
    ids = data.draw(st.lists(st.integers(-N, N - 1), max_size=200))
    many = dataset[np.array(ids, np.int64)]
    assert len(many) == len(ids)
    for a, i in zip(many, ids, strict=True):
        b = dataset[i]
        assert list(a) == list(b)
        for key in b:
            assert type(a[key]) is type(b[key])
            assert np.array_equal(a[key], b[key])
            if isinstance(b[key], np.ndarray):
                assert (a[key].dtype, a[key].flags.writeable) == (b[key].dtype, b[key].flags.writeable)


def test_streams_of_different_columns(tmp_path: Path) -> None:
    """The fast path serves a batch of one kind; a mixed one does what ``default_collate`` does."""
    a = write(tmp_path / "a", {"x": "int", "y": "float32"})
    b = write(tmp_path / "b", {"y": "float32", "x": "int"})

    def make() -> StreamingDataset:
        streams = [Stream(local=a), Stream(local=b)]
        return StreamingDataset(streams=streams, batch_size=5, shuffle=True, num_canonical_nodes=1)

    found = list(StreamingDataLoader(make(), batch_size=5))
    expected = list(StreamingDataLoader(make(), batch_size=5, collate_fn=by_samples))
    for x, y in zip(found, expected, strict=True):
        assert_same(x, y)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning")
def test_arrays_of_different_shapes_are_refused(tmp_path: Path) -> None:
    with MDSWriter(out=str(tmp_path), columns={"x": "ndarray"}) as writer:
        for i in range(10):
            writer.write({"x": np.zeros(i + 1)})
    with pytest.raises(RuntimeError, match="Column 'x' holds arrays of different shapes"):
        list(StreamingDataLoader(open_dataset(str(tmp_path)), batch_size=5))


def test_a_number_that_torch_has_no_type_for(tmp_path: Path) -> None:
    with MDSWriter(out=str(tmp_path), columns={"x": "uint64"}) as writer:
        for i in range(10):
            writer.write({"x": np.uint64(i)})
    by_default: Any = by_default_of(tmp_path)
    if isinstance(by_default, Exception):
        with pytest.raises(type(by_default)):
            list(StreamingDataLoader(open_dataset(str(tmp_path)), batch_size=5))


def by_default_of(path: Path) -> Any:
    try:
        return default_collate(open_dataset(str(path))[:5])
    except Exception as error:
        return error


class Doubled(StreamingDataset):
    def __getitem__(self, at: Any) -> Any:
        return {"x": 2 * super().__getitem__(at)["x"]}


class Tripled(StreamingDataset):
    def get_item(self, sample_id: int, retry: int = 7) -> Any:
        return {"x": 3 * super().get_item(sample_id, retry)["x"]}


class Reordered(StreamingDataset):
    def __iter__(self) -> Any:
        return iter(sorted(super().__iter__(), key=lambda sample: sample["x"]))


@pytest.mark.parametrize(("kind", "factor"), [(Doubled, 2), (Tripled, 3), (Reordered, 1)])
@pytest.mark.parametrize("workers", [0, 1])
def test_classes_of_users_are_asked(tmp_path: Path, kind: type[StreamingDataset], factor: int, workers: int) -> None:
    path = write(tmp_path, {"x": "int"})
    dataset = kind(local=path, batch_size=5, shuffle=True)
    found = [
        i for batch in StreamingDataLoader(dataset, batch_size=5, num_workers=workers) for i in batch["x"].tolist()
    ]
    expected = [factor * (i - 20) for i in range(N)]
    assert (found if kind is Reordered else sorted(found)) == expected
    assert dataset[3]["x"] == factor * -17


class Rich(StreamingDataset):
    def __getitem__(self, at: Any) -> Any:
        i = super().__getitem__(at)["x"]
        return {
            "array": np.full((2, 3), i, np.float32),
            "tensor": torch.full((4,), i, dtype=torch.bfloat16),
            "ints": torch.arange(i, i + 3),
            "number": i,
            "long": "x" * 20_000,
            "name": str(i),
            "nested": {"pair": (torch.tensor(i), i / 2)},
        }


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_batches_of_a_users_class_come_in_one_block(tmp_path: Path, start: str) -> None:
    path = write(tmp_path, {"x": "int"})
    data = Rich(local=path, batch_size=5)
    expected = list(DataLoader(data, batch_size=5))
    data.set_epoch(0)
    loader = StreamingDataLoader(data, batch_size=5, num_workers=1, multiprocessing_context=start)
    found = list(loader)
    for batch, other in zip(found, expected, strict=True):
        assert type(batch) is dict
        assert list(batch) == list(other)
        assert all(torch.equal(batch[k], other[k]) for k in ("array", "tensor", "ints", "number"))
        assert all(str(batch[k]) == str(other[k]) for k in ("long", "name", "nested"))
        assert batch["array"].untyped_storage().data_ptr() == batch["ints"].untyped_storage().data_ptr()
    assert loader.state_dict() == data.state_dict(N, False)


def tell_class(_worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    assert isinstance(info.dataset, StreamingDataset)
    assert type(info.dataset).__name__ == "StreamingDataset"


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_workers_see_the_dataset(tmp_path: Path, start: str) -> None:
    path = write(tmp_path, {"x": "int"})
    loader = StreamingDataLoader(
        open_dataset(path), batch_size=5, num_workers=1, multiprocessing_context=start, worker_init_fn=tell_class
    )
    assert sum(len(batch["x"]) for batch in loader) == N


def test_the_loader_says_what_it_was_given(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, {"x": "int"}))
    loader = StreamingDataLoader(dataset, batch_size=5, drop_last=True)
    next(iter(loader))
    assert loader.dataset is dataset
    assert (loader.batch_size, loader.drop_last, loader.collate_fn) == (5, True, default_collate)
    assert loader.state_dict() is not None


def test_a_checkpoint_of_batches_continues_with_samples(tmp_path: Path) -> None:
    path = write(tmp_path, {"x": "int"})
    loader = StreamingDataLoader(open_dataset(path), batch_size=5, num_workers=2)
    batches = iter(loader)
    seen = [next(batches)["x"].tolist() for _ in range(3)]
    state = loader.state_dict()
    dataset = open_dataset(path)
    resumed = StreamingDataLoader(dataset, batch_size=5, collate_fn=by_samples)
    resumed.load_state_dict(state)
    seen += [batch["x"].tolist() for batch in resumed]
    assert sorted(i for batch in seen for i in batch) == [i - 20 for i in range(N)]


def test_values_outlive_their_shards(tmp_path: Path) -> None:
    remote = write(tmp_path / "remote", CASES["tokens"])
    dataset = open_dataset(str(tmp_path / "cache"), remote=remote, shuffle=False)
    samples = dataset[:]
    batches = list(StreamingDataLoader(dataset, batch_size=5))
    for shard in range(dataset.num_shards):
        dataset.evict_shard(shard)
    dataset.close()
    for i in range(N):
        expected = value("ndarray:uint16:64", i)
        assert np.array_equal(samples[i]["x"], expected)
        assert np.array_equal(batches[i // 5]["x"][i % 5].numpy(), expected)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", ["text", "size"])
def test_a_damaged_sample_is_named(tmp_path: Path, damage: str, workers: int) -> None:
    path = Path(write(tmp_path, {"x": "str", "n": "int"}))
    dataset = open_dataset(str(path), shuffle=False)
    shard = path / "shard.00000.mds"
    data = bytearray(shard.read_bytes())
    begin = int.from_bytes(data[4 + 4 * 7 : 8 + 4 * 7], "little")
    at = begin + (12 if damage == "text" else 0)  # after the size of the text and the number comes the text
    data[at] ^= 255
    shard.write_bytes(data)
    os.utime(shard, ns=(1, 1))
    loader = StreamingDataLoader(dataset, batch_size=5, num_workers=workers)
    column = ", column 'x'" if damage == "text" else ""
    with pytest.raises(Exception, match=rf"shard\.00000\.mds, sample 7{column}: ") as raised:
        list(loader)
    assert "ShardFormatError" in type(raised.value).__name__ + str(raised.value)


GROWTH = """
import gc, os, sys, time
from streaming import StreamingDataLoader, StreamingDataset

def files():
    # What is fetched for the epoch to come is open for a moment, and shards are as many as fit under the limit.
    fewest = 1000
    for _ in range(50):
        fewest = min(fewest, sum(map(is_ours, os.listdir("/proc/self/fd"))))
        time.sleep(0.02)
    return fewest

def is_ours(fd):
    try:
        return not os.readlink(f"/proc/self/fd/{fd}").endswith(".mds")
    except OSError:
        return False  # closed meanwhile

def held():
    kb = 0
    for pid in [os.getpid(), *children()]:
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith(("Private_Clean", "Private_Dirty")):
                kb += int(line.split()[1])
    return kb, files()

def children():
    return [int(p) for p in open(f"/proc/self/task/{os.getpid()}/children").read().split()]

path, cache, limit, epochs = *sys.argv[1:3], *map(int, sys.argv[3:])
for workers in (0, 2):
    dataset = StreamingDataset(
        remote=path, local=f"{cache}{workers}", batch_size=8, shuffle=True, shuffle_block_size=100, cache_limit=limit
    )
    loader = StreamingDataLoader(dataset, batch_size=8, num_workers=workers, persistent_workers=workers > 0)
    found = []
    for epoch in range(epochs):
        count = sum(len(batch["i"]) for batch in loader)
        assert count == 400, count
        gc.collect()
        if epoch in (3, epochs - 1):
            found.append(held())
    (kb, fds), (kb_later, fds_later) = found
    print(workers, kb, kb_later, fds, fds_later)
    assert kb_later - kb < min(512 * (epochs - 4), 4096), (workers, kb, kb_later)
    assert fds_later <= fds + 4, (workers, fds, fds_later)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="asks the kernel of Linux for the memory")
def test_memory_does_not_grow(tmp_path: Path) -> None:
    remote = str(tmp_path / "remote")
    with MDSWriter(out=remote, columns={"x": "bytes", "t": "ndarray:uint8:500", "i": "int"}, size_limit=40_000) as out:
        for i in range(400):
            out.write({"x": bytes(2000), "t": np.zeros(500, np.uint8), "i": i})
    arguments = [remote, str(tmp_path / "cache"), "500000", str(repetitions("STREAMING_TEST_EPOCHS", 7, 100))]
    subprocess.run([sys.executable, "-c", GROWTH, *arguments], check=True, timeout=280)
