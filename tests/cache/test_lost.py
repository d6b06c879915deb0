"""The table, or the whole directory, is removed while jobs read: nothing is lost but what was known."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataset
from streaming.cache.bookkeeping.table import TABLE_NAME, CacheTable

from sample_data import write_dataset

N = 600


@pytest.fixture
def remote(tmp_path: Path) -> str:
    write_dataset(str(tmp_path / "remote"), N, size_limit=4000)
    return str(tmp_path / "remote")


def remove(local: str, what: str) -> None:
    if what == "table":
        os.unlink(os.path.join(local, TABLE_NAME))
    else:
        shutil.rmtree(local, ignore_errors=True)


def read(remote: str, local: str, limit: Any, what: str, barrier: Any) -> None:
    dataset = StreamingDataset(remote=remote, local=local, batch_size=4, shuffle=True, cache_limit=limit, predownload=8)
    seen = set[int]()
    for number, sample in enumerate(dataset):
        seen.add(sample["id"])
        if number == N // 3 and barrier.wait(60) == 0:
            remove(local, what)
    assert len(seen) == N
    if limit is not None:
        assert dataset.cache_usage <= limit


@pytest.mark.parametrize("limit", [None, 40_000])
@pytest.mark.parametrize("what", ["table", "directory"])
@pytest.mark.parametrize("processes", [1, 3])
def test_removed_while_reading(remote: str, tmp_path: Path, limit: Any, what: str, processes: int) -> None:
    context = multiprocessing.get_context("fork")
    arguments = (remote, str(tmp_path / "local"), limit, what, context.Barrier(processes))
    others = [context.Process(target=read, args=arguments) for _ in range(processes - 1)]
    for process in others:
        process.start()
    read(*arguments)
    for process in others:
        process.join(100)
    assert not any(process.exitcode for process in others)


def test_what_was_known_comes_into_the_new_table(tmp_path: Path) -> None:
    present = {0, 1, 3}
    one, two = (CacheTable(str(tmp_path), 4, b"x" * 16, has_files=present.__contains__) for _ in range(2))
    one.owned[:] = 10, 20, 30, 0
    one.verified[:] = 1, 2, 3, 0
    reader = two.reader(7)
    reader.at(500)
    os.unlink(one.path)
    other = CacheTable(str(tmp_path), 4, b"x" * 16, has_files=present.__contains__)
    other.owned[3] = 40
    other.count_eviction()
    for table in (one, two):
        with table.lock():
            assert table.owned.tolist() == [10, 20, 0, 40]
            assert table.verified.tolist() == [1, 2, 0, 0]
            assert table.generation == 1
    assert other.owned.tolist() == [10, 20, 0, 40]
    fast = one.reader(7)
    fast.at(900)
    assert fast.slowest() == 500
    reader.at(600)
    assert fast.slowest() == 600


def test_another_datasets_table_is_left_alone(tmp_path: Path) -> None:
    table = CacheTable(str(tmp_path), 4, b"x" * 16)
    table.owned[0] = 5
    os.unlink(table.path)
    other = CacheTable(str(tmp_path), 7, b"y" * 16)
    with table.lock():
        assert table.owned[0] == 5
    assert CacheTable(str(tmp_path), 7, b"y" * 16).owned.tolist() == other.owned.tolist() == [0] * 7


FULL = """
import os, shutil, sys
import numpy as np
from streaming import StreamingDataset
from streaming.base.shared import SharedMemory
from streaming.loader.blocks import Block
remote, small = sys.argv[1:]
for pages in range(12):
    shutil.rmtree(small + "/local", ignore_errors=True)
    with open(small + "/fill", "wb") as file:
        room = os.statvfs(small)
        file.write(bytes(room.f_bavail * room.f_frsize - 4096 * pages))
    dataset = None
    for make in (
        lambda: sum(1 for _ in StreamingDataset(remote=remote, local=small + "/local", batch_size=4, download_retry=0)),
        lambda: Block(1, 300_000).data.fill_(1),
        lambda: SharedMemory(size=300_000).buf.__setitem__(slice(0, 300_000), bytes(300_000)),
    ):
        try:
            make()
        except Exception as error:
            print(type(error).__name__, isinstance(error, (OSError, RuntimeError)))
    os.unlink(small + "/fill")
"""


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A directory that is not below /dev/shm, where those of other tests may lie."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        yield Path(place)


def test_a_full_disk_is_an_exception(on_disk: Path) -> None:
    write_dataset(str(on_disk / "remote"), 400, size_limit=4000)
    script = 'mount -t tmpfs -o size=256k tmpfs /dev/shm || exit 77; exec "$0" -c "$1" "$2" /dev/shm'
    command = ["unshare", "-rm", "sh", "-c", script, sys.executable, FULL, str(on_disk / "remote")]
    if shutil.which("unshare") is None:
        pytest.skip("a small file system cannot be mounted here")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode in (1, 77) and "Error" not in done.stderr:
        pytest.skip("a small file system cannot be mounted here")
    assert (done.returncode, "False" in done.stdout) == (0, False), done.stderr
    assert {"ShardUnavailableError", "SharedMemoryError"} <= set(done.stdout.split())


@pytest.mark.parametrize("cut", [0, 100])
def test_a_shard_cut_short_is_noticed_when_it_is_opened(remote: str, tmp_path: Path, cut: int) -> None:
    dataset = StreamingDataset(remote=remote, local=str(tmp_path / "local"), batch_size=4)
    assert dataset[0]["id"] == 0
    dataset.close()
    os.truncate(tmp_path / "local" / "shard.00000.mds", cut)
    assert dataset[0]["id"] == 0


def test_a_directory_that_goes_as_a_file_is_begun(remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it is removed between two calls of the system: which a test cannot time."""
    removed: list[str] = []
    make = os.makedirs

    def make_and_remove(path: Any, *args: Any, **kwargs: Any) -> None:
        make(path, *args, **kwargs)
        if str(path) == str(tmp_path / "local") and len(removed) < 2 and len(os.listdir(path)) > 0:
            removed.append(str(path))
            shutil.rmtree(path)

    dataset = StreamingDataset(remote=remote, local=str(tmp_path / "local"), batch_size=1)
    monkeypatch.setattr("streaming.cache.fetching.fetch.os.makedirs", make_and_remove)
    assert len(list(dataset)) == dataset.size
    assert removed
