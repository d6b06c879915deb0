"""torchdata's ``StatefulDataLoader``: stopped in the middle, resumed, same samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sample_data import ids_of, open_kind, write_kinds

torchdata = pytest.importorskip("torchdata.stateful_dataloader")
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
Make = Callable[..., str]


def loader(remote: str, local: Path, workers: int, kind: str = "stored", **kwargs: Any) -> Any:
    data = open_kind(kind, remote, local, batch_size=4, shuffle=True)
    return torchdata.StatefulDataLoader(data, batch_size=4, num_workers=workers, **kwargs)


def ids(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch["id"].tolist()]


@pytest.mark.parametrize(
    ("workers", "every", "kind"),
    [
        *((workers, every, "stored") for workers, every in ((0, 1), (0, 3), (2, 3))),
        *((0, 3, "all"), (2, 1, "all")),
        *(pytest.param(*pair, "stored", marks=pytest.mark.long) for pair in ((1, 1), (1, 3), (2, 1))),
    ],
)
def test_round_trip(tmp_path: Path, workers: int, every: int, kind: str) -> None:
    remote = write_kinds(str(tmp_path / "remote"), 150)
    whole = loader(remote, tmp_path / "a", workers, kind)
    epochs = [ids(whole) for _ in range(3)]
    assert all(sorted(epoch) == ids_of(kind, 150) for epoch in epochs)
    first = loader(remote, tmp_path / "a", workers, kind, snapshot_every_n_steps=every)
    assert ids(first) == epochs[0]
    iterator = iter(first)
    got = ids(next(iterator) for _ in range(17))
    state = first.state_dict()
    again = loader(remote, tmp_path / "a", workers, kind, snapshot_every_n_steps=every)
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
