"""Bad data while iterating: an exception, or a substitute that is the same for everybody."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.errors import ChecksumError, ConfigError, ShardUnavailableError
from streaming.dataset.epoch.substitutes import Substitutes

from sample_data import open_kind, sample, write_kinds
from servers import web_server

N = 600
Make = Callable[..., str]


def dataset(remote: str, cache: Path, **kwargs: Any) -> StreamingDataset:
    arguments: dict[str, Any] = {"shuffle": True, "on_error": "skip", "download_retry": 1, **kwargs}
    return StreamingDataset(remote=remote, local=str(cache), batch_size=4, **arguments)


def epoch(data: StreamingDataset, workers: int = 0, **kwargs: Any) -> list[int]:
    loader = StreamingDataLoader(data, batch_size=4, num_workers=workers, timeout=200 if workers else 0, **kwargs)
    return [i for batch in loader for i in batch["id"].tolist()]


def quarantine(cache: Path) -> list[dict[str, Any]]:
    path = cache / ".streaming-quarantine.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def shard_of(remote: str, number: int) -> tuple[Path, range]:
    """A shard's file, and the ids of its samples."""
    shards = json.loads((Path(remote) / "index.json").read_text())["shards"]
    begin = sum(s["samples"] for s in shards[:number])
    return Path(remote) / shards[number]["raw_data"]["basename"], range(begin, begin + shards[number]["samples"])


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["damaged", "missing"])
def test_a_bad_shard_is_replaced_by_one_other(make_dataset: Make, tmp_path: Path, kind: str) -> None:
    remote = make_dataset(N)
    right = epoch(dataset(remote, tmp_path / "right", on_error="raise"))
    path, ids = shard_of(remote, 2)
    if kind == "damaged":
        damage(path)
    else:
        path.unlink()
    data = dataset(remote, tmp_path / "cache")
    seen = epoch(data)
    assert len(seen) == len(right)
    assert all(a == b for a, b in zip(right, seen, strict=True) if a not in ids)
    replaced = [b for a, b in zip(right, seen, strict=True) if a in ids]
    assert not set(replaced) & set(ids)
    others = {number for number in range(data.num_shards) if set(shard_of(remote, number)[1]) & set(replaced)}
    assert len(others) == 1
    stats = data.stats()
    assert stats["substituted_samples"] == len(ids)
    [entry] = quarantine(tmp_path / "cache")
    assert (entry["shard"], entry["sample"], entry["dataset"]) == (path.name, None, remote)
    assert epoch(dataset(remote, tmp_path / "workers"), workers=2) == seen
    with pytest.raises(ChecksumError if kind == "damaged" else ShardUnavailableError, match=path.name):
        epoch(dataset(remote, tmp_path / "raise", on_error="raise"))
    with pytest.raises(ChecksumError if kind == "damaged" else ShardUnavailableError):
        data[ids[0]]


def test_a_bad_shard_of_what_is_joined_is_asked_for_once(tmp_path: Path) -> None:
    remote = write_kinds(str(tmp_path / "data"), N)
    path, places = shard_of(f"{remote}-twice", 2)
    damage(path)
    ids = {N - 1 - place for place in places}

    def opened(name: str) -> Any:
        return open_kind("join", remote, tmp_path / name, batch_size=4, shuffle=True, on_error="skip")

    data = opened("cache")
    seen = epoch(data)
    assert len(seen) == N
    assert set(seen) == set(range(N)) - ids
    stats = data.stats()
    assert (stats["substituted_samples"], stats["corrupt"]) == (len(ids), 3)  # the attempts of one fetch
    [entry] = quarantine(tmp_path / "cache" / "twice")
    assert (entry["shard"], entry["sample"], entry["dataset"]) == (path.name, None, f"{remote}-twice")
    assert not (tmp_path / "cache" / "own" / ".streaming-quarantine.jsonl").exists()
    assert epoch(opened("workers"), workers=2) == seen


