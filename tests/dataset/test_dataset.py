"""Opening datasets, random access, and what a new user gets wrong."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import LocalDataset, MDSWriter, Stream, StreamingDataset

from sample_data import sample, write_dataset

Make = Callable[..., str]


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_random_access(make_dataset: Make, tmp_path: Path, compression: str | None) -> None:
    remote = make_dataset(compression=compression)
    dataset = StreamingDataset(remote=remote, local=str(tmp_path / "cache"))
    assert dataset.size == len(dataset) == 300
    expected = [sample(i) for i in range(300)]
    assert dataset[7] == expected[7]
    assert dataset[-1] == expected[-1]
    assert dataset[::-1] == expected[::-1]
    assert dataset[5:290:37] == expected[5:290:37]
    assert dataset[[3, -3, 200]] == [expected[i] for i in (3, -3, 200)]
    assert dataset[np.array([[1, 299], [0, 150]])] == [[expected[1], expected[299]], [expected[0], expected[150]]]
    mask = np.zeros(300, bool)
    mask[[4, 250]] = True
    assert dataset[mask] == [expected[4], expected[250]]
    for bad in (300, -301):
        with pytest.raises(IndexError):
            dataset[bad]


@pytest.mark.apart
def test_looking_ahead_over_a_whole_long_epoch(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset()
    wide, narrow = (
        StreamingDataset(
            remote=remote,
            local=str(tmp_path / str(predownload)),
            epoch_size="40m",
            predownload=predownload,
            batch_size=4,
            shuffle=True,
        )
        for predownload in (40_000_000, 4)
    )
    first = [sample["id"] for sample in islice(wide, 70_000)]
    assert first == [sample["id"] for sample in islice(narrow, 70_000)]
    assert len(list((tmp_path / "40000000").glob("shard*.mds"))) == wide.num_shards


def test_only_the_shard_that_is_read_is_fetched(make_dataset: Make, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    dataset = StreamingDataset(remote=make_dataset(), local=str(cache))
    assert not list(cache.glob("shard*"))
    _ = dataset[150]
    assert len(list(cache.glob("shard*"))) == 1
    assert dataset.cache_usage == sum(os.path.getsize(p) for p in [*cache.glob("shard*"), cache / "index.json"])


def test_a_subclass_is_asked(make_dataset: Make) -> None:
    class Upper(StreamingDataset):
        def get_item(self, sample_id: int, retry: int = 7) -> Any:
            return super().get_item(sample_id, retry)["text"].upper()

    class Doubled(StreamingDataset):
        def __getitem__(self, at: Any) -> Any:
            return super().__getitem__(at)["id"] * 2

    local = make_dataset()
    upper = Upper(local=local, batch_size=4)
    assert upper[1] == sample(1)["text"].upper()
    assert list(upper)[:3] == [sample(i)["text"].upper() for i in range(3)]
    assert list(Doubled(local=local, batch_size=4))[:3] == [0, 2, 4]


def test_local_only_reads_in_place(make_dataset: Make) -> None:
    local = make_dataset()
    before = sorted(os.listdir(local))
    dataset = StreamingDataset(local=local)
    assert dataset[299] == sample(299)
    for shard in range(dataset.num_shards):
        dataset.evict_shard(shard)  # not this cache's to remove
    assert sorted(os.listdir(local)) == before


def test_read_only_directory_is_enough(make_dataset: Make) -> None:
    local = make_dataset()
    os.chmod(local, 0o555)
    try:
        assert StreamingDataset(local=local)[3] == sample(3)
        assert LocalDataset(local)[3] == sample(3)
    finally:
        os.chmod(local, 0o755)


def test_split(tmp_path: Path) -> None:
    write_dataset(str(tmp_path / "remote" / "train"), 20)
    dataset = StreamingDataset(remote=str(tmp_path / "remote"), local=str(tmp_path / "cache"), split="train")
    assert dataset[3] == sample(3)
    assert (tmp_path / "cache" / "train" / "index.json").exists()
    assert LocalDataset(str(tmp_path / "remote"), "train")[3] == sample(3)


def test_default_local_is_shared_and_reused(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    remote = make_dataset()
    for _ in range(2):
        assert StreamingDataset(remote=remote)[3] == sample(3)
    assert len(os.listdir(tmp_path / "tmp")) == 1


def test_mixed_streams(tmp_path: Path) -> None:
    for name, count in (("a", 120), ("b", 80)):
        write_dataset(str(tmp_path / name), count)
    streams = [Stream(local=str(tmp_path / "a")), Stream(remote=str(tmp_path / "b"), local=str(tmp_path / "c"))]
    for _ in range(2):  # stream objects are only configuration
        dataset = StreamingDataset(streams=streams, batch_size=4)
        assert dataset.size == 200
        assert dataset[120] == sample(0)
        assert dataset.samples_per_stream.tolist() == [120, 80]
        assert dataset.num_streams == 2


def test_same_directory_for_two_remotes(tmp_path: Path) -> None:
    for name in "ab":
        write_dataset(str(tmp_path / name), 10)
    streams = [Stream(remote=str(tmp_path / name), local=str(tmp_path / "cache")) for name in "ab"]
    with pytest.raises(ValueError, match="own `local`"):
        StreamingDataset(streams=streams)


def test_cache_of_another_dataset_is_replaced(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    write_dataset(str(tmp_path / "a"), 100)
    with MDSWriter(
        columns={"id": "int", "text": "str"}, out=str(tmp_path / "b"), size_limit=3500, hashes=["xxh64"]
    ) as writer:
        for i in range(100):
            writer.write({**sample(i), "id": -i})
    assert [s["id"] for s in StreamingDataset(remote=str(tmp_path / "a"), local=cache)[:]] == list(range(100))
    assert [s["id"] for s in StreamingDataset(remote=str(tmp_path / "b"), local=cache)[:]] == [-i for i in range(100)]


def test_remote_gone_after_caching(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset()
    cache = str(tmp_path / "cache")
    _ = StreamingDataset(remote=remote, local=cache)[:]
    shutil.rmtree(remote)
    assert StreamingDataset(remote=remote, local=cache)[:] == [sample(i) for i in range(300)]


def test_pickle(make_dataset: Make, tmp_path: Path) -> None:
    dataset = StreamingDataset(remote=make_dataset(), local=str(tmp_path / "cache"), batch_size=4)
    _ = dataset[0]
    again = pickle.loads(pickle.dumps(dataset))
    assert again[5] == sample(5)
    assert [s["id"] for s in again] == list(range(300))


def test_pkl_is_refused(tmp_path: Path) -> None:
    out = str(tmp_path / "data")
    with MDSWriter(columns={"x": "pkl"}, out=out) as writer:
        writer.write({"x": {1: 2}})
    for open_it in (lambda **k: StreamingDataset(local=out, **k), lambda **k: LocalDataset(out, **k)):
        with pytest.raises(ValueError, match="allow_unsafe_types"):
            open_it()
        assert open_it(allow_unsafe_types=True)[0] == {"x": {1: 2}}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sampling_method": "fair"}, "balanced, fixed"),
        ({"sampling_granularity": 0}, "sampling_granularity"),
        ({"batching_method": "none"}, "stratified"),
        ({"partition_algo": "new"}, "orig"),
        ({"shuffle_algo": "py9"}, "py1e"),
        ({"shuffle_seed": -1}, "shuffle_seed"),
        ({"shuffle_block_size": "64k"}, "shuffle_block_size"),
        ({"num_canonical_nodes": -2}, "num_canonical_nodes"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"epoch_size": -1}, "epoch_size"),
        ({"epoch_size": "many"}, "many"),
        ({"predownload": -1}, "predownload"),
        ({"cache_limit": "1kb"}, "cache_limit"),
        ({"cache_limit": "much"}, "much"),
        ({"replication": 0}, "replication"),
        ({"replication": 2}, "replication"),
        ({"download_retry": -1}, "download_retry"),
        ({"download_timeout": 0}, "download_timeout"),
        ({"validate_hash": "crc7"}, "crc7"),
        ({"streams": []}, None),
        ({"stream_name": "mine"}, "mine"),
        ({"data_parallel_rank": 1}, "data_parallel_size"),
        ({"data_parallel_rank": 2, "data_parallel_size": 2}, "data_parallel_rank"),
    ],
)
def test_bad_arguments_are_refused_at_construction(
    make_dataset: Make, arguments: dict[str, Any], text: str | None
) -> None:
    local = make_dataset()
    if text is None:
        StreamingDataset(local=local, **arguments)
        return
    with pytest.raises(ValueError, match=text):
        StreamingDataset(local=local, **arguments)


def test_streams_or_remote(make_dataset: Make) -> None:
    with pytest.raises(ValueError, match="neither"):
        StreamingDataset()
    with pytest.raises(ValueError, match="both"):
        StreamingDataset(streams=[Stream(local="x")], local=make_dataset())
    with pytest.raises(ValueError, match="at most one"):
        Stream(local="x", repeat=2, choose=3)


def test_no_batch_size(make_dataset: Make) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        list(StreamingDataset(local=make_dataset()))


def test_wrong_path(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="index.json"):
        StreamingDataset(local=str(tmp_path / "nothing"))
    with pytest.raises(RuntimeError, match="split"):
        StreamingDataset(remote=str(tmp_path / "nothing"), local=str(tmp_path / "cache"))
    with pytest.raises(RuntimeError, match="index.json"):
        LocalDataset(str(tmp_path / "nothing"))


def test_index_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(json.dumps({"version": 2, "shards": []}))
    with pytest.raises(RuntimeError, match="no samples"):
        StreamingDataset(local=str(tmp_path))


def test_bad_index(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text("{")
    with pytest.raises(json.JSONDecodeError, match="index.json"):
        StreamingDataset(local=str(tmp_path))
    path.write_text('{"version": 1, "shards": []}')
    with pytest.raises(ValueError, match="version"):
        StreamingDataset(local=str(tmp_path))


def test_unknown_scheme() -> None:
    with pytest.raises(ValueError, match="nosuch"):
        StreamingDataset(remote="nosuch://bucket/data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_cache_directory_that_cannot_be_written(make_dataset: Make, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o555)
    with pytest.raises(OSError, match="cache"):
        StreamingDataset(remote=make_dataset(), local=str(tmp_path / "cache"))
