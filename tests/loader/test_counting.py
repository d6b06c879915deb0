"""What a checkpoint counts: the samples that were drawn for the batches, whatever these look like."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter, UserDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from streaming import LocalDataset, MDSWriter, StreamingDataLoader, StreamingDataset

Make = Callable[..., str]
Samples = list[dict[str, Any]]
N, SIZE = 90, 6


@dataclass
class Batch:
    """A batch of a class of the user's."""

    kind: str
    ids: torch.Tensor


def ids(samples: Samples) -> torch.Tensor:
    return torch.tensor([sample["id"] for sample in samples])


def as_objects(samples: Samples) -> Batch:
    return Batch("train", ids(samples))


def as_they_are(samples: Samples) -> Samples:
    return samples


def packed(samples: Samples) -> dict[str, torch.Tensor]:
    return {"input_ids": ids(samples)[None], "id": ids(samples)}


def time_major(samples: Samples) -> dict[str, torch.Tensor]:
    return {"x": torch.zeros(17, len(samples)), "id": ids(samples)}


def nested(samples: Samples) -> dict[str, Any]:
    return {"inputs": {"a": {"b": ids(samples)}}, "id": ids(samples)}


def a_number_first(samples: Samples) -> tuple[float, torch.Tensor]:
    return 0.5, ids(samples)


def only_even(samples: Samples) -> dict[str, torch.Tensor]:
    return {"id": ids([sample for sample in samples if sample["id"] % 2 == 0])}


def nothing(samples: Samples) -> None:
    return None


def ids_in(batch: Any) -> list[int]:
    """The ids that a batch holds, whichever of the above made it."""
    if batch is None:
        return []
    if isinstance(batch, Batch):
        return batch.ids.tolist()
    if isinstance(batch, list):
        return [sample["id"] for sample in batch]
    found = batch[1] if isinstance(batch, tuple) else batch["id"]
    return found.tolist() if isinstance(found, torch.Tensor) else [found]


COLLATES = [as_objects, as_they_are, packed, time_major, nested, a_number_first, only_even, nothing, default_collate]


class Odd(StreamingDataset):
    """Leaves samples out."""

    def __iter__(self) -> Iterator[Any]:
        for sample in super().__iter__():
            if sample["id"] % 3:
                yield sample


class Thrice(StreamingDataset):
    """Makes several samples of one."""

    def __iter__(self) -> Iterator[Any]:
        for sample in super().__iter__():
            for part in range(3):
                yield {**sample, "part": part}


class Changed(StreamingDataset):
    """Makes one sample of one."""

    def __iter__(self) -> Iterator[Any]:
        for sample in super().__iter__():
            yield {**sample, "more": 1}


class Batched(StreamingDataset):
    """Makes batches itself."""

    def __iter__(self) -> Iterator[Any]:
        batch: Samples = []
        for sample in super().__iter__():
            batch.append(sample)
            if len(batch) == SIZE:
                yield {"id": ids(batch)}
                batch = []


class Elsewhere(StreamingDataset):
    """Has an order of its own."""

    def __iter__(self) -> Iterator[Any]:
        for index in range(self.size):
            yield self[index]


class Twice(StreamingDataset):
    """Takes two epochs for one."""

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield from super().__iter__()


def loader(
    remote: str,
    workers: int = 0,
    kind: type[StreamingDataset] = StreamingDataset,
    state: Any = None,
    ranks: tuple[int, int] = (0, 1),
    start: str = "fork",
    **kwargs: Any,
) -> StreamingDataLoader:
    data = kind(
        local=remote,
        batch_size=SIZE,
        shuffle=True,
        num_canonical_nodes=1,
        data_parallel_rank=ranks[0],
        data_parallel_size=ranks[1],
    )
    context = start if workers else None
    made = StreamingDataLoader(
        data, **{"batch_size": SIZE, **kwargs}, num_workers=workers, multiprocessing_context=context
    )
    made.load_state_dict(state)
    return made


def stopped(made: StreamingDataLoader, steps: int) -> tuple[list[int], Any]:
    """The ids of the first batches, and a checkpoint that went through a file."""
    iterator = iter(made)
    seen = [i for _ in range(steps) for i in ids_in(next(iterator))]
    return seen, json.loads(json.dumps(made.state_dict()))


