"""Appending: new shards after those that are there, and one new index at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streaming
from streaming import LocalDataset, MDSWriter, StreamingDataset

from sample_data import COLUMNS, sample, write_dataset

ARGUMENTS: dict[str, Any] = {"size_limit": 3500}


def append(out: Any, begin: int, end: int, bulk: bool, **kwargs: Any) -> None:
    rows = map(sample, range(begin, end))
    if bulk:
        streaming.write(rows, out, COLUMNS, workers=1, append=True, **ARGUMENTS, **kwargs)
        return
    with MDSWriter(columns=COLUMNS, out=out, append=True, **ARGUMENTS, **kwargs) as writer:
        for row in rows:
            writer.write(row)


def shard_names(root: Path) -> list[str]:
    return [shard["raw_data"]["basename"] for shard in json.loads((root / "index.json").read_text())["shards"]]


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize("where", ["local", "pair", "url"])
def test_append(tmp_path: Path, bulk: bool, where: str) -> None:
    root = tmp_path / "remote"
    out: Any = {"local": str(root), "pair": (str(tmp_path / "local"), str(root)), "url": f"file://{root}"}[where]
    append(out, 0, 300, bulk)
    before = {name: (root / name).read_bytes() for name in shard_names(root)}
    reader = StreamingDataset(remote=str(root), local=str(tmp_path / "cache"))
    append(out, 300, 500, bulk, compression="zstd")
    names = shard_names(root)
    assert [name[:11] for name in names] == [f"shard.{i:05}" for i in range(len(names))]
    if where == "local":
        assert names == [f"shard.{i:05}.mds" for i in range(len(names))]
    assert {name: (root / name).read_bytes() for name in before} == before
    assert reader[:] == [sample(i) for i in range(300)]
    assert LocalDataset(str(root))[:] == [sample(i) for i in range(500)]
    assert not (tmp_path / "local").exists()


@pytest.mark.parametrize("bulk", [False, True])
def test_local_copies_of_the_user_stay(tmp_path: Path, bulk: bool) -> None:
    out = (str(tmp_path / "local"), str(tmp_path / "remote"))
    write_dataset(out, 300, keep_local=True)
    there = set(os.listdir(out[0]))
    append(out, 300, 500, bulk)
    # The index there was written by this call too, and is not to be kept.
    assert there - {"index.json"} == set(os.listdir(out[0]))
    assert len(LocalDataset(out[1])) == 500


@pytest.mark.parametrize("bulk", [False, True])
def test_other_columns(tmp_path: Path, bulk: bool) -> None:
    out = str(tmp_path / "data")
    write_dataset(out, 10)
    with pytest.raises(ValueError, match="column_"):
        if bulk:
            streaming.write([{"id": 1, "text": b"bytes"}], out, append=True)
        else:
            MDSWriter(columns={"id": "int"}, out=out, append=True)
    assert len(LocalDataset(out)) == 10
    append(out, 10, 20, bulk)
    assert len(LocalDataset(out)) == 20


def test_a_failed_append_changes_nothing(tmp_path: Path) -> None:
    out = str(tmp_path / "data")
    write_dataset(out, 300)
    index = Path(out, "index.json").read_bytes()
    with pytest.raises(KeyError):
        append(out, 300, 500, False, hashes=["sha1"], exist_ok=False, retry=0) or {}["fail"]
    append(out, 500, 510, False)
    assert len(LocalDataset(out)) == 510
    Path(out, "index.json").write_bytes(index)
    with pytest.raises(RuntimeError, match="mine"), MDSWriter(columns=COLUMNS, out=out, append=True) as writer:
        writer.write(sample(0))
        raise RuntimeError("mine")
    assert Path(out, "index.json").read_bytes() == index


def test_a_dataset_changed_meanwhile(tmp_path: Path) -> None:
    remote = str(tmp_path / "remote")
    append((str(tmp_path / "a"), remote), 0, 10, False)
    with MDSWriter(columns=COLUMNS, out=(str(tmp_path / "a"), remote), append=True) as first:
        first.write(sample(10))
        second = MDSWriter(columns=COLUMNS, out=(str(tmp_path / "b"), remote), append=True)
        second.write(sample(11))
    with pytest.raises(RuntimeError, match="changed by another writer"):
        second.finish()
    assert [row["id"] for row in LocalDataset(remote)] == list(range(11))


def interrupted(begin: int, end: int, at: int) -> Iterator[dict[str, Any]]:
    for i in range(begin, end):
        if i == at:
            raise InterruptedError
        yield sample(i)


def test_an_interrupted_append_continues(tmp_path: Path) -> None:
    outs = [str(tmp_path / "a"), str(tmp_path / "b")]
    for out in outs:
        write_dataset(out, 300)
    append(outs[0], 300, 900, True)
    with pytest.raises(InterruptedError):
        streaming.write(interrupted(300, 900, 800), outs[1], COLUMNS, workers=1, append=True, **ARGUMENTS)
    assert len(LocalDataset(outs[1])) == 300
    report = streaming.write(interrupted(300, 900, -1), outs[1], COLUMNS, workers=1, append=True, **ARGUMENTS)
    assert (report.samples, report.resumed_samples > 0) == (600, True)
    for name in [*shard_names(tmp_path / "a"), "index.json"]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_append_to_what_has_changed_since_does_not_continue(tmp_path: Path) -> None:
    out = str(tmp_path / "a")
    write_dataset(out, 300)
    with pytest.raises(InterruptedError):
        streaming.write(interrupted(300, 900, 800), out, COLUMNS, workers=1, append=True, **ARGUMENTS)
    append(out, 900, 910, False)
    with pytest.raises(ValueError, match="has changed since"):
        streaming.write(interrupted(300, 900, -1), out, COLUMNS, workers=1, append=True, **ARGUMENTS)
    append(out, 300, 900, True, resume=False)
    assert [row["id"] for row in LocalDataset(out)] == [*range(300), *range(900, 910), *range(300, 900)]


def test_append_and_replace_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="append"):
        MDSWriter(columns=COLUMNS, out=str(tmp_path), append=True, exist_ok=True)
