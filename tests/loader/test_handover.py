"""Batches on their way from workers: their blocks of shared memory, and the descriptors of those."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import multiprocessing

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.loader.handover import Handover
from streaming.loader.packing import Packed, Packer

from programs import run_code

NUM_SAMPLES = 400
COLUMNS = {"rows": {"x": "ndarray:uint16:64", "i": "int"}, "text": {"x": "str", "i": "int"}}


@pytest.fixture(params=COLUMNS)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Write a dataset of rows of one size, or of rows of different sizes."""
    out = str(tmp_path / "data")
    with MDSWriter(out=out, columns=COLUMNS[request.param], size_limit=1 << 12) as writer:
        for i in range(NUM_SAMPLES):
            x: Any = np.full(64, i, np.uint16) if request.param == "rows" else f"{i} " * (i % 7)
            writer.write({"x": x, "i": i})
    return out


@pytest.fixture
def strategy() -> Iterator[Callable[[str], None]]:
    """Set how PyTorch shares memory, for one test."""
    before = multiprocessing.get_sharing_strategy()
    yield multiprocessing.set_sharing_strategy
    multiprocessing.set_sharing_strategy(before)


def loader(data: str, **kwargs: Any) -> StreamingDataLoader:
    dataset = StreamingDataset(local=data, batch_size=10, shuffle=True)
    return StreamingDataLoader(dataset, **{"batch_size": 10, "num_workers": 2, **kwargs})


def assert_all_there(batches: list[Any]) -> None:
    ids = [i for batch in batches for i in batch["i"].tolist()]
    assert sorted(ids) == list(range(NUM_SAMPLES))
    for batch in batches:
        for x, i in zip(batch["x"], batch["i"].tolist(), strict=True):
            assert x == f"{i} " * (i % 7) if isinstance(x, str) else bool((x == i).all())


def use_files(_: int) -> None:
    multiprocessing.set_sharing_strategy("file_system")


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_memory_that_is_shared_by_files(data: str, strategy: Callable[[str], None]) -> None:
    strategy("file_system")
    assert Handover.for_workers(2) is None
    assert_all_there(list(loader(data)))


@pytest.mark.parametrize(
    ("data", "start"), [("rows", "fork"), ("text", "fork"), ("rows", "forkserver")], indirect=["data"]
)
def test_workers_that_share_by_files(data: str, start: str) -> None:
    assert_all_there(list(loader(data, worker_init_fn=use_files, multiprocessing_context=start)))


def test_more_workers_than_are_served(data: str) -> None:
    assert Handover.for_workers(0) is None
    assert Handover.for_workers(1000) is None
    assert_all_there(list(loader(data, num_workers=1)))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
@pytest.mark.parametrize("is_persistent", [False, True])
def test_descriptors_do_not_add_up(data: str, is_persistent: bool) -> None:
    batches = loader(data, persistent_workers=is_persistent)
    counts: list[int] = []
    for _ in range(4):
        assert_all_there(list(batches))
        for _, _batch in zip(range(3), batches, strict=False):
            pass
        counts.append(descriptors())
    assert counts[-1] < counts[0] + 10  # of some hundred batches; those that came early are held for their turn


def test_two_loaders_at_a_time(data: str) -> None:
    first, second = loader(data), loader(data)
    pairs = list(zip(first, second, strict=True))
    assert_all_there([batch for batch, _ in pairs])
    assert_all_there([batch for _, batch in pairs])


def test_a_batch_goes_on_to_another_process(data: str) -> None:
    batch = next(iter(loader(data)))
    context = multiprocessing.get_context("forkserver")
    queue: Any = context.Queue()
    process = context.Process(target=put_back, args=(batch["i"], queue))
    process.start()
    found = queue.get(timeout=60).clone()
    queue.put(None)
    process.join(60)
    assert torch.equal(found, batch["i"] + 1)


def put_back(numbers: torch.Tensor, queue: Any) -> None:
    queue.put(numbers + 1)
    queue.get(timeout=60)


def test_batches_outlive_the_workers_and_the_loader(data: str) -> None:
    batches = loader(data)
    kept = list(batches)
    del batches
    assert_all_there(kept)


def test_what_numpy_cannot_hold_goes_as_it_is() -> None:
    packer = Packer()
    half = torch.ones(3, dtype=torch.bfloat16)
    graph = torch.ones(3, requires_grad=True)
    assert packer.add_tensor(half) is half
    assert packer.add_tensor(graph) is graph


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2), (3, 2)])
def test_tensors_of_any_shape(shape: tuple[int, ...]) -> None:
    packer = Packer()
    made = torch.arange(int(np.prod(shape)), dtype=torch.int32).reshape(shape)
    packed = packer.finish({"x": packer.add_tensor(made), "y": packer.add_tensor(torch.ones(1, 3).T), "z": 5})
    assert isinstance(packed, Packed)
    batch = packed.unpack()
    assert batch["x"].dtype == torch.int32
    assert torch.equal(batch["x"], made)
    assert torch.equal(batch["y"], torch.ones(3, 1))
    assert batch["z"] == 5


def test_too_many_open_files_are_told_of(data: str) -> None:
    code = """
import resource, sys
from streaming import StreamingDataLoader, StreamingDataset
dataset = StreamingDataset(local=sys.argv[1], batch_size=2, shuffle=True)
batches = iter(StreamingDataLoader(dataset, batch_size=2, num_workers=2))
kept = [next(batches)]
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
kept += list(batches)
"""
    status, _, said = run_code(code, data)
    assert status == 1, said
    assert "Too many open files" in said
