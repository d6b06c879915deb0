"""Who may use a writer, and what is said of samples and keys that would be lost."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import streaming
from streaming import CSVWriter, JSONWriter, LocalDataset, MDSWriter
from streaming.core.errors import ConfigError, MissingColumnError, SampleError
from streaming.writing.rows.keys import UnstoredKeysWarning
from streaming.writing.writer import Writer

COLUMNS = {"x": "int", "s": "str"}


class Upper(MDSWriter):
    """A writer of a user's own."""

    def encode_sample(self, sample: Any) -> bytes:
        return super().encode_sample({"x": sample["number"], "s": sample["text"].upper()})


@pytest.mark.parametrize("kind", [MDSWriter, JSONWriter, CSVWriter])
def test_threads_store_every_sample(tmp_path: Path, kind: Callable[..., Writer]) -> None:
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with kind(out=str(tmp_path), columns=COLUMNS, size_limit=2000) as writer, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: writer.write({"x": i, "s": str(i) * (i % 30)}), range(1000)))
    finally:
        sys.setswitchinterval(switch)
    data = LocalDataset(str(tmp_path))
    assert sorted(data[i]["x"] for i in range(data.size)) == list(range(1000))
    assert all(sample["s"] == str(sample["x"]) * (sample["x"] % 30) for sample in (data[i] for i in range(data.size)))


def test_threads_and_a_writer_of_ones_own(tmp_path: Path) -> None:
    with Upper(out=str(tmp_path), columns=COLUMNS, size_limit=2000) as writer, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: writer.write({"number": i, "text": "a", "more": 1}), range(1000)))
    data = LocalDataset(str(tmp_path))
    assert sorted(data[i]["x"] for i in range(data.size)) == list(range(1000))


def test_threads_that_write_while_one_finishes(tmp_path: Path) -> None:
    """What write took is stored; what came too late is refused."""
    writer = MDSWriter(out=str(tmp_path), columns=COLUMNS, size_limit=1000)
    taken: list[int] = []
    begun = threading.Event()

    def write(thread: int) -> None:
        for i in range(100_000):
            try:
                writer.write({"x": thread * 100_000 + i, "s": ""})
            except ConfigError:
                return
            taken.append(thread * 100_000 + i)
            if i == 200:
                begun.set()

    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(write, thread) for thread in range(3)]
        begun.wait(60)
        writer.finish()
        for future in done:
            future.result()
    data = LocalDataset(str(tmp_path))
    assert sorted(data[i]["x"] for i in range(data.size)) == sorted(taken)


def in_fork(work: Callable[[], Any]) -> str:
    """Return what a forked child says that ``work`` raised."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            work()
            said = "nothing"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_a_forked_writer_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with MDSWriter(out=(str(tmp_path / "l"), str(tmp_path / "r")), columns=COLUMNS, size_limit=500) as writer:
        for i in range(100):
            writer.write({"x": i, "s": ""})
        for work in (lambda: writer.write({"x": 0, "s": ""}), writer.finish, writer.flush_shard):
            said = in_fork(work)
            assert said.startswith("WorkerError") or said == "nothing"
        assert "fork" in in_fork(lambda: writer.write({"x": 0, "s": ""}))

        def block() -> None:
            with writer:
                raise KeyError("of the child")

        assert in_fork(block).startswith("KeyError")
        writer.write({"x": 100, "s": ""})
    data = LocalDataset(str(tmp_path / "r"))
    assert [data[i]["x"] for i in range(data.size)] == list(range(101))


def test_a_writer_is_not_sent_elsewhere(tmp_path: Path) -> None:
    with MDSWriter(out=str(tmp_path), columns=COLUMNS) as writer, pytest.raises(ConfigError, match="merge_index"):
        pickle.dumps(writer)


DROPPED = """
import sys
from streaming import MDSWriter
writer = MDSWriter(out=sys.argv[1], columns={"x": "int"}, size_limit=200)
for i in range(30):
    writer.write({"x": i})
if sys.argv[2] == "finish":
    writer.finish()
