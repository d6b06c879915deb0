"""What ``stats()`` tells, workers included."""

from __future__ import annotations

import os
import pickle
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from streaming import StreamingDataLoader, StreamingDataset
from streaming.cache.fetching.fetch import FetchStats
from streaming.cache.fetching.fetches import Fetches

from servers import web_server

N = 600
Make = Callable[..., str]


@pytest.mark.parametrize("start", [None, "fork", "forkserver", pytest.param("spawn", marks=pytest.mark.long)])
def test_bytes_and_samples_of_all_workers(make_dataset: Make, tmp_path: Path, start: str | None) -> None:
    remote = make_dataset(N)
    data = StreamingDataset(remote=remote, local=str(tmp_path / "cache"), shuffle=True, batch_size=4)
    assert data.stats()["samples"] == 0
    loader = StreamingDataLoader(
        data, batch_size=4, num_workers=2 if start else 0, multiprocessing_context=start, timeout=200 if start else 0
    )
    shards = list(Path(remote).glob("shard*"))
    for rounds in (1, 2) if start in (None, "fork") else (1,):
        assert sum(len(batch["id"]) for batch in loader) == N
        stats = data.stats()
        assert stats["samples"] == rounds * N
        assert stats["files_fetched"] == len(shards)
        assert stats["bytes_fetched"] == sum(path.stat().st_size for path in shards)
    assert stats["retries"] == stats["corrupt"] == stats["evictions"] == stats["substituted_samples"] == 0
    assert stats["cache_usage"] == data.cache_usage > stats["bytes_fetched"]


def test_an_epoch_ends_when_all_is_counted(make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = Fetches._count

    def count_late(self: Fetches, stats: FetchStats) -> None:
        time.sleep(0.2)  # as a thread that does not get to run
        count(self, stats)

    monkeypatch.setattr(Fetches, "_count", count_late)
    remote = make_dataset(N)
    data = StreamingDataset(remote=remote, local=str(tmp_path / "cache"), batch_size=4)
    for _ in data:
        time.sleep(0.0005)  # so that each shard is there before it is needed
    assert data.stats()["samples"] == N
    assert data.stats()["files_fetched"] == len(list(Path(remote).glob("shard*")))


def test_retries_and_damage(make_dataset: Make, tmp_path: Path) -> None:
    remote = Path(make_dataset(N))
    with web_server() as server:
        server.objects.update({f"data/{path.name}": path.read_bytes() for path in remote.iterdir()})
        asked: Counter[str] = Counter()

        def fault(handler: object, path: str) -> bool:
            asked[path] += 1
            if "00001" in path and asked[path] <= 3:  # the client itself tries that often
                handler.reply(503)  # type: ignore[attr-defined]
                return True
            if "00002" in path and asked[path] == 1:
                data = bytearray(server.objects[path])
                data[-1] ^= 1
                handler.reply(200, bytes(data))  # type: ignore[attr-defined]
                return True
            return False

        server.fault = fault
        data = StreamingDataset(remote=f"{server.url}/data", local=str(tmp_path / "cache"), batch_size=4)
        assert [sample["id"] for sample in data] == list(range(N))
    stats = data.stats()
    assert (stats["throttled"], stats["corrupt"], stats["retries"]) == (1, 1, 2)
    assert stats["waits"] >= 1
    assert stats["wait_seconds_backoff"] > 0
    causes = sum(stats[f"wait_seconds_{cause}"] for cause in ("queue", "other_process", "download", "backoff"))
    assert causes <= stats["wait_seconds"] + 1e-6


def test_evictions(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(N)
    data = StreamingDataset(remote=remote, local=str(tmp_path / "cache"), batch_size=4, cache_limit=20_000)
    assert len(list(data)) == N
    stats = data.stats()
    assert stats["cache_usage"] <= stats["cache_limit"] == 20_000
    assert stats["evictions"] > 0
    assert stats["bytes_fetched"] + os.path.getsize(Path(remote) / "index.json") == (
        stats["bytes_evicted"] + stats["cache_usage"]
    )


def test_a_copy_counts_with_the_original(make_dataset: Make, tmp_path: Path) -> None:
    data = StreamingDataset(remote=make_dataset(N), local=str(tmp_path / "cache"), batch_size=4)
    copy = pickle.loads(pickle.dumps(data))
    assert len(list(copy)) == N
    assert data.stats()["samples"] == N
