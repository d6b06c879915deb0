"""Code that catches the original's exceptions goes on catching them: the builtin class of each condition."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streaming
from streaming import CSVWriter, JSONWriter, MDSWriter, Stream, StreamingDataset
from streaming.base.compression import compress, decompress, get_compression_extension
from streaming.base.format.mds.encodings import mds_decode, mds_encode
from streaming.base.hashing import get_hash
from streaming.base.partition import get_partitions
from streaming.base.sampling import get_sampling
from streaming.base.shuffle import get_shuffle
from streaming.base.util import merge_index
from streaming.base.world import World

from sample_data import write_dataset

Case = Callable[[Path], Any]


def data(path: Path, **kwargs: Any) -> str:
    write_dataset(path / "data", 120, **kwargs)
    return str(path / "data")


def dataset(path: Path, **kwargs: Any) -> StreamingDataset:
    return StreamingDataset(local=data(path), **kwargs)


def iterate(path: Path, **kwargs: Any) -> None:
    for _ in dataset(path, **{"batch_size": 4, "shuffle_algo": "py1e", "shuffle": True, **kwargs}):
        pass


def resume(path: Path, samples: int) -> None:
    made = dataset(path, batch_size=4)
    made.load_state_dict({**made.state_dict(0), "epoch": 0, "sample_in_epoch": samples})
    list(made)


def index(path: Path, text: str) -> StreamingDataset:
    (path / "index.json").write_text(text)
    return StreamingDataset(local=str(path))


def edited_index(path: Path, **values: Any) -> StreamingDataset:
    stored = json.loads((Path(data(path)) / "index.json").read_text())
    return index(path / "data", json.dumps({**stored, **values}))


def mixed(path: Path, first: dict[str, Any], second: dict[str, Any], **kwargs: Any) -> None:
    for name in ("a", "b"):
        write_dataset(path / name, 100)
    streams = [Stream(local=str(path / "a"), **first), Stream(local=str(path / "b"), **second)]
    list(StreamingDataset(streams=streams, batch_size=4, **kwargs))


def write(path: Path, sample: dict[str, Any], make: Any = MDSWriter, columns: Any = None, **kwargs: Any) -> None:
    with make(columns=columns or {"a": "int", "b": "str"}, out=str(path / "out"), **kwargs) as writer:
        writer.write(sample)


def damage(path: Path) -> Any:
    remote = data(path)
    shard = Path(remote) / "shard.00000.mds"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\0")
    made = StreamingDataset(remote=remote, local=str(path / "cache"), download_retry=0, validate_hash="xxh64")
    return made[50]


def pickled(path: Path) -> StreamingDataset:
    with MDSWriter(columns={"a": "pkl"}, out=str(path / "out")) as writer:
        writer.write({"a": {1}})
    return StreamingDataset(local=str(path / "out"))


CASES: dict[str, tuple[type[Exception], Case]] = {
    # Datasets.
    "both streams and local": (ValueError, lambda p: dataset(p, streams=[Stream(local=str(p))])),
    "neither streams nor local": (ValueError, lambda p: StreamingDataset()),
    "no streams": (ValueError, lambda p: StreamingDataset(streams=[])),
    "sampling_method": (ValueError, lambda p: dataset(p, sampling_method="x")),
    "batching_method": (ValueError, lambda p: dataset(p, batching_method="x")),
    "sampling_granularity": (ValueError, lambda p: dataset(p, sampling_granularity=0)),
    "shuffle_seed": (ValueError, lambda p: dataset(p, shuffle_seed=-1)),
    "epoch_size": (ValueError, lambda p: dataset(p, epoch_size=-1)),
    "epoch_size text": (ValueError, lambda p: dataset(p, epoch_size="many")),
    "replication": (ValueError, lambda p: dataset(p, replication=0)),
    "replication of one rank": (ValueError, lambda p: dataset(p, replication=2)),
    "no samples": (RuntimeError, lambda p: index(p, '{"shards": [], "version": 2}')),
    "cache_limit below the index": (ValueError, lambda p: dataset(p, cache_limit=10)),
    "cache_limit below four shards": (ValueError, lambda p: dataset(p, cache_limit="8kb")),
    "stream_name": (ValueError, lambda p: dataset(p, stream_name="x")),
    "pickled columns": (ValueError, pickled),
    "one directory for two remotes": (
        ValueError,
        lambda p: StreamingDataset(streams=[Stream(remote=str(p / n), local=str(p / "c")) for n in "ab"]),
    ),
    "no index": (RuntimeError, lambda p: StreamingDataset(local=str(p))),
    "no index at the remote": (RuntimeError, lambda p: StreamingDataset(remote=str(p / "x"), local=str(p / "y"))),
    "index is not JSON": (json.JSONDecodeError, lambda p: index(p, "{")),
    "version of the index": (ValueError, lambda p: edited_index(p, version=3)),
    # Streams.
    "two weights": (ValueError, lambda p: Stream(local="x", repeat=1, choose=1)),
    "negative weight": (ValueError, lambda p: Stream(local="x", proportion=-1)),
    "download_retry": (ValueError, lambda p: Stream(local="x", download_retry=-1)),
    "download_timeout": (ValueError, lambda p: Stream(local="x", download_timeout=0)),
    "scheme": (ValueError, lambda p: Stream(remote="zz://x")),
    "neither remote nor local": (ValueError, lambda p: Stream().apply_default({})),
    "mixed weights": (ValueError, lambda p: mixed(p, {"proportion": 1}, {"repeat": 1})),
    "epoch_size with absolute weights": (ValueError, lambda p: mixed(p, {"repeat": 1}, {}, epoch_size=10)),
    "a hash that is wrong": (ValueError, damage),
    "a hash that is not recorded": (
        ValueError,
        lambda p: StreamingDataset(remote=data(p), local=str(p / "c"), validate_hash="sha1", download_retry=0)[0],
    ),
    # Epochs.
    "no batch_size": (ValueError, lambda p: list(dataset(p))),
    "batch_size that is no integer": (ValueError, lambda p: list(dataset(p, batch_size="4"))),
    "shuffle_algo": (KeyError, lambda p: iterate(p, shuffle_algo="py1b")),
    "partition_algo": (KeyError, lambda p: iterate(p, partition_algo="x")),
    "resuming past the end": (ValueError, lambda p: resume(p, 10_000)),
    "a share of less than a sample": (
        ValueError,
        lambda p: mixed(p, {"proportion": 1}, {"proportion": 99}, batching_method="stratified", shuffle_algo="py1e"),
    ),
    "no full batch of a stream": (
        ValueError,
        lambda p: mixed(p, {"choose": 1}, {}, batching_method="per_stream", shuffle_algo="py1e"),
    ),
    "a stream that draws nothing": (
        ValueError,
        lambda p: mixed(p, {"choose": 0}, {}, batching_method="stratified", shuffle_algo="py1e"),
    ),
    "canonical nodes that do not divide": (ValueError, lambda p: get_partitions("orig", 100, 3, 2, 1, 1, 1)),
    "another global batch": (ValueError, lambda p: get_partitions("relaxed", 100, 4, 3, 1, 1, 1, 0, 2)),
    "an empty canonical node": (ValueError, lambda p: get_shuffle("py1e", np.array([1, 1]), 8, 0, 0)),
    "shuffle by name": (KeyError, lambda p: get_shuffle("x", np.array([1, 1]), 8, 0, 0)),
    "sampling": (ValueError, lambda p: get_sampling(np.array([3]), 1, 0, 0, 0, True)),
    # Random access.
    "index too large": (IndexError, lambda p: dataset(p)[120]),
    "index too small": (IndexError, lambda p: dataset(p)[-121]),
    "index that is none": (ValueError, lambda p: dataset(p)[1.5]),
    # Writers.
    "compression": (ValueError, lambda p: write(p, {}, compression="x")),
    "hashes": (ValueError, lambda p: write(p, {}, hashes=["x"])),
    "unsorted hashes": (ValueError, lambda p: write(p, {}, hashes=["xxh64", "sha1"])),
    "size_limit": (ValueError, lambda p: write(p, {}, size_limit=1 << 32)),
    "negative size_limit": (ValueError, lambda p: write(p, {}, size_limit=-1)),
    "unknown argument": (ValueError, lambda p: write(p, {}, nonsense=1)),
    "not empty": (FileExistsError, lambda p: MDSWriter(columns={"a": "int"}, out=data(p))),
    "out of three": (ValueError, lambda p: MDSWriter(columns={"a": "int"}, out=("a", "b", "c"))),
    "scheme of out": (ValueError, lambda p: MDSWriter(columns={"a": "int"}, out="zz://x")),
    "encoding": (TypeError, lambda p: write(p, {}, columns={"a": "x"})),
    "encoding of JSON": (AssertionError, lambda p: write(p, {}, JSONWriter, {"a": "bytes"})),
    "separator in a name": (AssertionError, lambda p: write(p, {}, CSVWriter, {"a,b": "str"})),
    "separator in a value": (AssertionError, lambda p: write(p, {"a": ","}, CSVWriter, {"a": "str"})),
    "missing column": (KeyError, lambda p: write(p, {"a": 1})),
    "size of a value": (KeyError, lambda p: write(p, {"a": b"123", "b": ""})),
    "type of a value": (AttributeError, lambda p: write(p, {"a": "1", "b": ""})),
    "type of a value of JSON": (AttributeError, lambda p: write(p, {"a": 1}, JSONWriter, {"a": "str"})),
    # Encodings and the like.
    "array of a wrong type": (ValueError, lambda p: mds_encode("ndarray:int32", np.zeros(2))),
    "array of a wrong shape": (ValueError, lambda p: mds_encode("ndarray:int32:3", np.zeros(2, np.int32))),
    "array of objects": (ValueError, lambda p: mds_encode("ndarray", np.array([None]))),
    "array without axes": (ValueError, lambda p: mds_encode("ndarray", np.array(1))),
    "array without items": (ValueError, lambda p: mds_encode("ndarray", np.zeros(0))),
    "damaged images": (ValueError, lambda p: mds_decode("jpeg_array", b"\1")),
    "compress": (ValueError, lambda p: compress("x", b"")),
    "decompress": (ValueError, lambda p: decompress("x", b"")),
    "extension": (ValueError, lambda p: get_compression_extension("x")),
    "hash": (ValueError, lambda p: get_hash("x", b"")),
    "merge_index without arguments": (ValueError, lambda p: merge_index()),
    "merge_index of nothing": (FileNotFoundError, lambda p: merge_index([str(p / "a")], str(p))),
    "world": (ValueError, lambda p: World(2, 8, 1, 0).replicate(3)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:.*samples:UserWarning")
def test_builtin_class(tmp_path: Path, name: str) -> None:
    kind, case = CASES[name]
    with pytest.raises(kind) as caught:
        case(tmp_path)
    assert isinstance(caught.value, (streaming.StreamingError, IndexError, FileExistsError))
    assert len(str(caught.value)) > 15
