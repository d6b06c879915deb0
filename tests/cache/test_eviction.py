"""A cache with a limit: what goes, what stays, and how often a shard is fetched."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from streaming import MDSWriter, StreamingDataset
from streaming.cache.bookkeeping.table import CacheTable
from streaming.cache.planning.needs import NEVER, Needs
from streaming.core.process.lock import locked_part, remove_part

from budget import repetitions
from sample_data import part_of

SHARDS, PER_SHARD = 120, 16


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("remote"))
    with MDSWriter(out=out, columns={"id": "int", "x": "bytes"}, size_limit=PER_SHARD * 324 + 300) as writer:
        for i in range(SHARDS * PER_SHARD):
            writer.write({"id": i, "x": i.to_bytes(4, "little") * 75})
    return out


Spans = list[tuple[int, int, int]]
spans = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50), st.integers(0, 50)), max_size=12)


def as_needs(drawn: Spans) -> Needs:
    rows = np.array([(s, min(a, b), max(a, b)) for s, a, b in drawn], np.int64).reshape(-1, 3)
    return Needs(6, rows[:, 0], rows[:, 1], rows[:, 2])


@given(spans, st.integers(0, 60))
def test_next_use(drawn: Spans, now: int) -> None:
    expected = [
        min((max(min(a, b), now) for s, a, b in drawn if s == shard and max(a, b) >= now), default=NEVER)
        for shard in range(6)
    ]
    assert as_needs(drawn).next_use(now).tolist() == expected


@given(spans)
def test_most_at_once(drawn: Spans) -> None:
    sizes = np.array([1, 2, 4, 8, 16, 32])
    at = [sum(int(sizes[s]) for s, a, b in drawn if min(a, b) <= t <= max(a, b)) for t in range(51)]
    assert as_needs(drawn).most_at_once(sizes) == max(at)


def open_limited(remote: str, cache: Path, share: float, **kwargs: object) -> StreamingDataset:
    total = sum(path.stat().st_size for path in Path(remote).iterdir())
    settings: dict[str, object] = {"shuffle": True, "shuffle_block_size": 100, "num_canonical_nodes": 1}
    return StreamingDataset(
        remote=remote,
        local=str(cache),
        batch_size=8,
        cache_limit=int(total * share),
        **{**settings, **kwargs},  # pyright: ignore[reportArgumentType]
    )


def epoch_of(dataset: StreamingDataset, workers: int) -> list[int]:
    return [int(i) for batch in DataLoader(dataset, batch_size=8, num_workers=workers) for i in batch["id"]]


@pytest.mark.parametrize(
    ("algo", "workers"),
    [
        (None, 2),
        ("py1e", 0),
        pytest.param(None, 0, marks=pytest.mark.long),
        pytest.param("py1e", 2, marks=pytest.mark.long),
    ],
)
def test_each_shard_is_fetched_about_once_an_epoch(remote: str, tmp_path: Path, algo: str | None, workers: int) -> None:
    before = set(threading.enumerate())
    dataset = open_limited(remote, tmp_path, 0.2, shuffle_algo=algo)
    limit = dataset.cache_limit or 0
    fetched = 0
    for _ in range(2):
        assert sorted(epoch_of(dataset, workers)) == list(range(SHARDS * PER_SHARD))
        stats = dataset.stats()
        # The last epoch's end leaves what this one begins with.
        assert stats["files_fetched"] - fetched <= SHARDS * 1.15
        assert stats["cache_usage"] <= limit
        dataset.close()  # or the next epoch's first shards go on coming
        new = set(threading.enumerate()) - before
        assert not [thread for thread in new if thread.name.startswith("streaming-fetch")]
        on_disk = sum(path.stat().st_size for path in tmp_path.iterdir() if path.suffix == ".mds")
        assert on_disk <= limit
        fetched = stats["files_fetched"]
    assert dataset.stats()["evictions"] > SHARDS


def test_shards_of_the_next_epoch_stay_or_come_before_it_begins(remote: str, tmp_path: Path) -> None:
    dataset = open_limited(remote, tmp_path, 0.2)
    for number, _ in enumerate(dataset):
        if number > SHARDS * PER_SHARD - 20:
            time.sleep(0.02)
    before = dataset.stats()["waits"]
    first = next(iter(dataset))
    assert first["id"] >= 0
    assert dataset.stats()["waits"] == before


def test_says_when_the_limit_is_too_small_for_the_order(
    remote: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "streaming"):
        dataset = open_limited(remote, tmp_path, 0.1, shuffle_block_size=SHARDS * PER_SHARD)
        assert sorted(epoch_of(dataset, 0)) == list(range(SHARDS * PER_SHARD))
        assert len(list(islice(dataset, PER_SHARD))) == PER_SHARD
    (record,) = [record for record in caplog.records if "cache_limit" in record.message]
    assert "reads from at once" in record.message


def test_says_nothing_when_it_is_enough(remote: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "streaming"):
        epoch_of(open_limited(remote, tmp_path, 0.2), 0)
    assert not caplog.records


def test_without_an_order_what_was_used_longest_ago_goes(remote: str, tmp_path: Path) -> None:
    dataset = open_limited(remote, tmp_path, 0.1)
    for shard in range(SHARDS):
        assert dataset[shard * PER_SHARD]["id"] == shard * PER_SHARD
    kept = sorted(int(path.name.split(".")[1]) for path in tmp_path.glob("*.mds"))
    assert kept == list(range(SHARDS - len(kept), SHARDS))
    assert dataset.cache_usage <= (dataset.cache_limit or 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_two_orders_share_a_directory(remote: str, tmp_path: Path, workers: int) -> None:
    datasets = [open_limited(remote, tmp_path, 0.2, shuffle_seed=seed) for seed in (1, 2)]
    found: dict[int, list[int]] = {}

    def run(number: int) -> None:
        found[number] = epoch_of(datasets[number], workers)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [sorted(found[number]) for number in range(2)] == [list(range(SHARDS * PER_SHARD))] * 2


def test_the_slowest_reader_of_a_plan_counts(tmp_path: Path) -> None:
    tables = [CacheTable(str(tmp_path), 4, b"x" * 16) for _ in range(2)]
    fast, slow, other = tables[0].reader(7), tables[1].reader(7), tables[1].reader(8)
    fast.at(500)
    slow.at(300)
    other.at(100)
    assert (fast.slowest(), slow.slowest(), other.slowest()) == (300, 300, 100)
    slow.leave()
    assert fast.slowest() == 500
    slow.at(310)
    assert fast.slowest() == 310


def test_what_somebody_is_fetching_is_not_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "x.part")
    with locked_part(path) as part:
        Path(part).write_bytes(b"123")
        assert not remove_part(path)
    assert os.path.exists(path)
    assert remove_part(path)
    assert not os.path.exists(path)
    assert remove_part(path)


Make = Callable[..., str]


def test_a_shard_left_half_fetched_makes_room(remote: str, tmp_path: Path) -> None:
    """A process killed while it fetched leaves bytes that are counted, continued, or evicted."""
    dataset = open_limited(remote, tmp_path, 0.1)
    data = (Path(remote) / "shard.00007.mds").read_bytes()
    part = part_of(dataset, 7)
    part.write_bytes(data[:100])
    table = dataset._cache.directories[0].table  # pyright: ignore[reportPrivateUsage]
    assert table is not None
    table.owned[7] = len(data)
    for shard in range(20, 40):
        assert dataset[shard * PER_SHARD]["id"] == shard * PER_SHARD
    assert not part.exists()
    assert dataset.cache_usage <= (dataset.cache_limit or 0)
    assert dataset[7 * PER_SHARD]["id"] == 7 * PER_SHARD


def test_what_another_process_evicted_is_closed_by_two_threads_at_once(remote: str, tmp_path: Path) -> None:
    """By the one that reads, which sees that something was evicted, and by one that makes room."""
    cache, another = (open_limited(remote, tmp_path, 0.2)._cache for _ in range(2))  # pyright: ignore[reportPrivateUsage]
    shards = range(16)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            for turn in range(repetitions("STREAMING_TEST_RACES", 50, 500)):
                for shard in shards:
                    cache.get(shard)
                assert all(another.evict(shard) > 0 for shard in shards)
                evicting = pool.submit(lambda: [cache.evict(shard) for shard in shards])
                reading = pool.submit(cache.at, turn)
                assert evicting.result(60) == [0] * len(shards)
                assert reading.result(60)
                assert all(cache.peek(shard) is None for shard in range(cache.num_shards))
    finally:
        sys.setswitchinterval(before)
        cache.close()
        another.close()