"""


@pytest.mark.parametrize("end", ["finish", "drop"])
def test_samples_of_a_dropped_writer_are_missed_at_exit(tmp_path: Path, end: str) -> None:
    command = [sys.executable, "-c", DROPPED, str(tmp_path / "out"), end]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0
    said = "dropped with 30 samples" in run.stderr and "finish()" in run.stderr
    assert said == (end == "drop"), run.stderr
    assert end == "drop" or not run.stderr


def test_samples_of_a_dropped_writer_are_missed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = MDSWriter(out=str(tmp_path / "out"), columns=COLUMNS)
    writer.write({"x": 1, "s": ""})
    with caplog.at_level(logging.WARNING):
        del writer
        gc.collect()
    assert "dropped with 1 samples" in caplog.text
    caplog.clear()
    unused = MDSWriter(out=str(tmp_path / "unused"), columns=COLUMNS)
    with pytest.raises(KeyError), MDSWriter(out=str(tmp_path / "failed"), columns=COLUMNS) as writer:
        writer.write({"x": 1, "s": ""})
        raise KeyError("told")
    del unused, writer
    gc.collect()
    assert "dropped" not in caplog.text


@pytest.mark.parametrize("kind", [MDSWriter, JSONWriter, CSVWriter])
def test_keys_that_are_no_columns_are_named_once(tmp_path: Path, kind: Callable[..., Writer]) -> None:
    with kind(out=str(tmp_path), columns=COLUMNS) as writer:
        writer.write({"x": 0, "s": ""})
        with pytest.warns(UnstoredKeysWarning, match=r"'more', 'y'.*first seen in sample 1\).*'s', 'x'") as told:
            writer.write({"more": 1, "x": 1, "s": "", "y": 2})
        assert [warning.filename for warning in told] == [__file__]
        writer.write({"x": 2, "s": "", "again": 2})
    assert LocalDataset(str(tmp_path))[2] == {"x": 2, "s": ""}


@pytest.mark.parametrize("workers", [0, 1])
def test_keys_that_are_no_columns_of_a_bulk_write(tmp_path: Path, workers: int) -> None:
    rows = [{"x": i, "s": "", **({"late": 1} if i > 40 else {})} for i in range(60)]
    with pytest.warns(UnstoredKeysWarning, match="'late'.*sample 41") as told:
        streaming.write(rows, str(tmp_path / "given"), COLUMNS, workers=workers, progress_bar=False)
    assert [warning.filename for warning in told] == [__file__]
    with pytest.raises(ConfigError, match=r"Sample 41 has 'late'.*inferred.*`columns`"):
        streaming.write(rows, str(tmp_path / "inferred"), workers=workers, progress_bar=False)
    assert not (tmp_path / "inferred" / "index.json").exists()


@pytest.mark.parametrize("kind", [MDSWriter, JSONWriter, CSVWriter])
@pytest.mark.parametrize(
    ("sample", "error", "text"),
    [
        ({"x": 1, "S": "a"}, MissingColumnError, "Did you mean 'S'"),
        ({"x": 1, " s ": "a", "more": 2}, MissingColumnError, "Did you mean ' s '"),
        ({"x": 1, "text": "a"}, MissingColumnError, r"no column 's'; it has 'x', 'text'\.\W*$"),
        ([1, "a"], SampleError, "must be a mapping.*got list"),
        (None, SampleError, "must be a mapping.*got NoneType"),
    ],
)
def test_what_is_no_sample(
    tmp_path: Path, kind: Callable[..., Writer], sample: Any, error: type[Exception], text: str
) -> None:
    with kind(out=str(tmp_path), columns=COLUMNS) as writer:
        with pytest.raises(error, match=text):
            writer.write(sample)
        writer.write({"x": 1, "s": "a"})
    assert LocalDataset(str(tmp_path)).size == 1


def test_a_writer_whose_place_was_taken_stops(tmp_path: Path) -> None:
    """In a notebook a later writer takes the place of one that was given up, which must not go on as if nothing were."""
    first = MDSWriter(out=str(tmp_path), columns={"x": "int"}, size_limit=100)
    first.write({"x": 1})
    with MDSWriter(out=str(tmp_path), columns={"x": "int"}) as second:
        second.write({"x": 2})
    with pytest.raises(FileExistsError, match="A later writer of this process has taken"):
        first.finish()
    assert [sample["x"] for sample in LocalDataset(str(tmp_path))] == [2]


@pytest.mark.parametrize("out", ["a", ("a", "b")])
def test_a_relative_place_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str | tuple[str, str]
) -> None:
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path)
    with MDSWriter(out=out, columns={"x": "int"}, size_limit=100) as writer:
        writer.write({"x": 0})
        monkeypatch.chdir(tmp_path / "else")
        for i in range(1, 30):
            writer.write({"x": i})
    assert not list((tmp_path / "else").iterdir())
    assert len(LocalDataset(tmp_path / out[-1])) == 30
