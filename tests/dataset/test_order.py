"""Order through the dataset: default algorithm, checkpoints over epochs, skipping, asking, sharing."""

from __future__ import annotations

import json
import multiprocessing as mp
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.process.lock import locked_part
from streaming.dataset.epoch import epoch_file

from programs import run_ranks
from sample_data import sample

Make = Callable[..., str]
N = 300


def dataset(remote: str, local: Path | str, **kwargs: Any) -> StreamingDataset:
    return StreamingDataset(**{"remote": remote, "local": str(local), "batch_size": 4, "shuffle": True, **kwargs})


def epoch(data: StreamingDataset) -> list[int]:
    return [s["id"] for s in data]


@pytest.mark.parametrize("algo", [None, "lanes", "py1s", "py2s", "py1br", "py1e", "naive"])
@pytest.mark.filterwarnings("ignore:.*shuffle_block_size")
def test_every_algorithm(make_dataset: Make, tmp_path: Path, algo: str | None) -> None:
    data = dataset(make_dataset(), tmp_path / "a", shuffle_algo=algo, num_canonical_nodes=2)
    epochs = [epoch(data) for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert all(sorted(e) == list(range(N)) for e in epochs)
    assert data.state_dict()["shuffle_algo"] == (algo or "lanes")


@pytest.mark.parametrize("algo", ["lanes", "py1e"])
def test_a_resumes_settings_hold_for_later_epochs(make_dataset: Make, tmp_path: Path, algo: str) -> None:
    remote = make_dataset()
    first = dataset(remote, tmp_path / "a", shuffle_algo=algo, num_canonical_nodes=4, shuffle_seed=77)
    epochs = [epoch(first) for _ in range(4)]
    state = {**first.state_dict(100, from_beginning=True), "epoch": 1}
    for persistent in (False, True):
        again = dataset(remote, tmp_path / "a")  # knows neither algorithm, nor canonical nodes, nor seed
        again.load_state_dict(json.loads(json.dumps(state)))
        loader = StreamingDataLoader(again, batch_size=4, num_workers=2, persistent_workers=persistent)
        got = [[i for batch in loader for i in batch["id"].tolist()] for _ in range(3)]
        assert got == [epochs[1][100:], epochs[2], epochs[3]]
        saved = loader.state_dict()
        assert saved is not None
        assert (saved["num_canonical_nodes"], saved["shuffle_seed"]) == (4, 77)


def test_another_algorithm_than_the_checkpoints(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset()
    state = dataset(remote, tmp_path / "a").state_dict()
    with pytest.raises(ValueError, match="py1br"):
        dataset(remote, tmp_path / "a", shuffle_algo="py1br").load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"shuffle": False}, "shuffle"),
        ({"epoch_size": 200}, "epoch_size"),
        ({"batching_method": "stratified"}, "batching_method"),
        ({"sampling_method": "fixed"}, "sampling_method"),
    ],
)
def test_other_arguments_than_the_checkpoints(
    make_dataset: Make, tmp_path: Path, arguments: dict[str, Any], key: str
) -> None:
    remote = make_dataset()
    state = dataset(remote, tmp_path / "a").state_dict()
    with pytest.raises(ValueError, match=f"{key}: checkpoint"):
        dataset(remote, tmp_path / "a", **arguments).load_state_dict(state)


@pytest.mark.parametrize("workers", [0, 2])
def test_skip_and_resume(make_dataset: Make, tmp_path: Path, workers: int) -> None:
    remote = make_dataset()
    whole = epoch(dataset(remote, tmp_path / "a"))
    batches = [whole[i : i + 4] for i in range(0, N, 4)]
    expected = [b for i, b in enumerate(batches) if not 10 <= i < 20 and i != 40]

    data = dataset(remote, tmp_path / "a")
    data.skip_batches([(10, 20)])
    data.skip_batches([(40, 41)])
    loader = StreamingDataLoader(data, batch_size=4, num_workers=workers)
    iterator = iter(loader)
    got = [next(iterator)["id"].tolist() for _ in range(15)]
    state = json.loads(json.dumps(loader.state_dict()))
    assert state["skip"] == [[40, 80], [160, 164]]

    again = dataset(remote, tmp_path / "a")
    again.load_state_dict(state)
    with pytest.raises(ValueError, match="ahead"):
        again.skip_batches([(24, 26)])
    rest = StreamingDataLoader(again, batch_size=4, num_workers=2 - workers)
    got += [batch["id"].tolist() for batch in rest]
    assert got == expected
    assert len(epoch(again)) == N  # the next epoch is whole


def test_inspect(make_dataset: Make, tmp_path: Path) -> None:
    data = dataset(make_dataset(), tmp_path / "a")
    inspector = data.inspect_epoch(1)
    _ = epoch(data)
    served = epoch(data)
    assert inspector.batch(3).tolist() == [served[12:16]]
    place = inspector.find(served[14])[0]
    assert (place.batch, place.rank, place.slot) == (3, 0, 2)
    other = data.inspect_epoch(1, num_nodes=2, ranks_per_node=2)
    assert other.global_batch_size == 16
    assert set(other.batch(0).ravel().tolist()) != set()
    with pytest.raises(ValueError, match="batch_size"):
        StreamingDataset(local=data.streams[0].remote).inspect_epoch()