@pytest.mark.parametrize(
    ("collate", "workers"),
    [*((collate, 0) for collate in COLLATES), (as_objects, 2), (only_even, 2), (default_collate, 1)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_whatever_a_batch_looks_like(make_dataset: Make, collate: Any, workers: int) -> None:
    remote = make_dataset(N)
    expected = [i for batch in loader(remote, collate_fn=collate) for i in ids_in(batch)]
    seen, state = stopped(loader(remote, workers, collate_fn=collate), 4)
    assert state["sample_in_epoch"] == 4 * SIZE
    again = loader(remote, state=state, collate_fn=collate)
    assert seen + [i for batch in again for i in ids_in(batch)] == expected
    assert again.num_samples_yielded == N - 4 * SIZE


@pytest.mark.parametrize("kind", [Odd, StreamingDataset])
def test_workers_that_are_not_forked(make_dataset: Make, kind: type[StreamingDataset]) -> None:
    remote = make_dataset(N)
    seen, state = stopped(loader(remote, 1, kind, collate_fn=as_objects, start="forkserver"), 3)
    rest = [i for batch in loader(remote, 0, kind, state, collate_fn=as_objects) for i in ids_in(batch)]
    assert sorted(seen + rest) == [i for i in range(N) if kind is StreamingDataset or i % 3]


def test_a_column_of_lists_comes_first(tmp_path: Path) -> None:
    """``default_collate`` turns it inside out, so that it is not as long as the batch."""
    with MDSWriter(out=str(tmp_path / "json"), columns={"a": "json", "id": "int"}) as out:
        for i in range(N):
            out.write({"a": [{"x": i}, {"x": i}], "id": i})
    for workers in (0, 1):
        made = loader(str(tmp_path / "json"), workers)
        iterator = iter(made)
        batches = [next(iterator) for _ in range(3)]
        assert [len(batch["a"]) for batch in batches] == [2, 2, 2]
        assert made.state_dict()["sample_in_epoch"] == 3 * SIZE


@pytest.mark.parametrize("drop_last", [False, True])
def test_the_last_batch(make_dataset: Make, drop_last: bool) -> None:
    remote = make_dataset(N + 2)
    for collate in (default_collate, packed):
        made = loader(remote, collate_fn=collate, drop_last=drop_last)
        assert len(list(made)) == N // SIZE + (not drop_last)
        assert made.state_dict()["sample_in_epoch"] == N + 2 * (not drop_last)


@pytest.mark.parametrize("persistent", [False, True])
def test_epoch_after_epoch(make_dataset: Make, persistent: bool) -> None:
    made = loader(make_dataset(N), 2, Odd, persistent_workers=persistent)
    for epoch in range(3):
        assert sorted(i for batch in made for i in ids_in(batch)) == [i for i in range(N) if i % 3]
        assert made.state_dict()["epoch"] == epoch


@pytest.mark.parametrize(
    ("kind", "workers", "steps"),
    [
        pytest.param(
            kind, workers, steps, marks=pytest.mark.long if kind is not Odd and (workers, steps) != (2, 5) else ()
        )
        for kind in (Odd, Thrice, Changed)
        for workers, steps in [(0, 2), (1, 3), (2, 2), (2, 5), (3, 4)]
    ],
)
def test_an_iterator_around_ours(make_dataset: Make, kind: type[StreamingDataset], workers: int, steps: int) -> None:
    remote, copies = make_dataset(N), 3 if kind is Thrice else 1
    seen, state = stopped(loader(remote, workers, kind), steps)
    again = loader(remote, workers, kind, state)
    more, state = stopped(again, 2)
    rest = [i for batch in loader(remote, workers, kind, state) for i in ids_in(batch)]
    wanted = {i: copies for i in range(N) if kind is not Odd or i % 3}
    assert Counter(seen + more + rest) == wanted
    assert kind is not Changed or "workers" not in state


def test_batches_of_the_iterators_own(make_dataset: Make) -> None:
    remote = make_dataset(N)
    seen, state = stopped(loader(remote, 2, Batched, batch_size=None), 3)
    assert "workers" not in state
    rest = [i for batch in loader(remote, 1, Batched, state, batch_size=None) for i in ids_in(batch)]
    assert sorted(seen + rest) == list(range(N))


@pytest.mark.filterwarnings("ignore:The DataLoader has batch_size=None")
@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.long), 14])
def test_single_samples_of_several_workers(make_dataset: Make, steps: int) -> None:
    remote = make_dataset(N)
    for collate in (None, lambda sample: sample["id"]):
        made = loader(remote, 2, batch_size=None, collate_fn=collate)
        iterator = iter(made)
        seen = [next(iterator) for _ in range(steps)]
        again = list(loader(remote, 2, state=made.state_dict(), batch_size=None, collate_fn=collate))
        assert sorted(s["id"] if isinstance(s, dict) else s for s in seen + again) == list(range(N))


def test_what_cannot_be_continued_by_others(make_dataset: Make) -> None:
    remote = make_dataset(N)
    _, state = stopped(loader(remote, 2, Odd), 3)
    assert state["workers"]["rank"] == [0, 1]
    with pytest.raises(ValueError, match=r"each of 2 worker\(s\)"):
        list(loader(remote, 0, Odd, state))
    with pytest.raises(ValueError, match="rank 0 of 1 for itself"):
        loader(remote, 2, Odd, state, ranks=(1, 2))
    with pytest.raises(ValueError, match="workers="):
        loader(remote, 2, Odd, {**state, "workers": [1, 2]})


