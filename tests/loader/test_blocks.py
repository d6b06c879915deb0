"""Workers' blocks of shared memory: used again, and never while anything still holds them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.loader.blocks import Blocks, Borrowed

from budget import share

NUM_SAMPLES, SIZE, WIDTH = 240, 4, 300
COLUMNS = {
    "rows": {"i": "int", "x": f"ndarray:int32:{WIDTH}"},
    "rows that vary": {"i": "int", "x": "ndarray", "note": "str"},
    "text": {"i": "int", "x": "str"},
}


def value(kind: str, i: int) -> Any:
    # Of more bytes from batch to batch, so that small blocks have to be given up.
    return "é" * 100 * i if kind == "text" else np.full(WIDTH, i, np.int32)


@pytest.fixture(params=COLUMNS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(kind: str, tmp_path: Path) -> Callable[..., StreamingDataLoader]:
    with MDSWriter(out=str(tmp_path / "data"), columns=COLUMNS[kind], size_limit=1 << 18) as writer:
        for i in range(NUM_SAMPLES):
            sample = {"i": i, "x": value(kind, i), "note": "n" * (i % 50)}
            writer.write({name: sample[name] for name in COLUMNS[kind]})

    def make(shuffle: bool = True, **kwargs: Any) -> StreamingDataLoader:
        dataset = StreamingDataset(
            local=str(tmp_path / "data"), batch_size=SIZE, shuffle=shuffle, num_canonical_nodes=1
        )
        return StreamingDataLoader(dataset, **{"batch_size": SIZE, "num_workers": 2, **kwargs})

    return make


def is_right(kind: str, batch: dict[str, Any], ids: list[int] | None = None) -> bool:
    """Say whether a batch holds what it should: the samples with these ids, if they are known."""
    return ids in (None, batch["i"].tolist()) and all(
        x == value(kind, i) if isinstance(x, str) else bool((x == i).all())
        for x, i in zip(batch["x"], batch["i"].tolist(), strict=True)
    )


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        *((kind, "fork") for kind in COLUMNS),
        ("text", "forkserver"),
        pytest.param("rows", "forkserver", marks=pytest.mark.long),
    ],
    indirect=["kind"],
)
def test_what_is_kept_stays(kind: str, make: Callable[..., StreamingDataLoader], start: str) -> None:
    loader = make(multiprocessing_context=start, persistent_workers=True)
    kept: list[tuple[dict[str, Any], list[int]]] = []
    for epoch in range(3):
        seen: list[int] = []
        for number, batch in enumerate(loader):
            assert is_right(kind, batch)
            ids = batch["i"].tolist()
            seen += ids
            if number % 7 == epoch:
                kept.append((batch, ids))
            if number % 11 == 5 and kept:
                assert is_right(kind, *kept.pop(0))
        assert sorted(seen) == list(range(NUM_SAMPLES))
        assert all(is_right(kind, *pair) for pair in kept)
    del loader
    gc.collect()
    assert all(is_right(kind, *pair) for pair in kept)


def test_a_part_of_a_batch_keeps_it(make: Callable[..., StreamingDataLoader]) -> None:
    """A row, an array, a slice: each keeps the memory of its batch."""
    ways: list[Callable[[torch.Tensor], Any]] = [
        lambda ids: ids[1:],
        lambda ids: ids.numpy()[1:],
        lambda ids: ids.view(2, 2).t(),
        torch.to_dlpack,
    ]
    kept: list[tuple[int, Any, list[int]]] = []
    for number, batch in enumerate(make()):
        way = number % len(ways)
        kept.append((way, ways[way](batch["i"]), batch["i"].tolist()))
    for way, part, ids in kept:
        if way == 2:
            assert part.t().flatten().tolist() == ids
        elif way == 3:
            assert torch.from_dlpack(part).tolist() == ids
        else:
            assert part.tolist() == ids[1:]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_memory_comes_back(kind: str, make: Callable[..., StreamingDataLoader]) -> None:
    """Batches that are dropped are of a few blocks, whatever their number."""
    before = shared_memory()
    places: set[str] = set()
    for _ in range(3):
        for batch in make(shuffle=False, prefetch_factor=2):
            places |= shared_memory()
            del batch
        assert shared_memory() <= before
    # In each pass, of two workers: two on their way, one that is being read, one that is being made. Text outgrows them.
    assert 0 < len(places - before) <= 3 * 2 * (30 if kind == "text" else 6)


def shared_memory() -> set[str]:
    """The blocks that this process holds."""
    found = set[str]()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            place = os.stat(f"/proc/self/fd/{descriptor}")
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith(("/dev/shm/", "/memfd:")):
                found.add(f"{place.st_dev}:{place.st_ino}")
        except FileNotFoundError:
            continue
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_process_that_was_forked_has_its_batches(kind: str, make: Callable[..., StreamingDataLoader]) -> None:
    batches = iter(make(num_workers=1))
    ours = [(batch, batch["i"].tolist()) for batch in islice(batches, 3)]
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0 if all(is_right(kind, *pair) for pair in ours) else 1)
        finally:
            os._exit(2)
    os.read(ready[0], 1)
    ours.clear()
    for batch in batches:
        assert is_right(kind, batch)
    os.write(go[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for end in (*ready, *go):
        os.close(end)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_process_that_was_forked_gives_nothing_back(kind: str, make: Callable[..., StreamingDataLoader]) -> None:
    batches = iter(make(num_workers=1))
    ours = [(batch, batch["i"].tolist()) for batch in islice(batches, 3)]
    child = os.fork()
    if child == 0:
        ours.clear()
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert all(is_right(kind, batch) for batch in batches)
    assert all(is_right(kind, *pair) for pair in ours)


def test_a_batch_left_in_the_middle(kind: str, make: Callable[..., StreamingDataLoader]) -> None:
    loader = make(persistent_workers=True, prefetch_factor=5)
    for _ in range(5):
        assert all(is_right(kind, batch) for _, batch in zip(range(4), loader, strict=False))
    assert sum(len(batch["i"]) for batch in loader if is_right(kind, batch)) == NUM_SAMPLES


@share(2)
@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 40)), max_size=120), st.integers(0, 50))
def test_no_block_is_lent_twice(steps: list[tuple[int, int]], spare: int) -> None:
    """Whatever is asked for and whatever comes back, in whatever order."""
    blocks = Blocks()
    away: dict[int, tuple[int, int]] = {}  # number -> size, value
    memory: dict[int, Any] = {}
    back: list[int] = []
    borrowed = Borrowed(back.append)
    arrays: dict[int, Any] = {}
    for step, (size, drop) in enumerate(steps):
        block, dropped = blocks.take(size, spare)
        assert block.number not in arrays
        assert block.size >= size
        borrowed.forget(dropped)
        if block.number not in memory:
            memory[block.number] = block.data.numpy()
            borrowed.add(block.number, memory[block.number])
        arrays[block.number] = borrowed.use(block.number, size)
        assert len(arrays[block.number]) == size
        block.data[:size] = step % 256
        away[block.number] = (size, step % 256)
        assert all((arrays[number] == away[number][1]).all() for number in arrays)
        if drop < 20 and arrays:
            number = list(arrays)[drop % len(arrays)]
            del arrays[number]
            blocks.give_back(back)
            back.clear()
    kept = len(blocks._free) + len(blocks._lent)  # pyright: ignore[reportPrivateUsage]
    assert kept <= 16