def _read_epoch(remote: str, local: str, seen: Any) -> None:
    epoch_file.SHARE_FROM = 1
    made: list[str] = []
    original = epoch_file.np.save

    def counted(file: Any, *args: Any, **kwargs: Any) -> None:
        made.append(file.name)
        original(file, *args, **kwargs)

    epoch_file.np.save = counted  # type: ignore[assignment]
    seen.put((epoch(dataset(remote, local, shuffle_algo="py1e")), made))


def test_a_materialised_epoch_is_made_once(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset()
    expected = epoch(dataset(remote, tmp_path / "b", shuffle_algo="py1e"))
    context = mp.get_context("forkserver")
    seen = context.Queue()
    processes = [
        context.Process(target=_read_epoch, args=(remote, str(tmp_path / "a"), seen), daemon=True) for _ in range(4)
    ]
    for process in processes:
        process.start()
    results = [seen.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert [ids for ids, _ in results] == [expected] * 4
    made = [name for _, names in results for name in names]
    # Processes that are done look ahead to the next epoch.
    assert 1 <= len(made) == len(set(made)) <= 2
    # One that ended while it was making that of the epoch after may have left a part of it.
    assert len(list((tmp_path / "a").glob(".streaming-epoch-*.npy"))) <= 2


def test_unfinished_materialised_epochs_are_removed(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epoch_file, "SHARE_FROM", 1)
    left, in_use = (tmp_path / f".streaming-epoch-{name}.npy.part" for name in ("left", "in_use"))
    left.write_bytes(b"some")
    with locked_part(str(in_use)) as part:
        Path(part).write_bytes(b"more")
        epoch(dataset(make_dataset(), tmp_path, shuffle_algo="py1e"))
        assert not left.exists()
        assert in_use.exists()


def test_mixing_is_exact(make_dataset: Make, tmp_path: Path) -> None:
    from streaming import Stream

    parts = [make_dataset(count, name=f"part{count}") for count in (120, 40, 8)]
    streams = [Stream(local=part, repeat=r) for part, r in zip(parts, (1, 0.5, 3), strict=True)]
    data = StreamingDataset(streams=streams, batch_size=4, shuffle=True)
    got = np.array([data.samples_per_stream.size and i for i in ids_of(data)])
    counts = [int(((got >= low) & (got < high)).sum()) for low, high in ((0, 120), (120, 160), (160, 168))]
    assert counts == [120, 20, 24]
    assert np.bincount(got[got >= 160] - 160).tolist() == [3] * 8
    assert data[0] == sample(0)


def ids_of(data: StreamingDataset) -> list[int]:
    inspector = data.inspect_epoch(0)
    return [i for b in range(inspector.num_batches) for i in inspector.batch(b).ravel().tolist() if i >= 0]


DISTRIBUTED = """
    import sys, torch, torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from streaming import StreamingDataset, StreamingDataLoader
    remote, local = sys.argv[1:]
    dist.init_process_group('gloo')
    mesh = init_device_mesh('cpu', (2, 2), mesh_dim_names=('dp', 'tp'))
    for is_mesh, kwargs in enumerate(({}, dict(device_mesh=mesh, data_parallel_dims=['dp']))):
        start = 'fork' if is_mesh or dist.get_rank() < 3 else 'spawn'  # which takes seconds
        data = StreamingDataset(remote=remote, local=local, batch_size=4, shuffle=True, num_canonical_nodes=1, **kwargs)
        loader = StreamingDataLoader(data, batch_size=4, num_workers=1, multiprocessing_context=start)
        ids = [i for b in loader for i in b['id'].tolist()]
        everyone = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, ids)
        assert not torch.cuda.is_initialized() and dist.is_initialized()
        if dist.get_rank() == 0:
            print(everyone, flush=True)
    dist.destroy_process_group()
"""


def test_ranks_of_a_job(make_dataset: Make, tmp_path: Path) -> None:
    """Four ranks with a share each; and as a mesh, in which each share is that of two."""
    script = tmp_path / "job.py"
    # Spawned workers import the script: what it does must be behind the guard.
    body = textwrap.indent(textwrap.dedent(DISTRIBUTED), "    ")
    script.write_text(f"if __name__ == '__main__':\n{body}")
    ended = run_ranks(script, make_dataset(), str(tmp_path / "cache"), ranks_per_node=4)
    assert [status for status, *_ in ended] == [0] * 4, ended
    ranks, mesh = map(json.loads, ended[0][1].splitlines())
    assert mesh[0] == mesh[1]
    assert mesh[2] == mesh[3]
    for shares in (ranks, mesh[::2]):
        assert len({len(ids) for ids in shares}) == 1
        assert sorted(i for ids in shares for i in ids) == list(range(N))
