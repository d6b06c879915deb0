"""Memory that processes share: the same in each, however it travels, and nothing is said when the interpreter ends."""

from __future__ import annotations

import copy
import errno
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core import anonymous
from streaming.core.anonymous import AnonymousFile
from streaming.core.process import allocate as allocating
from streaming.core.process.allocate import allocate

from anonymous_child import put
from sample_data import write_dataset

PLACES = [anonymous._PLACE, "/nonexistent/{pid}/{fd}"]
N = 120


@pytest.fixture(params=PLACES, ids=["proc", "no proc"])
def _place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux, and as where descriptors have no path."""
    monkeypatch.setattr(anonymous, "_PLACE", request.param)


@pytest.mark.parametrize(
    ("start", "place"),
    [
        ("fork", PLACES[1]),
        ("spawn", PLACES[0]),
        ("forkserver", PLACES[1]),
        pytest.param("spawn", PLACES[1], marks=pytest.mark.long),
    ],
)
def test_the_same_file_in_other_processes(start: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymous, "_PLACE", place)
    context = multiprocessing.get_context(start)
    file, late = AnonymousFile(8, "test"), AnonymousFile(8, "test")
    queue = context.Queue()

    class Nested:
        def __reduce__(self) -> Any:
            # Pickled within what the process is given, as datasets are that are wrapped for it.
            return bytes, (pickle.dumps(file),)

    process = context.Process(target=put, args=(file, Nested() if start != "fork" else pickle.dumps(file), queue))
    process.start()
    queue.put(late)
    process.join(100)
    queue.close()
    assert process.exitcode == 0
    assert os.pread(file.fd, 1, AnonymousFile.OFFSET) == b"\2"
    assert os.pread(late.fd, 1, AnonymousFile.OFFSET) == b"\1"


@pytest.mark.usefixtures("_place")
def test_copies_in_a_process_are_the_same_file() -> None:
    file = AnonymousFile(8, "test")
    copied = copy.deepcopy(file)
    again = pickle.loads(pickle.dumps(copied))
    fd = file.fd
    del file, copied
    os.pwrite(again.fd, b"x", AnonymousFile.OFFSET)
    assert (again.is_new, again.fd) == (False, fd)
    del again
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.usefixtures("_place")
def test_elsewhere_it_is_a_new_one() -> None:
    file = AnonymousFile(8, "test")
    pickled = pickle.dumps(file)
    del file  # as in a process on another machine
    other = pickle.loads(pickled)
    assert other.is_new
    assert os.pread(other.fd, 8, AnonymousFile.OFFSET) == bytes(8)


@pytest.mark.parametrize("start", [pytest.param("spawn", marks=pytest.mark.long), "forkserver"])
def test_epochs_and_checkpoints_of_workers(tmp_path: Path, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymous, "_PLACE", PLACES[1])
    write_dataset(str(tmp_path / "remote"), N)
    dataset = StreamingDataset(remote=str(tmp_path / "remote"), local=str(tmp_path / "l"), batch_size=10, shuffle=True)
    loader = StreamingDataLoader(
        dataset, batch_size=10, num_workers=2, multiprocessing_context=start, persistent_workers=True, timeout=200
    )
    first, second = ([i for batch in loader for i in batch["id"].tolist()] for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(N))
    for step, _ in enumerate(loader):
        if step == 4:
            state = loader.state_dict()
    assert state is not None
    assert (state["epoch"], state["sample_in_epoch"]) == (2, 50)
    assert dataset.stats()["samples"] >= 3 * N
    assert dataset.stats()["files_fetched"] > 0


@pytest.mark.parametrize("is_supported", [True, False])
def test_allocated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_supported: bool) -> None:
    if not is_supported:

        def refuse(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "no such thing here")

        monkeypatch.setattr(allocating.os, "posix_fallocate", refuse, raising=False)
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"head")
        file.flush()
        allocate(file.fileno(), 3 << 20)
        status = os.fstat(file.fileno())
        assert (status.st_size, os.pread(file.fileno(), 5, 0)) == (3 << 20, b"head\0")
        assert status.st_blocks * 512 >= 3 << 20
        allocate(file.fileno(), 10)
        assert os.fstat(file.fileno()).st_size == 3 << 20


ENDS = """
import ctypes, sys
from streaming import StreamingDataLoader, StreamingDataset
{hold}
if __name__ == "__main__":
    dataset = StreamingDataset(remote=sys.argv[1], local=sys.argv[2], batch_size=4, cache_limit="1mb")
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers={workers}, persistent_workers={workers} > 0)
    iterator, samples = iter(loader), iter(dataset)
    batch = next(iterator)
    print(len(batch["id"]), len(next(samples)))
"""
HELD = "ctypes.pythonapi.Py_IncRef(ctypes.py_object(sys.modules['__main__']))  # as dill does"


@pytest.mark.parametrize("hold", [pytest.param("", marks=pytest.mark.long), HELD], ids=["plain", "held"])
@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.long), 1])
def test_quiet_exit(tmp_path: Path, hold: str, workers: int) -> None:
    write_dataset(str(tmp_path / "remote"), 40)
    script = tmp_path / "script.py"
    script.write_text(ENDS.format(hold=hold, workers=workers))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "remote"), str(tmp_path / "local")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "4", "")
