"""Caches in odd places, many at once, and processes that end in every way but the usual one."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.errors import ShardUnavailableError

from sample_data import sample, write_dataset
from servers import WebServer, web_server

Make = Callable[..., str]
N = 300
IS_ROOT = os.name == "posix" and os.geteuid() == 0


def ids(dataset: StreamingDataset, workers: int = 0) -> list[int]:
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers=workers)
    return sorted(i for batch in loader for i in batch["id"].tolist())


def test_sixteen_datasets_in_one_process(make_dataset: Make, tmp_path: Path) -> None:
    remotes = [make_dataset(N, f"remote{i}", compression="zstd" if i % 2 else None) for i in range(4)]
    datasets = [
        StreamingDataset(remote=remotes[i % 4], local=str(tmp_path / f"cache{i % 8}"), batch_size=4, shuffle=True)
        for i in range(16)
    ]
    iterators = [iter(StreamingDataLoader(d, batch_size=4, num_workers=i % 2)) for i, d in enumerate(datasets)]
    found: list[list[int]] = [[] for _ in datasets]
    for _ in range(N // 4):
        for seen, batches in zip(found, iterators, strict=True):
            seen += next(batches)["id"].tolist()
    assert all(sorted(seen) == list(range(N)) for seen in found)


def test_no_local_directory(make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    remote = make_dataset(N)
    for _ in range(2):  # the same one is found again
        assert ids(StreamingDataset(remote=remote, batch_size=4), 2) == list(range(N))
    assert len([p for p in (tmp_path / "t").iterdir() if not p.name.startswith("pymp-")]) == 1


READ_ONLY = """
import os, sys
import torch
from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.errors import StreamingError
arguments = dict(local=sys.argv[1], batch_size=4, shuffle=True)
def ids(workers):
    loader = StreamingDataLoader(StreamingDataset(**arguments), batch_size=4, num_workers=workers)
    return sorted(i for batch in loader for i in batch["id"].tolist())
ids(0), ids(2)  # imports what is imported late
os.chmod(sys.argv[1], 0o555)
os.setuid(65534)
try:
    open(os.path.join(sys.argv[1], "x"), "w")
except PermissionError:
    pass
else:
    sys.exit("not read-only")
for workers in (0, 2):
    assert ids(workers) == list(range(300))
"""


@pytest.mark.skipif(not IS_ROOT, reason="becomes a user who may not write, which takes root")
def test_read_only_local_dataset(make_dataset: Make, tmp_path: Path) -> None:
    local = make_dataset(N)
    for folder in [Path(local), *Path(local).parents]:
        if folder == Path("/tmp"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    before = sorted(os.listdir(local))
    subprocess.run(
        [sys.executable, "-c", READ_ONLY, local], check=True, timeout=100, env={**os.environ, "TMPDIR": "/tmp"}
    )
    assert sorted(os.listdir(local)) == before


def test_local_dataset_of_compressed_shards_only(make_dataset: Make) -> None:
    """They are decompressed beside themselves, and the user's files stay."""
    local = make_dataset(N, compression="zstd")
    zips = sorted(p.name for p in Path(local).glob("*.zstd"))
    assert ids(StreamingDataset(local=local, batch_size=4, shuffle=True), 2) == list(range(N))
    assert sorted(p.name for p in Path(local).glob("*.zstd")) == zips


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if (
        not IS_ROOT
        or shutil.which("mount") is None
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("a small file system can only be mounted by root, and not everywhere")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_full_disk(tmp_path: Path, small_disk: Path, workers: int, compression: str | None) -> None:
    remote = tmp_path / "remote"
    write_dataset(str(remote), 5 * N, size_limit=20_000, compression=compression)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(230_000))
    dataset = StreamingDataset(remote=str(remote), local=str(small_disk / "cache"), batch_size=4, shuffle=True)
    with pytest.raises(ShardUnavailableError, match="free space"):
        ids(dataset, workers)
    filler.unlink()
    assert ids(dataset, workers) == list(range(5 * N))
    assert not list((small_disk / "cache").glob("*.part"))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no tmpfs here")
def test_cache_on_tmpfs(make_dataset: Make) -> None:
    place = Path("/dev/shm") / f"streaming-test-{os.getpid()}"
    try:
        dataset = StreamingDataset(remote=make_dataset(N), local=str(place), batch_size=4, cache_limit="20kb")
        for workers in (0, 2):
            assert ids(dataset, workers) == list(range(N))
    finally:
        shutil.rmtree(place, ignore_errors=True)


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


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", ["exit", "raise", "drop", "interrupt"])
def test_programs_that_end_early(slow: WebServer, tmp_path: Path, workers: int, how: str) -> None:
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


def test_a_half_read_dataset_is_collected(slow: WebServer, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    dataset = StreamingDataset(remote=f"{slow.url}/data", local=str(tmp_path / "cache"), batch_size=4, shuffle=True)
    samples = iter(dataset)
    assert next(samples)["id"] >= 0
    del samples
    dataset.close()
    del dataset
    gc.collect()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(fetchers(before)):
        time.sleep(0.05)
    assert fetchers(before) == []


def fetchers(before: set[threading.Thread]) -> list[str]:
    return [t.name for t in threading.enumerate() if t not in before and t.name.startswith("streaming-fetch")]


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_of_every_kind(make_dataset: Make, tmp_path: Path, start: str, persistent: bool) -> None:
    dataset = StreamingDataset(
        remote=make_dataset(N, compression="zstd"),
        local=str(tmp_path / "c"),
        batch_size=4,
        cache_limit="20kb",
        shuffle=True,
    )
    loader = DataLoader(
        dataset, batch_size=4, num_workers=2, multiprocessing_context=start, persistent_workers=persistent, timeout=60
    )
    for _ in range(2):
        assert sorted(i for batch in loader for i in batch["id"].tolist()) == list(range(N))
    assert dataset[7] == sample(7)


def test_says_why_it_waits(slow: WebServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = StreamingDataset(remote=f"{slow.url}/data", local=str(tmp_path / "cache"), batch_size=4)
        assert ids(dataset) == list(range(N))
    stats = dataset.stats()
    assert stats["waits"] >= 1
    assert stats["wait_seconds_download"] >= 0.3
    assert not caplog.records
