"""The parts of a dataset by themselves: its configurations, its ranks, its table."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from streaming import StreamingDataset
from streaming.core.errors import ConfigError, UnknownNameError
from streaming.dataset.config import CacheConfig, OrderConfig, ParallelConfig, StreamDefaults
from streaming.dataset.ranks import DataRanks

Make = Callable[..., str]

ORDER: dict[str, Any] = {
    "epoch_size": None,
    "sampling_method": "balanced",
    "sampling_granularity": 1,
    "partition_algo": "relaxed",
    "num_canonical_nodes": None,
    "batch_size": None,
    "shuffle": False,
    "shuffle_algo": None,
    "shuffle_seed": 9176,
    "shuffle_block_size": None,
    "batching_method": "random",
}


def test_an_order_is_checked_as_it_is_made() -> None:
    order = OrderConfig(**{**ORDER, "batch_size": np.int32(4), "shuffle": np.True_})
    assert (type(order.batch_size), order.shuffle) == (int, True)
    with pytest.raises(FrozenInstanceError):
        order.batch_size = 5  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(order)) == order


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("batch_size", "4", ConfigError, "batch_size must be an integer, got '4' .*Pass batch_size=4"),
        ("sampling_granularity", 0, ConfigError, "sampling_granularity must be at least 1, got 0"),
        ("shuffle_seed", -1, ConfigError, "shuffle_seed must be at least 0, got -1"),
        ("shuffle", "False", ConfigError, "shuffle must be True or False, got 'False'"),
        ("sampling_method", "other", ConfigError, "sampling_method must be one of balanced, fixed, got 'other'"),
        ("sampling_method", 3, ConfigError, "sampling_method must be text"),
        ("partition_algo", "other", UnknownNameError, "Unknown .*'other'. Known: orig, relaxed"),
        ("batching_method", "other", UnknownNameError, "Unknown batching method 'other'"),
        ("shuffle_algo", "other", UnknownNameError, "Unknown shuffle algorithm 'other'"),
    ],
)
def test_what_an_order_may_not_be(name: str, value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        OrderConfig(**{**ORDER, name: value})
    with pytest.raises(error, match=text):
        StreamingDataset(remote="/nowhere", **{name: value})


def test_what_is_fetched_ahead(caplog: pytest.LogCaptureFixture) -> None:
    assert CacheConfig.of(None, None, None) == CacheConfig(64, None)
    assert CacheConfig.of(None, "1kb", 4) == CacheConfig(32, 1024)
    assert CacheConfig.of(0, 0, None) == CacheConfig(0, None)
    assert not caplog.messages
    assert CacheConfig.of(2, "", 4) == CacheConfig(2, None)
    assert caplog.messages == [
        "predownload=2 is below batch_size=4: shards are fetched only when a batch already waits for them."
    ]
    with pytest.raises(ConfigError, match="cache_limit"):
        CacheConfig.of(None, -1, None)


def test_storage_options_are_not_shown() -> None:
    defaults = StreamDefaults(None, 2, 60.0, None, False, {"secret": "hidden"})
    assert "hidden" not in repr(defaults)
    assert "storage_options" not in defaults.of_any_class()


def test_ranks_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked up here holds for a worker that is started elsewhere."""
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    ranks = DataRanks(ParallelConfig(np.int64(2), None, None, None, None))
    assert (ranks.world().rank, ranks.world().num_ranks) == (1, 2)
    data = pickle.dumps(ranks)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name)
    again = pickle.loads(pickle.loads(pickle.dumps(data)))
    assert (again.world().rank, again.world().num_ranks) == (1, 2)
    with pytest.raises(ConfigError, match="replication=2 must divide the number of ranks, 1"):
        ranks.world()


class Told(StreamingDataset):
    """A state of its own, and an attribute that is set before the dataset's."""

    def __init__(self, **kwargs: Any) -> None:
        self.batch_size = None
        self.note = lambda: None
        super().__init__(**kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "note": None}


def test_subclasses_bring_their_state(make_dataset: Make) -> None:
    data = Told(local=make_dataset(20), batch_size=4, shuffle=True)
    expected = [int(i) for batch in DataLoader(data, batch_size=4) for i in batch["id"]]
    for again in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        assert again.note is None
        again.next_epoch = 0
        assert [sample["id"] for sample in again] == expected


def test_a_copy_counts_epochs_of_its_own(make_dataset: Make) -> None:
    data = StreamingDataset(local=make_dataset(20), batch_size=4, shuffle=True)
    data.load_state_dict({**data.state_dict(8), "epoch": 2})
    copied = copy.deepcopy(data)
    assert [len(list(copied)), len(list(copied))] == [12, 20]
    assert (copied.next_epoch, data.next_epoch) == (4, 2)
    assert len(list(data)) == 12


def test_nothing_keeps_a_dataset(make_dataset: Make) -> None:
    """Its parts do not refer to it, so that threads and files end with it rather than when the collector comes."""
    data = StreamingDataset(local=make_dataset(20), batch_size=4)
    assert data[0]["id"] == 0
    gc.disable()
    try:
        gone = weakref.ref(data), weakref.ref(data._cache)
        del data
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


def test_where_samples_lie(make_dataset: Make) -> None:
    data = StreamingDataset(local=make_dataset(50))
    table = data._table
    ids = np.arange(data.size)
    shards = table.shards_of(ids)
    assert list(zip(shards.tolist(), table.indexes_in(shards, ids).tolist(), strict=True)) == [
        table.locate(i) for i in ids.tolist()
    ]
