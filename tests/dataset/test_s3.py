"""A bucket on loopback: write, read with workers of every kind, and the errors a new user meets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.storage.registry import open_store

from sample_data import COLUMNS, sample, write_dataset

N = 300


def ids(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch["id"].tolist()]


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_write_and_read(bucket: str, tmp_path: Path, compression: str | None) -> None:
    remote = f"{bucket}/some/prefix"
    write_dataset(remote, N, compression=compression)
    dataset = StreamingDataset(remote=remote, local=str(tmp_path / "cache"))
    assert dataset[:] == [sample(i) for i in range(N)]


@pytest.mark.parametrize(
    ("workers", "start", "read_first"),
    [
        *((workers, start, read_first) for workers, start in [(0, None), (2, "fork")] for read_first in (False, True)),
        (1, "spawn", True),  # one that is not forked takes seconds
        pytest.param(1, "forkserver", False, marks=pytest.mark.long),
    ],
)
@pytest.mark.usefixtures("_fresh_forkserver")
def test_plain_dataloader(bucket: str, tmp_path: Path, workers: int, start: str | None, read_first: bool) -> None:
    write_dataset(bucket, N)
    dataset = StreamingDataset(remote=bucket, local=str(tmp_path / "cache"), shuffle=True, batch_size=4)
    if read_first:
        assert dataset[0] == sample(0)
    loader = DataLoader(
        dataset, batch_size=4, num_workers=workers, multiprocessing_context=start, timeout=200 if workers else 0
    )
    for _ in range(2 if start in (None, "fork") else 1):
        assert sorted(ids(loader)) == list(range(N))
    assert dataset[-1] == sample(N - 1)


@pytest.mark.parametrize(("start", "workers"), [("fork", 4), pytest.param("spawn", 2, marks=pytest.mark.long)])
def test_cold_epochs_hold_the_remotes_bytes(bucket: str, tmp_path: Path, start: str, workers: int) -> None:
    source = tmp_path / "source"
    write_dataset((str(source), bucket), N, keep_local=True)
    for attempt in range(3 if start == "fork" else 1):
        cache = tmp_path / f"cache{attempt}"
        dataset = StreamingDataset(remote=bucket, local=str(cache), shuffle=True, batch_size=4)
        loader = StreamingDataLoader(
            dataset, batch_size=4, num_workers=workers, multiprocessing_context=start, timeout=200
        )
        assert sorted(ids(loader)) == list(range(N))
        for shard in source.glob("shard.*"):
            assert (cache / shard.name).read_bytes() == shard.read_bytes()


def test_missing_bucket(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no-such-bucket"):
        StreamingDataset(remote="s3://no-such-bucket/data", local=str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="no-such-bucket"):
        MDSWriter(columns=COLUMNS, out="s3://no-such-bucket/data")


def test_wrong_prefix(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"index\.json"):
        StreamingDataset(remote=f"{bucket}/wrong", local=str(tmp_path / "cache"))


def test_server_that_is_not_there(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9|endpoint"):
        StreamingDataset(remote=bucket, local=str(tmp_path / "cache"), download_retry=0)


def test_missing_shard(bucket: str, tmp_path: Path) -> None:
    write_dataset(bucket, N)
    open_store(bucket).delete("shard.00001.mds")
    dataset = StreamingDataset(remote=bucket, local=str(tmp_path / "cache"), batch_size=4)
    with pytest.raises(RuntimeError, match=r"shard\.00001\.mds"):
        ids(DataLoader(dataset, batch_size=4, num_workers=2, timeout=200))
