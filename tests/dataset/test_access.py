"""Many samples at once, as PyTorch's own loaders, samplers and subsets ask for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, Subset, random_split

from streaming import LocalDataset, MDSWriter, Stream, StreamingDataset

from sample_data import sample

Make = Callable[..., str]
Open = Callable[[str], Any]
KINDS: tuple[Open, ...] = (LocalDataset, lambda local: StreamingDataset(local=local, batch_size=1))
IDS = [299, 0, -1, 150, 150, -300, 7, *range(40, 60)]


class Upper(LocalDataset):
    """Says what a sample is."""

    def get_item(self, sample_id: int, retry: int = 7) -> Any:
        return super().get_item(sample_id, retry)["text"].upper()


class Doubled(LocalDataset):
    """Says what an index gives, for one index at a time."""

    def __getitem__(self, at: int) -> Any:
        return super().__getitem__(at)["id"] * 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_many_are_the_same_as_one_by_one(make_dataset: Make, kind: Open, compression: str | None) -> None:
    dataset = kind(make_dataset(compression=compression))
    assert dataset.__getitems__(IDS) == [sample(i % 300) for i in IDS]
    assert dataset.__getitems__([5]) == [sample(5)]
    assert dataset.__getitems__([]) == []
    for bad in ([0, 300], [-301, 0]):
        with pytest.raises(IndexError, match="out of range"):
            dataset.__getitems__(bad)


@pytest.mark.parametrize("kind", KINDS)
def test_many_of_one_size(tmp_path: Path, kind: Open) -> None:
    rows = np.arange(300 * 8, dtype=np.uint16).reshape(300, 8)
    with MDSWriter(columns={"tokens": "ndarray:uint16:8", "id": "int"}, out=str(tmp_path), size_limit=2000) as writer:
        for i, row in enumerate(rows):
            writer.write({"tokens": row, "id": i})
    dataset = kind(str(tmp_path))
    for i, got in zip(IDS, dataset.__getitems__(IDS), strict=True):
        alone = dataset[i]
        assert got["id"] == alone["id"] == i % 300
        assert got["tokens"].dtype == alone["tokens"].dtype == np.uint16
        assert got["tokens"].flags.writeable == alone["tokens"].flags.writeable
        np.testing.assert_array_equal(got["tokens"], rows[i])


@pytest.mark.parametrize("kind", KINDS)
def test_subsets(make_dataset: Make, kind: Open) -> None:
    dataset = kind(make_dataset())
    subset: Subset[Any] = Subset(dataset, IDS)
    loader: DataLoader[Any] = DataLoader(subset, batch_size=8)
    assert torch.cat([batch["id"] for batch in loader]).tolist() == [i % 300 for i in IDS]
    parts = random_split(dataset, [200, 100], torch.Generator().manual_seed(1))
    assert sorted(sample["id"] for part in parts for sample in part) == list(range(300))


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_a_loader_of_a_local_dataset(make_dataset: Make, context: str) -> None:
    dataset = LocalDataset(make_dataset())
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size=32, shuffle=True, num_workers=2, multiprocessing_context=context
    )
    seen = {int(i): text for batch in loader for i, text in zip(batch["id"], batch["text"], strict=True)}
    assert seen == {i: sample(i)["text"] for i in range(300)}
    sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(3))
    ids = list(RandomSampler(dataset, generator=torch.Generator().manual_seed(3)))
    loader = DataLoader(dataset, batch_size=16, sampler=sampler)
    assert torch.cat([batch["id"] for batch in loader]).tolist() == ids


def test_a_subclass_is_asked_for_each(make_dataset: Make) -> None:
    local = make_dataset()
    upper, doubled = Upper(local), Doubled(local)
    assert upper.__getitems__([3, -1]) == [sample(3)["text"].upper(), sample(299)["text"].upper()]
    assert doubled.__getitems__([3, -1]) == [6, 598]
    loader: DataLoader[Any] = DataLoader(doubled, batch_size=100)
    assert torch.cat(list(loader)).tolist() == list(range(0, 600, 2))
    assert list(Subset(upper, [4, 2])) == [sample(4)["text"].upper(), sample(2)["text"].upper()]


def test_tensors_are_indexes(make_dataset: Make) -> None:
    dataset = LocalDataset(make_dataset())
    assert dataset[torch.tensor(7)] == sample(7)
    assert dataset[torch.tensor([7, -1])] == [sample(7), sample(299)]
    assert dataset.__getitems__(list(torch.tensor([7, -1]))) == [sample(7), sample(299)]
    mask = torch.zeros(300, dtype=torch.bool)
    mask[[4, 250]] = True
    assert dataset[mask] == [sample(4), sample(250)]


def test_shown(make_dataset: Make) -> None:
    local = make_dataset(20)
    data = StreamingDataset(local=local, batch_size=4)
    assert repr(data) == f"<StreamingDataset: 20 samples of {local}>"
    assert repr(data.drop([1, 2])) == f"<StreamingDataset: 18 samples of {local}, drop(2 values)>"
    assert repr(LocalDataset(local)).startswith("<LocalDataset: 20 samples of ")
    several = StreamingDataset(streams=[Stream(local=local) for _ in range(5)], batch_size=4)
    assert repr(several) == f"<StreamingDataset: 100 samples of {local}; {local}; {local}; and 2 more>"
    assert repr(StreamingDataset.__new__(StreamingDataset)).startswith(
        "<streaming.dataset.dataset.StreamingDataset object"
    )
