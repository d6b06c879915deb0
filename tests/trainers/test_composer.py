"""What Composer asks of a dataset and its loader, as its training state and its event loop do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data.distributed import DistributedSampler

from streaming import StreamingDataLoader

from sample_data import KINDS, ids_of, open_kind, write_kinds

Make = Callable[..., str]


class State:
    """The part of a Composer run that touches data: it counts samples over all ranks and asks the dataset to checkpoint."""

    def __init__(self, loader: Any, world_size: int) -> None:
        self.loader = loader
        self.world_size = world_size
        self.sample_in_epoch = 0
        self.batch_in_epoch = 0
        self.resumed = False

    def state_dict(self) -> dict[str, Any]:
        dataset = self.loader.dataset
        data = dataset.state_dict(self.sample_in_epoch, True) if hasattr(dataset, "state_dict") else None
        return {"sample_in_epoch": self.sample_in_epoch, "batch": self.batch_in_epoch, "dataset": {"train": data}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loader.dataset.load_state_dict(state["dataset"]["train"])
        self.sample_in_epoch, self.batch_in_epoch = state["sample_in_epoch"], state["batch"]
        self.resumed = True

    def end_epoch(self) -> None:
        """Count the next epoch, as it does before it saves the checkpoint of an epoch's end."""
        self.sample_in_epoch = self.batch_in_epoch = 0

    def train(self, batches: int | None = None) -> list[list[int]]:
        seen: list[list[int]] = []
        for batch in self.loader:
            seen.append(batch["id"].tolist())
            self.sample_in_epoch += len(batch["id"]) * self.world_size
            self.batch_in_epoch += 1
            if len(seen) == batches:
                break
        return seen


def make_state(kind: str, remote: str, local: Path, ranks: int, rank: int, workers: int) -> State:
    batch = 8 // ranks
    data = open_kind(
        kind, remote, local, batch_size=batch, shuffle=True, num_canonical_nodes=2,
        data_parallel_rank=rank, data_parallel_size=ranks,
    )  # fmt: skip
    return State(StreamingDataLoader(data, batch_size=batch, num_workers=workers, drop_last=True), ranks)


def merged(shares: list[list[list[int]]]) -> list[list[int]]:
    return [sorted(i for part in parts for i in part) for parts in zip(*shares, strict=True)]


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        *((kind, 0) for kind in KINDS),
        *(pytest.param(kind, 2, marks=() if kind == "all" else pytest.mark.long) for kind in KINDS),
    ],
)
def test_checkpoint_and_resume(tmp_path: Path, kind: str, workers: int) -> None:
    size = 480 if len(ids_of(kind, 3)) < 3 else 320
    remote = write_kinds(str(tmp_path / "remote"), size)
    whole = merged([make_state(kind, remote, tmp_path / "a", 1, 0, workers).train()])
    assert len(whole) == 40
    assert sorted(i for batch in whole for i in batch) == ids_of(kind, size)

    first = [make_state(kind, remote, tmp_path / "b", 2, rank, workers) for rank in range(2)]
    head = merged([state.train(15) for state in first])
    saved = [json.loads(json.dumps(state.state_dict())) for state in first]
    assert saved[0] == saved[1]
    known = {"epoch", "sample_in_epoch", "num_canonical_nodes", "shuffle_seed", "initial_physical_nodes"}
    assert known <= set(saved[0]["dataset"]["train"])

    second = [make_state(kind, remote, tmp_path / "c", 4, rank, workers) for rank in range(4)]
    for state in second:
        state.load_state_dict(saved[0])
    middle = merged([state.train(10) for state in second])
    # A second checkpoint of a resumed run counts from the epoch's beginning as well.
    third = make_state(kind, remote, tmp_path / "d", 1, 0, workers)
    third.load_state_dict(second[0].state_dict())
    assert head + middle + merged([third.train()]) == whole


def test_what_it_looks_at(make_dataset: Make, tmp_path: Path) -> None:
    loader = make_state("stored", make_dataset(100), tmp_path / "a", 1, 0, 0).loader
    assert isinstance(loader, torch.utils.data.DataLoader)
    assert isinstance(loader.dataset, torch.utils.data.IterableDataset)
    assert (loader.batch_size, len(loader), len(loader.dataset)) == (8, 12, 100)
    # It makes no sampler of its own for these, and sets an epoch on PyTorch's for ranks alone.
    assert not isinstance(loader.sampler, DistributedSampler)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_checkpoint_of_an_epochs_end(make_dataset: Make, tmp_path: Path, workers: int) -> None:
    """It says that nothing of the next epoch was used: that one comes, not the one that is over again."""
    remote = make_dataset(100)
    whole = make_state("stored", remote, tmp_path / "a", 1, 0, 0)
    epochs = [whole.train() for _ in range(3)]
    state = make_state("stored", remote, tmp_path / "b", 1, 0, workers)
    assert state.state_dict()["dataset"]["train"]["epoch"] == -1
    for epoch in range(2):
        assert state.train(len(state.loader)) == epochs[epoch]  # it takes so many batches, and asks for no other
        state.end_epoch()
        resumed = make_state("stored", remote, tmp_path / "c", 1, 0, 0)
        resumed.load_state_dict(json.loads(json.dumps(state.state_dict())))
        assert resumed.train() == epochs[epoch + 1]
    state.train(3)
    assert state.state_dict()["dataset"]["train"]["epoch"] == 2
