"""Rows gathered from open shards: those that the shards hold, from memory that stays as long as it is read and no longer."""

from __future__ import annotations

import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import MDSWriter, StreamingDataset
from streaming.cache.cache import ShardCache
from streaming.cache.files import rows as rows_module

SHARDS, PER_SHARD, WIDTH = 12, 8, 5


def write(out: Path, columns: dict[str, str], shift: int = 0) -> str:
    with MDSWriter(out=str(out), columns=columns, size_limit=None) as writer:
        for i in range(SHARDS * PER_SHARD):
            value: Any = {"x": np.arange(WIDTH, dtype=np.int32) + i + shift, "t": "a" * (i % 3), "y": i}
            writer.write({name: value[name] for name in columns})
            if i % PER_SHARD == PER_SHARD - 1:
                writer.flush_shard()
    return str(out)


@pytest.fixture
def dataset(tmp_path: Path) -> StreamingDataset:
    remote = write(tmp_path / "remote", {"x": f"ndarray:int32:{WIDTH}"})
    return StreamingDataset(remote=remote, local=str(tmp_path / "local"), batch_size=4)


def cache_of(dataset: StreamingDataset) -> ShardCache:
    return dataset._cache  # pyright: ignore[reportPrivateUsage]


def gather(cache: ShardCache, shards: np.ndarray, indexes: np.ndarray, into_own: bool) -> np.ndarray:
    found = cache.find_rows(shards)
    assert found is not None
    out = np.empty((len(shards), 4 * WIDTH), np.uint8) if into_own else None
    block = found.gather(indexes, out)
    assert out is None or block is out
    return block.view(np.int32)


@pytest.mark.parametrize("into_own", [False, True])
@pytest.mark.parametrize("most_bytes", [1 << 62, 0])
def test_rows_are_those_of_the_shards(
    dataset: StreamingDataset, into_own: bool, most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where shards lie too far apart for one view of them all."""
    monkeypatch.setattr("streaming.format.samples.rows._MOST_BYTES", most_bytes)
    monkeypatch.setattr(rows_module, "_PART_BYTES", 7 * 4 * WIDTH)
    random = np.random.default_rng(0)
    for count, number in [(1, SHARDS), (4, 1), (50, 3), (50, SHARDS)]:
        shards, indexes = random.integers(0, number, count), random.integers(0, PER_SHARD, count)
        expected = (shards * PER_SHARD + indexes)[:, None] + np.arange(WIDTH)
        assert np.array_equal(gather(cache_of(dataset), shards, indexes, into_own), expected)


@pytest.mark.parametrize("index", [-1, PER_SHARD, -(1 << 62), 1 << 62])
def test_a_row_that_no_shard_has_is_not_read(dataset: StreamingDataset, index: int) -> None:
    found = cache_of(dataset).find_rows(np.array([0, 3]))
    assert found is not None
    with pytest.raises(IndexError, match=f"No sample {index} in shard 3"):
        found.gather(np.array([0, index]))


def test_shards_of_samples_of_several_sizes_have_no_rows(tmp_path: Path) -> None:
    dataset = StreamingDataset(local=write(tmp_path, {"x": f"ndarray:int32:{WIDTH}", "t": "str"}), batch_size=4)
    for _ in range(2):
        assert cache_of(dataset).find_rows(np.array([0, 1])) is None
    assert [sample["t"] for sample in dataset[[1, 20, 3]]] == ["a", "aa", ""]


def test_what_is_evicted_is_let_go_of_and_fetched_again(dataset: StreamingDataset) -> None:
    cache = cache_of(dataset)
    shards, indexes = np.arange(SHARDS), np.zeros(SHARDS, np.int64)
    before = gather(cache, shards, indexes, False)
    gone = weakref.ref(cache.get(5))
    mapped = weakref.ref(cache.get(5).rows.array)  # pyright: ignore[reportOptionalMemberAccess]
    assert cache.evict(5) > 0
    gather(cache, shards[:5], indexes[:5], False)
    assert gone() is None
    assert mapped() is None
    assert cache.peek(5) is None
    assert np.array_equal(gather(cache, shards, indexes, False), before)


def test_rows_stay_while_they_are_read(dataset: StreamingDataset) -> None:
    """One thread evicts what others are copying."""
    cache = cache_of(dataset)
    random = np.random.default_rng(0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(3) as pool:
            for turn in range(100):
                shards, indexes = random.integers(0, SHARDS, 64), random.integers(0, PER_SHARD, 64)
                expected = (shards * PER_SHARD + indexes)[:, None] + np.arange(WIDTH)
                reading = [pool.submit(gather, cache, shards, indexes, own) for own in (False, True)]
                pool.submit(cache.evict, turn % SHARDS).result(60)
                assert all(np.array_equal(future.result(60), expected) for future in reading)
    finally:
        sys.setswitchinterval(interval)
        cache.close()


def test_a_closed_dataset_holds_nothing_and_opens_again(dataset: StreamingDataset) -> None:
    expected = [sample["x"].tolist() for sample in dataset[::7]]
    mapped = weakref.ref(cache_of(dataset).get(0).rows.array)  # pyright: ignore[reportOptionalMemberAccess]
    dataset.close()
    assert mapped() is None
    assert [sample["x"].tolist() for sample in dataset[::7]] == expected