def test_the_substitutes_are_the_same_after_resuming(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(N)
    damage(shard_of(remote, 1)[0])
    seen = epoch(dataset(remote, tmp_path / "whole"))
    data = dataset(remote, tmp_path / "first")
    loader = StreamingDataLoader(data, batch_size=4)
    batches = iter(loader)
    head = [i for _ in range(40) for i in next(batches)["id"].tolist()]
    resumed = dataset(remote, tmp_path / "second")
    loader2 = StreamingDataLoader(resumed, batch_size=4, num_workers=2, timeout=200)
    loader2.load_state_dict(loader.state_dict())
    assert head + [i for batch in loader2 for i in batch["id"].tolist()] == seen


class _Picky(StreamingDataset):
    bad = frozenset((3, 77, 78))

    def get_item(self, sample_id: int, retry: int = 7) -> Any:
        if sample_id in self.bad:
            raise ValueError(f"cannot decode {sample_id}")
        return super().get_item(sample_id, retry)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_is_replaced_by_one_of_its_shard(make_dataset: Make, tmp_path: Path, workers: int) -> None:
    remote = make_dataset(N)
    right = epoch(dataset(remote, tmp_path / "right"))
    data = _Picky(
        remote=remote, local=str(tmp_path / "cache"), batch_size=4, shuffle=True, on_error="skip", predownload=8
    )
    seen = epoch(data, workers)
    replaced = {a: b for a, b in zip(right, seen, strict=True) if a != b}
    assert set(replaced) == _Picky.bad
    assert all(b in shard_of(remote, int(data._table.locate(a)[0]))[1] for a, b in replaced.items())
    entries = quarantine(tmp_path / "cache")
    assert len(entries) == data.stats()["substituted_samples"] == 3
    assert {entry["error"] for entry in entries} == {f"ValueError: cannot decode {i}" for i in _Picky.bad}
    with pytest.raises(ValueError, match="cannot decode"):
        epoch(_Picky(remote=remote, local=str(tmp_path / "cache"), batch_size=4), workers)


def test_a_dataset_that_cannot_be_read_at_all_is_an_error(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(N)
    for path in Path(remote).glob("shard*"):
        damage(path)
    with pytest.raises(ChecksumError):
        epoch(dataset(remote, tmp_path / "cache"))


def test_failures_of_access_and_network_are_raised(make_dataset: Make, tmp_path: Path) -> None:
    remote = Path(make_dataset(N))
    with web_server() as server:
        server.objects.update({f"data/{path.name}": path.read_bytes() for path in remote.iterdir()})

        def fault(handler: Any, path: str) -> bool:
            if "shard.00002" in path:
                handler.reply(status)
                return True
            return False

        server.fault = fault
        for status in (403, 500):
            with pytest.raises(ShardUnavailableError, match=r"shard\.00002"):
                epoch(dataset(f"{server.url}/data", tmp_path / str(status), download_retry=0))


def test_bad_values_and_a_directory_that_cannot_be_written(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(N)
    with pytest.raises(ConfigError, match="'raise', 'skip'"):
        dataset(remote, tmp_path / "a", on_error="ignore")
    path, ids = shard_of(remote, 0)
    os.truncate(path, 40)
    local = StreamingDataset(local=remote, batch_size=4, on_error="skip")
    seen = epoch(local)
    assert len(seen) == N
    assert not set(ids) & set(seen)
    assert local[ids[-1] + 1] == sample(ids[-1] + 1)


def test_a_shard_that_failed_ahead_of_its_reader_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the reader is slower than the threads that fetch: here it waits for them before each sample."""
    remote = write_kinds(str(tmp_path / "data"), N)
    path, _ = shard_of(f"{remote}-twice", 2)
    damage(path)
    data = open_kind("join", remote, tmp_path / "cache", batch_size=4, shuffle=True, on_error="skip")
    read = Substitutes.read

    def read_late(self: Any, sample_id: int) -> Any:
        deadline = time.monotonic() + 10
        while data._cache._fetches._under_way and time.monotonic() < deadline:
            time.sleep(0.001)
        return read(self, sample_id)

    monkeypatch.setattr(Substitutes, "read", read_late)
    assert len(epoch(data)) == N
    assert data.stats()["corrupt"] == 3
