"""Loaders, samplers and splits that do not go with the dataset: said, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from torch.utils.data import (
    ChainDataset,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    StackDataset,
    Subset,
    random_split,
)

from streaming import LocalDataset, StreamingDataLoader, StreamingDataset
from streaming.core.errors import ConfigError

Make = Callable[..., str]


def dataset(remote: str, **kwargs: Any) -> StreamingDataset:
    return StreamingDataset(**{"local": remote, "batch_size": 4, **kwargs})


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a rank of a job of two."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("size", [8, 3])
def test_batches_of_another_size(make_dataset: Make, size: int) -> None:
    data = dataset(make_dataset(24))
    with pytest.warns(UserWarning, match=f"batch_size={size}, the dataset batch_size=4") as seen:
        assert len(list(DataLoader(data, batch_size=size))) == 24 // size
    assert len(seen) == 1
    list(DataLoader(data, batch_size=size))  # said once


def test_batches_of_another_size_in_workers(make_dataset: Make) -> None:
    """A warning of a worker's comes to its standard error; where warnings are errors, as in these tests, to the loop."""
    remote = make_dataset(24)
    for size, workers, text in [(8, 1, "batch_size=8"), (None, 2, "batch_size=None and 2 workers")]:
        with pytest.raises(UserWarning, match=text):
            list(DataLoader(dataset(remote), batch_size=size, num_workers=workers))


def test_batches_of_the_same_size(make_dataset: Make) -> None:
    remote = make_dataset(24)
    assert len(list(DataLoader(dataset(remote), batch_size=4))) == 6
    assert len(list(DataLoader(dataset(remote), batch_size=None))) == 24
    assert len(list(DataLoader(dataset(remote, batch_size=1), batch_size=None, num_workers=2))) == 24
    assert len(list(dataset(remote))) == 24


def test_a_dataset_inside_another(make_dataset: Make) -> None:
    """Batches of what another dataset makes of the samples are that one's affair."""
    assert len(list(DataLoader(ChainDataset([dataset(make_dataset(24))]), batch_size=12))) == 2


@pytest.mark.parametrize("kind", [DataLoader, StreamingDataLoader])
@pytest.mark.parametrize("collate", [None, list])
def test_no_batches(make_dataset: Make, kind: Any, collate: Any) -> None:
    data = dataset(make_dataset(24), batch_size=32)
    made = kind(data, batch_size=32, drop_last=True, collate_fn=collate)
    with pytest.warns(UserWarning, match="This epoch has no batches: there are 24 samples") as seen:
        assert list(made) == []
    assert len(seen) == 1


def test_no_batches_for_any_worker(make_dataset: Make) -> None:
    """Four workers have a part of a batch each, which one would have had in one."""
    remote = make_dataset(12)
    data = dataset(remote, batch_size=16)
    with pytest.warns(UserWarning, match="no batches"):
        assert not list(StreamingDataLoader(data, batch_size=16, num_workers=2, drop_last=True))
    with pytest.raises(UserWarning, match="no batches"):
        list(DataLoader(dataset(remote, batch_size=16), batch_size=16, num_workers=1, drop_last=True))


class Nothing(StreamingDataset):
    """Finds no sample good enough."""

    def __iter__(self) -> Any:
        return filter(lambda sample: False, super().__iter__())


def test_an_iterator_that_gives_nothing(make_dataset: Make) -> None:
    data = Nothing(local=make_dataset(24), batch_size=4)
    with pytest.warns(UserWarning, match="own __iter__ gave none of the 24 samples"):
        assert list(StreamingDataLoader(data, batch_size=4)) == []


def test_the_rest_of_an_epoch_may_be_nothing(make_dataset: Make) -> None:
    remote = make_dataset(26)
    first = StreamingDataLoader(dataset(remote), batch_size=4, drop_last=True)
    assert len(list(first)) == 6
    again = StreamingDataLoader(dataset(remote), batch_size=4, drop_last=True)
    again.load_state_dict(first.state_dict())
    assert list(again) == []
    assert len(list(again)) == 6


@pytest.mark.usefixtures("second_of_two")
@pytest.mark.parametrize(
    "use",
    [
        lambda data: random_split(data, [0.8, 0.2]),
        lambda data: random_split(data, [10, 14]),
        lambda data: list(RandomSampler(data)),
        lambda data: DistributedSampler(data, num_replicas=2, rank=0),
        StackDataset,
    ],
)
def test_a_share_is_not_the_size(make_dataset: Make, use: Callable[[Any], Any]) -> None:
    remote = make_dataset(24)
    with pytest.raises(ValueError, match="share of one of 2 ranks"):
        use(dataset(remote))
    use(LocalDataset(remote))
    assert len(DataLoader(dataset(remote), batch_size=4)) == 3
    assert len(ChainDataset([dataset(remote)])) == 12


def test_a_split_of_all(make_dataset: Make) -> None:
    parts = random_split(dataset(make_dataset(24)), [0.5, 0.5])
    assert sorted(s["id"] for part in parts for batch in DataLoader(part, 4, collate_fn=list) for s in batch) == list(
        range(24)
    )


@pytest.mark.usefixtures("second_of_two")
def test_a_subset_on_every_rank(make_dataset: Make) -> None:
    remote = make_dataset(24)
    part = Subset(dataset(remote), range(8))
    sampler = DistributedSampler(part, num_replicas=2, rank=0)
    assert len(list(DataLoader(part, batch_size=4, sampler=sampler))) == 1
    for more in ({}, {"shuffle": True}, {"num_workers": 1, "multiprocessing_context": "fork"}):
        with pytest.raises(ConfigError, match=r"read by index on 2 ranks.*dataset\.select\(ids\)"):
            list(DataLoader(part, batch_size=4, **more))
    chosen = dataset(remote).select(range(8))
    assert len(list(DataLoader(chosen, batch_size=4))) == 1


@pytest.mark.usefixtures("second_of_two")
@pytest.mark.parametrize(
    "read",
    [
        lambda part: list(DataLoader(part, batch_sampler=[[0, 1], [2, 3]])),  # its own, which may split
        lambda part: [part.__getitems__([0, 1]), part.__getitems__([2, 3])],  # as in a worker that is spawned
    ],
)
def test_a_subset_that_may_be_split(make_dataset: Make, read: Callable[[Any], list[Any]]) -> None:
    part = Subset(dataset(make_dataset(24)), range(8))
    with pytest.warns(UserWarning, match="read by index on 2 ranks") as seen:
        assert len(read(part)) == 2
    assert len(seen) == 1


def test_one_warning_for_all_ranks(make_dataset: Make) -> None:
    data = dataset(make_dataset(24), data_parallel_rank=1, data_parallel_size=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(DataLoader(data, batch_size=3))) == 4
