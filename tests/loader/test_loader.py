"""The whole path under real ``DataLoader`` workers: order, epochs, checkpoints."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, _utils

from streaming import StreamingDataLoader, StreamingDataset

Make = Callable[..., str]
N = 300


def dataset(remote: str, local: Path | str, **kwargs: Any) -> StreamingDataset:
    return StreamingDataset(**{"remote": remote, "local": str(local), "batch_size": 4, "shuffle": True, **kwargs})


def ids(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch["id"].tolist()]


def loader(data: StreamingDataset, workers: int = 0, start: str | None = None, **kwargs: Any) -> StreamingDataLoader:
    context = start if workers else None
    return StreamingDataLoader(
        data, batch_size=data.batch_size, num_workers=workers, multiprocessing_context=context, **kwargs
    )


@pytest.mark.parametrize(
    ("workers", "start", "shuffle"),
    [
        *(
            (workers, start, shuffle)
            for workers, start in [(0, None), (1, "fork"), (2, "fork")]
            for shuffle in (False, True)
        ),
        pytest.param(1, "spawn", True, marks=pytest.mark.long),  # one that is spawned takes seconds
        (2, "forkserver", False),
    ],
)
def test_order_does_not_depend_on_workers(
    make_dataset: Make, tmp_path: Path, workers: int, start: str | None, shuffle: bool
) -> None:
    remote = make_dataset(N, compression="zstd")
    expected = [s["id"] for s in dataset(remote, tmp_path / "a", shuffle=shuffle)]
    assert sorted(expected) == list(range(N))
    assert (expected == list(range(N))) is not shuffle
    data = dataset(remote, tmp_path / "b", shuffle=shuffle)
    _ = data[0]
    assert ids(loader(data, workers, start)) == expected


def test_plain_dataloader(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(N)
    data = dataset(remote, tmp_path / "a")
    expected = [[s["id"] for s in data] for _ in range(3)]
    assert len({tuple(e) for e in expected}) == 3
    for persistent in (False, True):
        data = dataset(remote, tmp_path / "a")
        plain = DataLoader(data, batch_size=4, num_workers=2, persistent_workers=persistent)
        assert [ids(plain) for _ in range(3)] == expected


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_epochs_with_the_same_seed_every_time(make_dataset: Make, tmp_path: Path, start: str) -> None:
    """A user who seeds torch at each epoch gives every iteration the same base seed."""
    data = dataset(make_dataset(60), tmp_path / "a")
    seen: list[list[int]] = []
    for _ in range(3):
        torch.manual_seed(7)
        seen.append(ids(loader(data, 2, start)))
    assert len({tuple(s) for s in seen}) == 3
    assert all(sorted(s) == list(range(60)) for s in seen)


@pytest.mark.parametrize("persistent", [False, True])
def test_an_epoch_broken_off(make_dataset: Make, tmp_path: Path, persistent: bool) -> None:
    remote = make_dataset(N)
    data = dataset(remote, tmp_path / "a")
    expected = [[s["id"] for s in data] for _ in range(3)]
    data = dataset(remote, tmp_path / "a")
    broken = loader(data, 2, "fork", persistent_workers=persistent)
    for epoch in range(3):
        got = []
        for batch in broken:
            got += batch["id"].tolist()
            if epoch < 2 and len(got) >= 20:
                break
        assert got == expected[epoch][: len(got)]


def test_two_loaders_over_one_dataset(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(N)
    data = dataset(remote, tmp_path / "a")
    expected = [[s["id"] for s in data] for _ in range(2)]
    data = dataset(remote, tmp_path / "a")
    first, second = iter(loader(data, 2, "fork")), iter(loader(data, 2, "fork"))
    got: list[list[int]] = [[], []]
    for batches in zip(first, second, strict=True):
        for mine, batch in zip(got, batches, strict=True):
            mine += batch["id"].tolist()
    assert sorted(map(tuple, got)) == sorted(map(tuple, expected))


@pytest.mark.parametrize(
    ("after", "workers"),
    [
        *((after, 0) for after in (0, 1, 17, 74, 75)),
        *((after, 2) for after in (17, 74)),
        *(pytest.param(after, 2, marks=pytest.mark.long) for after in (0, 1, 75)),
    ],
)
def test_resume_in_the_middle(make_dataset: Make, tmp_path: Path, workers: int, after: int) -> None:
    remote = make_dataset(N)
    data = dataset(remote, tmp_path / "a")
    epochs = [[s["id"] for s in data] for _ in range(3)]
    data = dataset(remote, tmp_path / "a")
    first = loader(data, workers, "fork")
    assert ids(first) == epochs[0]
    iterator = iter(first)
    got = ids(next(iterator) for _ in range(after))
    state = json.loads(json.dumps(first.state_dict()))
    assert len(json.dumps(state)) < 1024
    path = tmp_path / "state.pt"
    torch.save(state, path)
    state = torch.load(path, weights_only=True)

    again = loader(dataset(remote, tmp_path / "b"), 2 - workers // 2, "fork")
    again.load_state_dict(state)
    if not after:  # nothing of the second epoch was asked for: the checkpoint is the first one's end
        assert ids(again) == []
    assert got + ids(again) == epochs[1]
    assert ids(again) == epochs[2]


def global_batches(remote: str, local: Path, ranks: int, state: Any, **kwargs: Any) -> tuple[list[list[int]], Any]:
    """Play every rank of a job; return the samples of each global batch, and each rank's loader."""
    loaders = []
    for rank in range(ranks):
        data = dataset(
            remote,
            local,
            batch_size=8 // ranks,
            num_canonical_nodes=2,
            data_parallel_rank=rank,
            data_parallel_size=ranks,
            **kwargs,
        )
        loaders.append(loader(data))
        if state is not None:
            loaders[-1].load_state_dict(state)
    batches = [sorted(i for batch in step for i in batch["id"].tolist()) for step in zip(*loaders, strict=True)]
    return batches, loaders


