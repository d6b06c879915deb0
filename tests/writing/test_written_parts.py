"""Parts of a dataset, written by an engine that is a loop: repeated, given up and continued, with one index at the end."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from streaming import LocalDataset, StreamingDataset
from streaming.core.errors import ConfigError, InputError, UploadError, WorkerError
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.writing.parts.write import write_parts

GROUPS = [[0, 1, 2], [3], [4, 5], [6, 7, 8, 9]]
COLUMNS = {"n": "int", "k": "int", "text": "str"}


def rows(number: int) -> list[dict[str, Any]]:
    if number == 3:
        return []
    return [{"n": number, "k": k, "text": "x" * (number * k % 50)} for k in range(30)]


WANTED = [row for group in GROUPS for number in group for row in rows(number)]


def one_by_one(function: Callable[[Any], Any], tasks: Sequence[Any], at_once: int | None) -> Iterator[Any]:
    del at_once
    yield from map(function, reversed(tasks))


def twice(function: Callable[[Any], Any], tasks: Sequence[Any], at_once: int | None) -> Iterator[Any]:
    """As a cluster that takes machines for lost that are not."""
    for task in random.Random(0).sample(list(tasks), len(tasks)):
        function(task)
        yield function(task)
    del at_once


class Failing:
    """An engine that breaks down after some tasks."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.done: list[int] = []

    def __call__(self, function: Callable[[Any], Any], tasks: Sequence[Any], at_once: int | None) -> Iterator[Any]:
        del at_once
        for task in tasks:
            if len(self.done) >= self.after:
                raise WorkerError("all machines are lost")
            self.done.append(task.number)
            yield function(task)


def written(out: Any, engine: Any = one_by_one, **more: Any) -> Any:
    given: dict[str, Any] = {"fn": rows, "progress_bar": False, "size_limit": 2000, "compression": "zstd", **more}
    return write_parts(engine, GROUPS, out, given.pop("columns", COLUMNS), **given)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_one_index_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    report = written(tmp_path / "a", hashes=["xxh64"], metadata={"note": "here"})
    found = files(tmp_path / "a")
    dataset = LocalDataset(tmp_path / "a")
    assert dataset[:] == WANTED
    assert dataset.metadata["note"] == "here"
    assert (report.samples, report.columns) == (len(WANTED), COLUMNS)
    assert report.shards == len(list((tmp_path / "a").rglob("*.mds.zstd"))) > 4
    assert sorted(name for name in os.listdir(tmp_path / "a") if "part" in name) == [
        "part-00000",
        "part-00002",
        "part-00003",
    ]
    assert not (tmp_path / "a" / ".streaming-write").exists()
    written(tmp_path / "b", twice, hashes=["xxh64"], metadata={"note": "here"})
    assert files(tmp_path / "b") == found


def test_continued_after_a_breakdown(tmp_path: Path) -> None:
    written(tmp_path / "whole")
    for after in (1, 1):
        with pytest.raises(WorkerError, match="all machines"):
            written(tmp_path / "out", Failing(after))
    assert not (tmp_path / "out" / "index.json").exists()
    with pytest.raises(ConfigError, match="unfinished write with other arguments"):
        written(tmp_path / "out", compression=None)
    with pytest.raises(ConfigError, match="first sample of its part 1|first sample of its part 0"):
        written(tmp_path / "out", fn=lambda number: {"n": -number, "k": 0, "text": ""})
    (damaged,) = list((tmp_path / "out" / "part-00000").iterdir())[:1]
    damaged.unlink()  # so that the part is done again
    rest = Failing(99)
    report = written(tmp_path / "out", rest)
    assert rest.done == [0, 2, 3]
    assert report.resumed_samples == 0  # of part 1, which has none
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_what_is_there_is_replaced_only_if_it_may_be(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(FileExistsError):
        written(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "part-00000" / "notes.txt").write_text("mine")
    written(tmp_path, exist_ok=True, compression=None)
    assert LocalDataset(tmp_path)[:] == WANTED
    assert not list(tmp_path.rglob("*.zstd"))
    assert len(list(tmp_path.rglob("notes.txt"))) == 2
    with pytest.raises(WorkerError):
        written(tmp_path, Failing(2), exist_ok=True)
    written(tmp_path, exist_ok=True, compression=None)  # gives the unfinished one up
    assert LocalDataset(tmp_path)[:] == WANTED
    assert not (tmp_path / ".streaming-write").exists()


def test_rows_that_are_others_each_time(tmp_path: Path) -> None:
    made = iter(range(10_000))
    report = written(tmp_path, twice, fn=lambda number: {"n": number, "k": next(made), "text": ""})
    assert [row["n"] for row in LocalDataset(tmp_path)[:]] == list(range(10))
    assert len(list(tmp_path.rglob("*.mds.zstd"))) == report.shards == 4


def broken(number: int) -> Any:
    if number == 4:
        raise OSError("no such thing")
    return {"n": "text" if number == 8 else number, "k": 0, "text": ""}


def test_errors_are_named_and_may_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Input 4 \(4\): fn \(broken\) failed: OSError: no such thing"):
        written(tmp_path / "a", Failing(99), fn=broken)
    report = written(tmp_path / "b", fn=broken, on_error="skip")
    assert [skip.input for skip in report.skipped] == [4, 8]
    assert [row["n"] for row in LocalDataset(tmp_path / "b")[:]] == [0, 1, 2, 3, 5, 6, 7, 9]
    with pytest.warns(UserWarning, match="'text'"):
        written(tmp_path / "c", columns={"n": "int", "k": "int"})
    with pytest.raises(ConfigError, match="a cluster writes to one place"):
        written((str(tmp_path / "d"), f"file://{tmp_path}/e"))
    with pytest.raises(ConfigError, match="int"):
        written(tmp_path / "f", columns={"n": "int?"}, compatible=True)


def test_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(WorkerError):
        written(f"{bucket}/out", Failing(2))
    store = open_store(Location.parse(f"{bucket}/out"))
    assert any(info.path.startswith(".streaming-write/") for info in store.list())
    report = written(f"{bucket}/out")
    assert report.resumed_samples == 90
    assert not any(info.path.startswith(".streaming-write") for info in store.list())
    dataset = StreamingDataset(remote=f"{bucket}/out", local=str(tmp_path / "cache"), batch_size=1)
    assert [dict(row) for row in dataset[:]] == WANTED
    written(tmp_path / "local")
    assert {info.path: store.get(info.path) for info in store.list()} == files(tmp_path / "local")
    with pytest.raises(FileExistsError, match="There is a dataset"):
        written(f"{bucket}/out")


def test_a_shard_that_vanished_is_not_listed(tmp_path: Path) -> None:
    def thief(function: Callable[[Any], Any], tasks: Sequence[Any], at_once: int | None) -> Iterator[Any]:
        yield from one_by_one(function, tasks, at_once)
        next((tmp_path / "part-00002").iterdir()).unlink()

    with pytest.raises(UploadError, match="part-00002"):
        written(tmp_path, thief)
    written(tmp_path)
    assert LocalDataset(tmp_path)[:] == WANTED
