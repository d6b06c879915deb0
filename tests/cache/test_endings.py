"""Programs and datasets that end in every way but the usual one: nothing hangs, nothing is left, nothing is said."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from streaming import StreamingDataset

from sample_data import write_dataset
from servers import WebServer, web_server

N = 300


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[WebServer]:
    """A server that takes half a second for a shard."""
    write_dataset(str(tmp_path / "source"), N)

    def wait(_handler: object, path: str) -> bool:
        if "shard" in path:
            time.sleep(0.5)
        return False

    with web_server() as server:
        server.objects.update({f"data/{p.name}": p.read_bytes() for p in (tmp_path / "source").iterdir()})
        server.fault = wait
        yield server


PROGRAM = """
import sys
from streaming import StreamingDataLoader, StreamingDataset
remote, local, workers, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
dataset = StreamingDataset(remote=remote, local=local, batch_size=4, shuffle=True, predownload=300)
batches = iter(StreamingDataLoader(dataset, batch_size=4, num_workers=workers))
next(batches)
print("begun", flush=True)
if how == "exit":
    sys.exit(0)
if how == "raise":
    raise RuntimeError("the user's")
if how == "drop":
    del batches, dataset
    sys.exit(0)
for batch in batches:
    pass
for batch in StreamingDataLoader(dataset, batch_size=4, num_workers=workers):
    import time; time.sleep(60)
"""


@pytest.mark.parametrize(
    ("how", "workers"),
    [
        ("exit", 2),
        ("raise", 0),
        ("drop", 2),
        ("interrupt", 2),
        pytest.param("exit", 0, marks=pytest.mark.long),
        pytest.param("raise", 2, marks=pytest.mark.long),
        pytest.param("drop", 0, marks=pytest.mark.long),
        pytest.param("interrupt", 0, marks=pytest.mark.long),
    ],
)
def test_programs_that_end_early(slow: WebServer, tmp_path: Path, how: str, workers: int) -> None:
    arguments = [sys.executable, "-c", PROGRAM, f"{slow.url}/data", str(tmp_path / "cache"), str(workers), how]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        if how == "interrupt":
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: everybody in the terminal's group
        _, errors = process.communicate(timeout=40)
    finally:
        if process.poll() is None:
            process.kill()
    expected = {"exit": 0, "drop": 0, "raise": 1, "interrupt": -signal.SIGINT}[how]
    assert process.returncode == expected, errors
    assert "Exception ignored" not in errors
    assert "Exception in thread" not in errors
    assert "Fatal" not in errors
    if how in ("exit", "drop"):
        assert errors == ""
    if how == "raise":
        assert errors.rstrip().endswith("RuntimeError: the user's")
    if how == "interrupt":
        assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_half_read_dataset_is_collected(slow: WebServer, tmp_path: Path, how: str) -> None:
    before = set(threading.enumerate())
    dataset = StreamingDataset(remote=f"{slow.url}/data", local=str(tmp_path / "cache"), batch_size=4, shuffle=True)
    samples = iter(dataset)
    assert next(samples)["id"] >= 0
    if how == "close":
        dataset.close()
    known = weakref.ref(dataset)
    del samples, dataset
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (fetchers(before) or known() is not None):
        gc.collect()
        time.sleep(0.05)
    assert fetchers(before) == []
    assert known() is None


def fetchers(before: set[threading.Thread]) -> list[str]:
    return [t.name for t in threading.enumerate() if t not in before and t.name.startswith("streaming-fetch")]


def test_says_why_it_waits(slow: WebServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = StreamingDataset(remote=f"{slow.url}/data", local=str(tmp_path / "cache"), batch_size=4)
        assert sorted(sample["id"] for sample in dataset) == list(range(N))
    stats = dataset.stats()
    assert stats["waits"] >= 1
    assert stats["wait_seconds_download"] >= 0.3
    assert not caplog.records