def test_every_rank_for_itself(make_dataset: Make) -> None:
    """How many samples a filter lets through differs between ranks, so that each has a checkpoint of its own."""
    remote = make_dataset(N)
    seen: list[int] = []
    for rank in range(2):
        with pytest.warns(UserWarning, match="Save and load the state of every rank"):
            got, state = stopped(loader(remote, 1, Odd, ranks=(rank, 2)), 2 + rank)
        seen += got
        seen += [i for batch in loader(remote, 1, Odd, state, ranks=(rank, 2)) for i in ids_in(batch)]
    assert sorted(seen) == [i for i in range(N) if i % 3]


@pytest.mark.parametrize("kind", [Elsewhere, Twice])
@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_counted_is_said(make_dataset: Make, kind: type[StreamingDataset], workers: int) -> None:
    made = loader(make_dataset(20), workers, kind)
    for _ in made:
        pass
    with pytest.raises(ValueError, match=f"{kind.__name__}.__iter__ does not take its samples"):
        made.state_dict()


class Hooked(StreamingDataLoader):
    """Says itself how many samples a batch is, for some."""

    def _get_batch_size(self, batch: Any) -> int:
        return 5 if isinstance(batch, Batch) else super()._get_batch_size(batch)


@pytest.mark.parametrize(("collate", "each"), [(as_objects, 5), (packed, SIZE)])
def test_a_class_that_counts_itself(make_dataset: Make, collate: Any, each: int) -> None:
    data = StreamingDataset(local=make_dataset(N), batch_size=SIZE)
    made = Hooked(data, batch_size=SIZE, collate_fn=collate)
    assert stopped(made, 3)[1]["sample_in_epoch"] == 3 * each


def test_an_object_that_counts_itself(make_dataset: Make) -> None:
    made: Any = loader(make_dataset(N))
    made._get_batch_size = lambda batch: 2
    assert stopped(made, 3)[1]["sample_in_epoch"] == 6


def test_asked_of_any_batch() -> None:
    made: Any = StreamingDataLoader([1, 2])
    assert made._get_batch_size(UserDict({"a": [1, 2, 3]})) == 3
    assert made._get_batch_size(torch.zeros(4, 2)) == 4
    assert made._get_batch_size([[1, 2], "x"]) == 2
    with pytest.raises(ValueError, match="without columns"):
        made._get_batch_size({})


def test_batches_of_other_datasets(make_dataset: Make) -> None:
    data = LocalDataset(make_dataset(20))
    made = StreamingDataLoader(data, batch_sampler=[[0, 1, 2], [5], [7, 8]], collate_fn=as_objects, num_workers=1)
    assert [ids_in(batch) for batch in made] == [[0, 1, 2], [5], [7, 8]]
    assert made.num_samples_yielded == 6
    assert made.state_dict() is None


class _Late:
    """Has worker 1 begin when worker 0 has gone."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __call__(self, worker: int) -> None:
        if worker == 0:
            self.place.write_text(str(os.getpid()))
            return
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
                os.kill(int(self.place.read_text()), 0)
                time.sleep(0.01)
                continue
            if self.place.exists():
                return
            time.sleep(0.01)


def test_a_worker_that_begins_when_the_others_have_gone(make_dataset: Callable[..., str], tmp_path: Path) -> None:
    data = StreamingDataset(local=make_dataset(40), batch_size=4)
    loader = StreamingDataLoader(data, batch_size=4, num_workers=2, worker_init_fn=_Late(tmp_path / "pid"))
    for _ in loader:
        break
    state = loader.state_dict()
    assert state is not None
    assert (state["epoch"], state["sample_in_epoch"], data.next_epoch) == (0, 4, 1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_older_iteration_counts_no_more(make_dataset: Make, num_workers: int) -> None:
    def loader() -> StreamingDataLoader:
        data = StreamingDataset(local=make_dataset(N, exist_ok=True), batch_size=SIZE, shuffle=True)
        return StreamingDataLoader(data, batch_size=SIZE, num_workers=num_workers)

    running = loader()
    older = iter(running)
    next(older)
    newer = iter(running)
    first = next(newer)
    next(older)
    next(older)
    checkpoint = running.state_dict()
    del older
    resumed = loader()
    resumed.load_state_dict(checkpoint)
    expected = [batch["id"].tolist() for batch in newer]
    assert [batch["id"].tolist() for batch in resumed] == expected
    assert len(expected) == N // SIZE - 1
    assert first["id"].tolist() not in expected
