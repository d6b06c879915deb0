"""Arguments of every public callable, of the right types and of wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import streaming
from streaming import LocalDataset, MDSWriter, Pack, Stream, StreamingDataLoader, StreamingDataset
from streaming.core.arguments import as_flag, as_integer, as_number, as_path

Make = Callable[..., str]

COUNTS = [
    "predownload",
    "num_canonical_nodes",
    "batch_size",
    "shuffle_block_size",
    "shuffle_seed",
    "sampling_granularity",
    "replication",
    "download_retry",
]


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("name", [*COUNTS, "epoch_size", "download_timeout"])
def test_numpy_integers(make_dataset: Make, name: str, kind: Any) -> None:
    given = {"batch_size": 4, name: kind(1 if name == "replication" else 100)}
    data = StreamingDataset(local=make_dataset(20), **given)
    assert type(getattr(data, name, 0)) is int
    if name != "epoch_size":
        assert len(list(data)) == 20


def test_numpy_bytes(make_dataset: Make) -> None:
    data = StreamingDataset(local=make_dataset(20), cache_limit=np.int64(1 << 20), batch_size=4)
    assert data.cache_limit == 1 << 20


def test_numpy_weights_and_indexes(make_dataset: Make) -> None:
    remote = make_dataset(20)
    for weight, size in [
        ({"choose": np.int64(12)}, 12),
        ({"repeat": np.float32(2)}, 40),
        ({"repeat": np.int8(1)}, 20),
        ({"proportion": np.float64(0.5)}, 20),
        ({"choose": 1e1}, 10),
    ]:
        data = StreamingDataset(streams=[Stream(local=remote, **weight)], batch_size=4)
        assert data.epoch_size == size
    data.set_epoch(np.int64(3))
    assert data.next_epoch == 3
    assert data[np.uint8(3)] == data[3]


def test_numpy_in_a_loader_and_a_checkpoint(make_dataset: Make) -> None:
    import json

    data = StreamingDataset(local=make_dataset(20), batch_size=np.int64(4), shuffle_seed=np.int32(3), shuffle=np.True_)
    loader = StreamingDataLoader(data, batch_size=np.int64(4), num_workers=np.uint8(0))
    assert len(list(loader)) == 5
    assert json.loads(json.dumps(loader.state_dict()))["shuffle_seed"] == 3


@pytest.mark.parametrize("value", ["8", 8.5, True, [8], b"8"])
@pytest.mark.parametrize("name", COUNTS)
def test_no_counts(make_dataset: Make, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be an integer, got"):
        StreamingDataset(**{"local": make_dataset(20), "batch_size": 4, name: value})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("predownload", "8", "Pass predownload=8"),
        ("batch_size", 4.0, "Pass batch_size=4"),
        ("num_canonical_nodes", 0, "num_canonical_nodes must be at least 1"),
        ("shuffle", "False", "shuffle must be True or False, got 'False'"),
        ("allow_unsafe_types", "no", "allow_unsafe_types must be True or False"),
        ("keep_zip", "no", "keep_zip must be True or False"),
        ("epoch_size", "10 million", "epoch_size: '10 million' is not a count"),
        ("epoch_size", [3], r"epoch_size: \[3\] is not a count"),
        ("epoch_size", True, "epoch_size: True is not a count"),
        ("epoch_size", float("nan"), "epoch_size: nan is not a count"),
        ("epoch_size", 0.5, r"epoch_size must be a whole number, got 0.5. Pass epoch_size=int\(0.5\)"),
        ("epoch_size", 2.5, "epoch_size must be a whole number, got 2.5"),
        ("epoch_size", np.float32(2.5), "epoch_size must be a whole number"),
        ("epoch_size", np.True_, "epoch_size: .*True.* is not a count"),
        ("epoch_size", -1.0, "epoch_size must be at least 1"),
        ("cache_limit", {"gb": 3}, "cache_limit: .* is not a byte count"),
        ("download_timeout", "60", "download_timeout must be a number, got '60'"),
        ("shuffle_algo", 3, "shuffle_algo must be text"),
        ("batching_method", ["random"], "batching_method must be text"),
        ("split", 3, "split must be a path"),
        ("local", 3, "local must be a path"),
        ("local", b"x", "local must be a path"),
        *((name, "a\0b", f"{name} has a null character") for name in ("remote", "local", "split")),
        *(
            (name, np.arange(2), f"{name} must be")
            for name in ("remote", "split", "index", "on_error", "format", "keep_zip")
        ),
        *((name, np.arange(2), f"{name}: .* is not a") for name in ("epoch_size", "cache_limit")),
        *((name, [1], f"{name} must be text") for name in ("validate_hash", "stream_name", "schema", "config")),
        *((name, 10**30, f"{name} must be at most") for name in (*COUNTS, "epoch_size", "cache_limit")),
        ("num_canonical_nodes", 1 << 40, "num_canonical_nodes must be at most 65536 here"),
        ("epoch_size", 1 << 62, "epoch_size must be at most"),
        ("stream_config", np.arange(2), "stream_config must be a mapping"),
        ("streams", np.arange(2), "streams must be a list|Give either `streams`"),
    ],
)
def test_what_an_error_says(make_dataset: Make, name: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        StreamingDataset(**{"local": make_dataset(20), "batch_size": 4, name: value})


def test_a_whole_float_is_a_count(make_dataset: Make) -> None:
    data = StreamingDataset(local=make_dataset(20), batch_size=4, epoch_size=12.0)
    assert data.epoch_size == 12 == len(data.take(12.0))
    with pytest.raises(ValueError, match="number must be a whole number, got 2.5"):
        data.take(2.5)


@pytest.mark.parametrize("streams", ["s3://b/a", {"remote": "x"}, [{"remote": "x"}], Stream(local="x"), ["x"], 3])
def test_no_streams(streams: Any) -> None:
    with pytest.raises(ValueError, match="streams must be a list of Stream objects"):
        StreamingDataset(streams=streams, batch_size=4)


@pytest.mark.parametrize("name", ["proportion", "repeat", "choose"])
@pytest.mark.parametrize("value", ["2", True, float("inf"), -1])
def test_no_weights(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        Stream(local="x", **{name: value})


def test_paths(make_dataset: Make) -> None:
    remote = Path(make_dataset(20))
    assert len(LocalDataset(remote)) == 20
    assert len(LocalDataset(remote.parent, split=Path(remote.name))) == 20
    assert StreamingDataset(local=remote.parent, split=Path(remote.name), batch_size=4).size == 20
    for wrong in (3, None, b"x"):
        with pytest.raises(ValueError, match="local must be a path"):
            LocalDataset(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is a URL"):
        LocalDataset("s3://bucket/data")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"batch_size": "4"}, "batch_size must be an integer, got '4'"),
        ({"num_workers": 1.0}, "num_workers must be an integer"),
        ({"num_workers": -1}, "num_workers must be at least 0"),
        ({"shuffle": True}, "pass shuffle=True to the StreamingDataset"),
        ({"sampler": [1, 2]}, "takes no sampler"),
        ({"batch_sampler": [[1, 2]]}, "takes no batch_sampler"),
    ],
)
def test_a_loaders_arguments(make_dataset: Make, given: Any, text: str) -> None:
    data = StreamingDataset(local=make_dataset(20), batch_size=4)
    with pytest.raises(ValueError, match=text):
        StreamingDataLoader(data, **given)


def test_checks_alone() -> None:
    assert as_number("x", np.float32(0.5)) == 0.5
    assert type(as_number("x", np.int8(3))) is int
    assert as_flag("x", np.False_) is False
    assert as_path("x", Path("a/b")) == "a/b"
    for wrong in (np.True_, torch.tensor(3), 3 + 0j):
        with pytest.raises(ValueError, match="x must be an integer"):
            as_integer("x", wrong)
    with pytest.raises(ValueError, match=r"got 1\.5 \(float\)\.$"):
        as_integer("x", 1.5)


@pytest.mark.parametrize("weight", [{"repeat": 1e300}, {"choose": 1 << 62}])
def test_no_epoch_has_room_for_it(make_dataset: Make, weight: Any) -> None:
    with pytest.raises(ValueError, match="An epoch would hold"):
        StreamingDataset(streams=[Stream(local=make_dataset(20), **weight)], batch_size=4)


@pytest.mark.parametrize("value", [1e12, 1e300, np.float32(60)])
def test_timeouts_that_are_no_limit(make_dataset: Make, tmp_path: Path, value: Any) -> None:
    local = str(tmp_path / "local")
    data = StreamingDataset(
        remote=make_dataset(20), local=local, batch_size=4, download_timeout=value, download_retry=1 << 40
    )
    assert len(list(data)) == 20


@pytest.mark.parametrize("name", ["format", "schema", "config", "validate_hash"])
def test_defaults_of_streams_are_checked_as_theirs(make_dataset: Make, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be text, got"):
        StreamingDataset(**{"streams": [Stream(local=make_dataset(20))], "batch_size": 4, name: [1]})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        *((name, "False", f"{name} must be True or False") for name in ("drop_last", "pin_memory", "in_order")),
        ("persistent_workers", "False", "persistent_workers must be True or False"),
        *((name, 3, f"{name} must be a function") for name in ("collate_fn", "worker_init_fn")),
        *(("timeout", value, "timeout must be") for value in ("60", -1, np.nan)),
        ("report_to", "", "report_to must be a folder"),
        ("report_to", 3, "report_to must be a path"),
    ],
)
def test_no_arguments_of_a_loader(make_dataset: Make, name: str, value: Any, text: str) -> None:
    data = StreamingDataset(local=make_dataset(20), batch_size=4)
    with pytest.raises(ValueError, match=text):
        StreamingDataLoader(data, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        *((name, "False", f"{name} must be True or False") for name in ("append", "progress_bar", "keep_local")),
        *((name, np.arange(2), f"{name}.*array") for name in ("compression", "hashes", "size_limit", "append")),
        ("compression", 0, "compression=0 is not known"),
        ("side_columns", 3, "Side columns are a list"),
        ("storage_options", 3, "storage_options must be a mapping"),
        ("out", "a\0b", "out has a null character"),
        ("columns", {}, "columns is empty"),
    ],
)
def test_no_options_of_a_writer(tmp_path: Path, name: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        MDSWriter(**{"columns": {"x": "int"}, "out": str(tmp_path / "out"), name: value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda data: LocalDataset(data, allow_unsafe_types="False"), "allow_unsafe_types must be True or False"),  # type: ignore[arg-type]
        (lambda data: LocalDataset(data, side_columns=3), "side_columns must be a path"),  # type: ignore[arg-type]
        (lambda data: LocalDataset(data).split(3), "split takes the share of each part"),
        (lambda data: LocalDataset(data).split([0.5, 0.5], by=3), "by must be text"),  # type: ignore[arg-type]
        (lambda data: LocalDataset(data).save(3), "place must be a path"),  # type: ignore[arg-type]
        (
            lambda data: StreamingDataset(local=data, batch_size=4).plan(speed=3),
            "speed must be a streaming.planning.Speed",
        ),  # type: ignore[arg-type]
        (lambda data: Pack(tokens=3, to=8), "name of a column, or several"),  # type: ignore[arg-type]
        (lambda data: Pack(tokens="t", to=8, emit=3), "emit=...\\) is a tuple of names"),  # type: ignore[arg-type]
        (lambda data: Pack(tokens="t", to=8, lengths=3), "lengths must be text"),  # type: ignore[arg-type]
        (lambda data: Pack(tokens="t", to=8, dtype=[]), "is no type of numbers"),  # type: ignore[arg-type]
        (lambda data: streaming.write([{"x": 1}], "out", metadata=np.arange(2)), "metadata must be a dict"),
        (lambda data: streaming.write([{"x": 1}], "out", compatible="False"), "compatible must be True or False"),
        (lambda data: streaming.write([{"x": 1}], "out", progress_bar="no"), "progress_bar must be True or False"),
        (lambda data: streaming.convert(3, "out"), "source must be a path"),
        (lambda data: streaming.convert(data, "out", metadata="x"), "metadata must be a dict"),
        (lambda data: streaming.convert(data, "out", columns=3), "columns must be a list of names"),
        (lambda data: streaming.export(data, "a\0b"), "out has a null character"),
        (lambda data: streaming.export(data, "out", columns=3), "columns must be a list of names"),
        (lambda data: streaming.export(data, "out", format=["parquet"]), "format must be text"),
        (lambda data: streaming.index_columns(3, "x"), "url must be a path"),
    ],
)
def test_no_arguments_of_functions(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[str], Any], text: str
) -> None:
    data = make_dataset(20)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match=text):
        call(data)
    assert set(tmp_path.iterdir()) == before
