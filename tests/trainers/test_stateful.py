"""torchdata's ``StatefulDataLoader``: stopped in the middle, resumed, same samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataset

torchdata = pytest.importorskip("torchdata.stateful_dataloader")
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
Make = Callable[..., str]


def loader(remote: str, local: Path, workers: int, **kwargs: Any) -> Any:
    data = StreamingDataset(remote=remote, local=str(local), batch_size=4, shuffle=True)
    return torchdata.StatefulDataLoader(data, batch_size=4, num_workers=workers, **kwargs)


def ids(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch["id"].tolist()]


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_round_trip(make_dataset: Make, tmp_path: Path, workers: int, every: int) -> None:
    remote = make_dataset(150)
    whole = loader(remote, tmp_path / "a", workers)
    epochs = [ids(whole) for _ in range(3)]
    assert all(sorted(epoch) == list(range(150)) for epoch in epochs)
    first = loader(remote, tmp_path / "a", workers, snapshot_every_n_steps=every)
    assert ids(first) == epochs[0]
    iterator = iter(first)
    got = ids(next(iterator) for _ in range(17))
    state = first.state_dict()
    again = loader(remote, tmp_path / "a", workers, snapshot_every_n_steps=every)
    again.load_state_dict(state)
    assert got + ids(again) == epochs[1]
    assert ids(again) == epochs[2]


def test_state_before_the_first_batch(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(100)
    first = loader(remote, tmp_path / "a", 2)
    state = first.state_dict()
    again = loader(remote, tmp_path / "a", 2)
    again.load_state_dict(state)
    assert sorted(ids(again)) == list(range(100))
