"""Writers: what lands where, and what happens when something fails."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import CSVWriter, JSONWriter, LocalDataset, MDSWriter, TSVWriter, XSVWriter
from streaming.writing.options import WriterArguments, WriterOptions

ROWS: list[dict[str, Any]] = [{"a": i, "b": f"text {i}", "c": i / 2} for i in range(50)]
LINES = {"a": "int", "b": "str", "c": "float"}


@pytest.mark.parametrize(
    ("writer", "extra"),
    [
        (MDSWriter, {"columns": {"a": "int", "b": "str", "c": "float64"}}),
        (JSONWriter, {"columns": LINES}),
        (JSONWriter, {"columns": LINES, "newline": "\r\n"}),
        (CSVWriter, {"columns": LINES}),
        (TSVWriter, {"columns": LINES}),
        (XSVWriter, {"columns": LINES, "separator": "|~|", "newline": "##\n"}),
    ],
)
@pytest.mark.parametrize("compression", [None, "br:3", "bz2", "gz:1", "snappy", "zstd:7"])
def test_every_format_reads_back(tmp_path: Path, writer: Any, extra: dict[str, Any], compression: str | None) -> None:
    out = str(tmp_path / "data")
    with writer(out=out, compression=compression, hashes=["sha1", "xxh64"], size_limit=400, **extra) as w:
        for row in ROWS:
            w.write(row)
    dataset = LocalDataset(out)
    assert dataset[:] == ROWS
    index = json.loads((tmp_path / "data" / "index.json").read_text())
    assert len(index["shards"]) >= 2
    assert sum(shard["samples"] for shard in index["shards"]) == len(ROWS)


@pytest.mark.parametrize("writer", [MDSWriter, JSONWriter, CSVWriter, TSVWriter, XSVWriter])
def test_every_parameter_is_shown_by_name(writer: Any) -> None:
    parameters = inspect.signature(writer).parameters
    shared = {field.name: field.default for field in fields(WriterOptions)}
    assert set(WriterArguments.__annotations__) == set(shared)
    assert {name: parameters[name].default for name in shared} == shared
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_every_parameter_is_explained() -> None:
    explained = str(MDSWriter.__doc__).partition("Args:")[2].partition("Raises:")[0]
    for name in inspect.signature(MDSWriter).parameters:
        assert f" {name}: " in explained


def names(path: str | Path) -> list[str]:
    return sorted(os.listdir(path))


def test_shards_stay_below_the_limit_and_none_is_empty(tmp_path: Path) -> None:
    out = tmp_path / "data"
    with MDSWriter(columns={"x": "bytes"}, out=str(out), size_limit="1kb") as writer:
        writer.write({"x": b"." * 5000})  # alone above the limit, and first
        for i in range(40):
            writer.write({"x": bytes(i)})
    shards = json.loads((out / "index.json").read_text())["shards"]
    assert all(shard["samples"] > 0 for shard in shards)
    sizes = [shard["raw_data"]["bytes"] for shard in shards]
    assert sizes[0] > 5000
    assert all(size <= 1024 for size in sizes[1:])
    assert [os.path.getsize(out / s["raw_data"]["basename"]) for s in shards] == sizes


def test_local_and_remote(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    with MDSWriter(columns={"x": "int"}, out=(str(local), str(remote))) as writer:
        writer.write({"x": 1})
    assert names(remote) == ["index.json", "shard.00000.mds"]
    assert not local.exists()
    with MDSWriter(columns={"x": "int"}, out=(str(local), str(remote)), keep_local=True) as writer:
        assert names(remote) == ["shard.00000.mds"]  # nobody reads new shards by the old index
        writer.write({"x": 2})
    assert f"replacing the dataset at {remote}" in caplog.text
    assert names(local) == ["index.json", "shard.00000.mds"]
    assert LocalDataset(str(remote))[0] == {"x": 2}


def test_file_url(tmp_path: Path) -> None:
    with MDSWriter(columns={"x": "int"}, out=f"file://{tmp_path}/remote") as writer:
        writer.write({"x": 1})
    assert names(tmp_path / "remote") == ["index.json", "shard.00000.mds"]


def test_a_failed_block_publishes_no_index(tmp_path: Path) -> None:
    out = tmp_path / "data"
    with pytest.raises(RuntimeError, match="mine"), MDSWriter(columns={"x": "int"}, out=str(out)) as w:
        w.write({"x": 1})
        raise RuntimeError("mine")
    assert "index.json" not in names(out)


def test_exist_ok_replaces_the_dataset_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "data"
    for limit in (100, 1 << 20):
        with MDSWriter(columns={"x": "int"}, out=str(out), size_limit=limit, exist_ok=True) as writer:
            for i in range(100):
                writer.write({"x": i})
        (out / "notes.txt").write_text("mine")
    assert names(out) == ["index.json", "notes.txt", "shard.00000.mds"]
    with pytest.raises(FileExistsError, match="exist_ok"):
        MDSWriter(columns={"x": "int"}, out=str(out))


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with MDSWriter(columns={"x": "int"}, out="~/data") as writer:
        writer.write({"x": 1})
    assert names(tmp_path / "data") == ["index.json", "shard.00000.mds"]
    assert LocalDataset("~/data")[0] == {"x": 1}


def test_an_upload_that_fails_names_the_shard(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    writer = MDSWriter(columns={"x": "bytes"}, out=(str(tmp_path / "local"), str(remote)), size_limit=200, retry=0)
    (remote / "shard.00001.mds").mkdir()  # a directory where the second shard is to go
    with pytest.raises(RuntimeError, match=r"shard\.00001\.mds"):
        for _ in range(10_000):
            writer.write({"x": b"." * 50})
    with pytest.raises(RuntimeError, match=r"shard\.00001\.mds"):
        writer.finish()
    assert "index.json" not in names(remote)


def test_no_temporary_directory_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with MDSWriter(columns={"x": "int"}, out=f"file://{tmp_path}/remote") as writer:
        writer.write({"x": 1})
    assert names(tmp_path / "tmp") == []


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"compression": "zip"}, ValueError, "zip"),
        ({"compression": "zstd:99"}, ValueError, "zstd:99"),
        ({"hashes": ["xxh64", "sha1"]}, ValueError, "ascending"),
        ({"hashes": ["sha1", "sha1"]}, ValueError, "ascending"),
        ({"hashes": ["crc7"]}, ValueError, "crc7"),
        ({"hashes": "sha1"}, ValueError, r"hashes must be a list of names such as \['sha1'\], got 'sha1'"),
        ({"hashes": [1]}, ValueError, "hashes must be a list of names"),
        ({"hashes": 7}, ValueError, "hashes must be a list of names"),
        ({"compression": 7}, ValueError, "compression=7"),
        ({"size_limit": 1.5}, ValueError, "size_limit must be a number of bytes"),
        ({"size_limit": [1]}, ValueError, "size_limit must be a number of bytes"),
        ({"columns": ["x"]}, ValueError, r"columns must be a dict.*\['x'\]"),
        ({"columns": "x"}, ValueError, "columns must be a dict"),
        ({"columns": None}, ValueError, "columns must be a dict"),
        ({"max_workers": "3"}, ValueError, "max_workers"),
        ({"retry": 1.5}, ValueError, "retry"),
        ({"retry": True}, ValueError, "retry"),
        ({"size_limit": -1}, ValueError, "size_limit"),
        ({"size_limit": 1 << 32}, ValueError, "4 GiB"),
        ({"size_limit": "big"}, ValueError, "big"),
        ({"columns": {"x": "int33"}}, TypeError, "int33"),
        ({"workers": 3}, ValueError, "MDSWriter has no argument 'workers'. Did you mean 'max_workers'"),
        ({"comprssion": "zstd"}, TypeError, "Did you mean 'compression'"),
        ({"zzz": 1}, ValueError, "It takes columns, out, keep_local"),
        ({"max_workers": 0}, ValueError, "max_workers"),
        ({"retry": -1}, ValueError, "retry"),
        ({"out": ("a", "b", "c")}, ValueError, "pair"),
        ({"out": "nosuch://bucket/x"}, ValueError, "nosuch"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    out = tmp_path / "data"
    with pytest.raises(error, match=text):
        MDSWriter(**{"columns": {"x": "int"}, "out": str(out), **arguments})
    assert not out.exists() or not names(out)


@pytest.mark.parametrize("kind", [JSONWriter, CSVWriter])
def test_columns_of_lines_are_named_too(tmp_path: Path, kind: Any) -> None:
    with pytest.raises(ValueError, match="columns must be a dict"):
        kind(columns=["x"], out=str(tmp_path))


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"size_limit": np.int64(200), "max_workers": np.int32(1), "retry": np.int64(0)}
    with MDSWriter(columns={"x": "int"}, out=str(tmp_path / "data"), **limits) as writer:
        for i in range(50):
            writer.write({"x": i})
    assert len(LocalDataset(str(tmp_path / "data"))) == 50
    assert json.loads((tmp_path / "data" / "index.json").read_text())["shards"][0]["size_limit"] == 200


def test_very_many_columns(tmp_path: Path) -> None:
    """As many as take seconds and half a gigabyte where a function is compiled for them."""
    columns = {f"c{i}": ("str", "int", "int8?")[i % 3] for i in range(30_000)}
    row = {name: {"str": "x", "int": 1, "int8?": None}[kind] for name, kind in columns.items()}
    with MDSWriter(columns=columns, out=str(tmp_path)) as out:
        out.write(row)
        with pytest.raises(KeyError, match="c7"):
            out.write({name: value for name, value in row.items() if name != "c7"})
    entry = json.loads((tmp_path / "index.json").read_text())["shards"][0]
    assert entry["samples"] == 1
    # Sizes of the columns where they vary, and their values, then.
    assert entry["raw_data"]["bytes"] > 30_000 * (4 + 1 + 8 + 4 + 1) / 3


def test_bad_samples_lose_nothing(tmp_path: Path) -> None:
    out = str(tmp_path / "data")
    with MDSWriter(columns={"x": "int", "y": "str"}, out=out) as writer:
        writer.write({"x": 1, "y": "a"})
        with pytest.raises(KeyError, match="y"):
            writer.write({"x": 2})
        with pytest.raises(AttributeError, match="x"):
            writer.write({"x": "two", "y": "b"})
        writer.write({"x": 3, "y": "c"})
    assert LocalDataset(out)[:] == [{"x": 1, "y": "a"}, {"x": 3, "y": "c"}]


def test_finish_without_a_block(tmp_path: Path) -> None:
    writer = MDSWriter(columns={"x": "ndarray:uint16:2"}, out=str(tmp_path / "data"))
    writer.write({"x": np.array([1, 2], np.uint16)})
    writer.finish()
    writer.finish()
    with pytest.raises(ValueError, match="finished"):
        writer.write({"x": np.array([1, 2], np.uint16)})
    assert len(LocalDataset(str(tmp_path / "data"))) == 1


def test_progress_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with MDSWriter(columns={"x": "int"}, out=str(tmp_path / "data"), progress_bar=True) as writer:
        writer.write({"x": 1})
    assert "Writing" in capsys.readouterr().err


def test_same_input_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        with MDSWriter(
            columns={"x": "bytes"}, out=str(tmp_path / name), size_limit=2000, compression="zstd", max_workers=8
        ) as writer:
            for i in range(500):
                writer.write({"x": bytes([i % 256]) * (i % 90)})
    assert names(tmp_path / "a") == names(tmp_path / "b")
    for file in names(tmp_path / "a"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
