"""Caches in odd places, many at once, and workers of every kind."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.errors import ShardUnavailableError

from programs import run_code
from sample_data import sample, write_dataset

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
    status, _, said = run_code(READ_ONLY, local, environment={**os.environ, "TMPDIR": "/tmp"})
    assert status == 0, said
    assert sorted(os.listdir(local)) == before


READ_ONLY_ZIPS = """
import os, sys
from streaming import StreamingDataset
warm, local, cache = sys.argv[1:]
assert len(StreamingDataset(local=warm)[:]) == 300  # imports what is imported late
os.setuid(65534)
try:
    StreamingDataset(local=local)[0]
except RuntimeError as error:
    assert "Could not write" in str(error) and "pass this directory as remote" in str(error), error
else:
    sys.exit("not read-only")
assert [x["id"] for x in StreamingDataset(remote=local, local=cache)[:]] == list(range(300))
"""


@pytest.mark.skipif(not IS_ROOT, reason="becomes a user who may not write, which takes root")
def test_read_only_local_dataset_of_compressed_shards(make_dataset: Make, tmp_path: Path) -> None:
    """They cannot be decompressed there, and the error says what to do instead."""
    warm, local = (make_dataset(N, name, compression="zstd") for name in ("warm", "data"))
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    for folder in [Path(local), *Path(local).parents]:
        if folder == Path("/tmp"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    before = sorted(os.listdir(local))
    status, _, said = run_code(READ_ONLY_ZIPS, warm, local, str(cache))
    assert status == 0, said
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
    dataset.close()  # what is being fetched just now may still fail for want of room
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


@pytest.mark.parametrize(
    ("start", "persistent"),
    [
        ("fork", False),
        ("fork", True),
        ("forkserver", False),
        ("forkserver", True),
        pytest.param("spawn", False, marks=pytest.mark.long),
        pytest.param("spawn", True, marks=pytest.mark.long),
    ],
)
def test_workers_of_every_kind(make_dataset: Make, tmp_path: Path, start: str, persistent: bool) -> None:
    dataset = StreamingDataset(
        remote=make_dataset(N, compression="zstd"),
        local=str(tmp_path / "c"),
        batch_size=4,
        cache_limit="20kb",
        shuffle=True,
    )
    loader = DataLoader(
        dataset, batch_size=4, num_workers=2, multiprocessing_context=start, persistent_workers=persistent, timeout=200
    )
    for _ in range(2):
        assert sorted(i for batch in loader for i in batch["id"].tolist()) == list(range(N))
    assert dataset[7] == sample(7)