@pytest.mark.filterwarnings("ignore:Stream 0 does not fill")
@pytest.mark.parametrize("batching_method", ["random", "per_stream"])
def test_global_batches_do_not_depend_on_ranks(make_dataset: Make, tmp_path: Path, batching_method: str) -> None:
    remote = make_dataset(N)
    runs = [
        global_batches(remote, tmp_path / "a", ranks, None, batching_method=batching_method)[0] for ranks in (1, 2, 4)
    ]
    full = len(runs[0]) - 1
    assert runs[0][:full] == runs[1][:full] == runs[2][:full]
    assert Counter(i for batch in runs[0] for i in batch).most_common(1)[0][1] == 1


def test_resume_on_other_ranks(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(N)
    expected, _ = global_batches(remote, tmp_path / "a", 1, None)
    data = dataset(remote, tmp_path / "a", batch_size=8, num_canonical_nodes=2)
    first = loader(data, 2, "fork")
    iterator = iter(first)
    for _ in range(9):
        next(iterator)
    state = first.state_dict()
    rest, loaders = global_batches(remote, tmp_path / "a", 4, state)
    assert rest == expected[9:]
    assert loaders[0].state_dict()["sample_in_epoch"] >= N - 8


def test_replicas_get_the_same(make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = make_dataset(N)
    seen: list[list[int]] = []
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "4")
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
        data = dataset(remote, tmp_path / "a", replication=2)
        assert len(data) == N // 2
        seen.append([s["id"] for s in data])
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert sorted(seen[0] + seen[2]) == list(range(N))


def test_a_failure_reaches_the_loop(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(N)
    data = dataset(remote, tmp_path / "a", download_retry=0)
    victim = sorted(Path(remote).glob("shard.*"))[-1]
    victim.unlink()
    with pytest.raises(RuntimeError, match=victim.name):
        ids(loader(data, 2, "fork"))


@pytest.mark.timeout(120)
def test_workers_of_a_loader_in_a_cycle_hear_of_the_end(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an exception has come out of is in one, and is found by the garbage collector."""
    monkeypatch.setattr(_utils, "MP_STATUS_CHECK_INTERVAL", 3600.0)  # how long the loader waits for one who does not
    remote = make_dataset(N)
    data = dataset(remote, tmp_path / "a", download_retry=0)
    sorted(Path(remote).glob("shard.*"))[-1].unlink()
    gc.collect()  # what other tests left in cycles
    try:
        ids(loader(data, 2, "fork"))
    except RuntimeError as error:
        error.args = (error,)
    workers = active_children()
    assert workers  # one who has given all of its batches has ended by itself
    gc.collect()
    assert {worker.exitcode for worker in workers} == {0}


@pytest.mark.parametrize("workers", [0, 2])
def test_batch_sizes_must_agree(make_dataset: Make, tmp_path: Path, workers: int) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        StreamingDataLoader(dataset(make_dataset(20), tmp_path / "a"), batch_size=5, num_workers=workers)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_batch_size_is_the_datasets(make_dataset: Make, tmp_path: Path, workers: int) -> None:
    data = dataset(make_dataset(20), tmp_path / "a")
    loader = StreamingDataLoader(data, num_workers=workers)
    assert loader.batch_size == data.batch_size == 4
    assert [len(batch["id"]) for batch in loader] == [4] * 5
    with pytest.raises(ValueError, match="batch_size=4, its DataLoader batch_size=1"):
        StreamingDataLoader(data, 1, num_workers=workers)
    assert (
        StreamingDataLoader(StreamingDataset(remote=data.streams[0].remote, local=str(tmp_path / "a"))).batch_size == 1
    )
    assert [batch.tolist() for batch in StreamingDataLoader([1, 2])] == [[1], [2]]  # pyright: ignore[reportArgumentType]


def test_no_batch_size_in_workers(make_dataset: Make) -> None:
    data = StreamingDataset(local=make_dataset(20))
    with pytest.raises(ValueError, match="batch_size"):
        next(iter(DataLoader(data, batch_size=4, num_workers=2)))


def test_other_datasets_pass_through() -> None:
    plain = StreamingDataLoader(list(range(8)), batch_size=4)
    assert [batch.tolist() for batch in plain] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert plain.num_samples_yielded == 8
    assert plain.state_dict() is None
    plain.load_state_dict(None)


def test_set_epoch(make_dataset: Make, tmp_path: Path) -> None:
    data = dataset(make_dataset(N), tmp_path / "a")
    epochs = [[s["id"] for s in data] for _ in range(3)]
    for epoch in (2, 0, 0, 1):
        data.set_epoch(epoch)
        data.set_epoch(epoch)
        assert [s["id"] for s in data] == epochs[epoch]
    assert data.next_epoch == 2
    with pytest.raises(ValueError, match="epoch"):
        data.set_epoch(-1)


def test_a_trainers_epoch(make_dataset: Make, tmp_path: Path) -> None:
    """Trainers set it on the sampler: it says where a run begins, and nothing where a checkpoint or an iteration has."""
    remote = make_dataset(N)
    data = dataset(remote, tmp_path / "a")
    epochs = [[s["id"] for s in data] for _ in range(3)]
    loaders = [loader(dataset(remote, tmp_path / "b"), drop_last=is_last) for is_last in (False, False, True)]

    def begin(at: int, epoch: int) -> None:
        vars(loaders[at].sampler)["set_epoch"](epoch)

    for told, epoch in (1, 1), (0, 2):
        begin(0, told)
        assert ids(loaders[0]) == epochs[epoch]
    loaders[1].load_state_dict(data.state_dict(20, from_beginning=True))
    begin(1, 3)
    assert ids(loaders[1]) == epochs[2][20:]
    loaders[2].load_state_dict(data.state_dict(N - 1, from_beginning=True))
    with pytest.warns(UserWarning, match=r"after the last batch of epoch 2, .* the one after it is 3\."):
        begin(2, 3)
    assert ids(loaders[2]) == []


def test_a_checkpoint_of_other_data_is_refused(make_dataset: Make, tmp_path: Path) -> None:
    state = dataset(make_dataset(N), tmp_path / "a").state_dict()
    other = dataset(make_dataset(N + 1, name="other"), tmp_path / "b")
    with pytest.raises(ValueError, match="dataset: checkpoint"):
        other.load_state_dict(state)
    with pytest.raises(ValueError, match="epoch"):
        other.load_state_dict({})


def test_a_checkpoint_of_the_original(make_dataset: Make, tmp_path: Path) -> None:
    """Five keys and no algorithm: the original's default order, where it stopped."""
    remote = make_dataset(N)
    data = dataset(remote, tmp_path / "a", shuffle_algo="py1e", num_canonical_nodes=2)
    epochs = [[s["id"] for s in data] for _ in range(2)]
    state = {
        "epoch": 1,
        "sample_in_epoch": 40,
        "num_canonical_nodes": 2,
        "shuffle_seed": 9176,
        "initial_physical_nodes": 1,
    }
    again = loader(dataset(remote, tmp_path / "a"))
    again.load_state_dict(state)
    assert ids(again) == epochs[1][40:]
