"""A table of stages, as runs of staged pretraining publish them, through datasets: what each block of batches holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streaming import MDSWriter, Phase, Schedule, Stream, StreamingDataLoader, StreamingDataset

BATCH, BLOCK, END = 64, 4, 200  # samples of a global batch, batches of a block and of the run
SOURCES = ("web", "code", "math", "papers", "books", "wiki", "chat", "forums", "exams")
STAGES = [  # first batch, percent of each source: broad first, then rich, then a cool-down in which the first is left out
    (0, (50, 20, 10, 8, 5, 3, 2, 1.5, 0.5)),
    (80, (40, 20, 15, 10, 5, 5, 2, 2, 1)),
    (120, (25, 20, 25, 15, 5, 5, 2, 2, 1)),
    (140, (0, 10, 35, 35, 10, 5, 2, 2, 1)),
    (160, (5, 5, 30, 30, 10, 10, 5, 2.5, 2.5)),
]
SIZES = (5000, 2500, 900, 900, 400, 400, 200, 100, 50)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sources")
    for number, (name, size) in enumerate(zip(SOURCES, SIZES, strict=True)):
        with MDSWriter(out=str(root / name), columns={"source": "int8", "id": "int32"}, size_limit="2kb") as writer:
            for i in range(size):
                writer.write({"source": np.int8(number), "id": np.int32(i)})
    return root


def schedule(block: int | None) -> Schedule:
    """The table itself, or with a phase a block, so that each holds the exact shares; one more, which ends the last."""
    ends = [*(begin for begin, _ in STAGES[1:]), END + 1]
    phases = [
        Phase(at, dict(zip(SOURCES, weights, strict=True)))
        for (begin, weights), end in zip(STAGES, ends, strict=True)
        for at in range(begin, end, block or 2 * END)
    ]
    return Schedule(phases, unit="batches")


def batches(root: Path, mix: Schedule, nodes: int, ranks: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sources and ids of each global batch, ``[END, BATCH]``."""
    found: list[NDArray[Any]] = []
    for rank in range(ranks):
        dataset = StreamingDataset(
            streams={name: Stream(local=str(root / name)) for name in SOURCES},
            mix=mix,
            shuffle=True,
            batch_size=BATCH // ranks,
            num_canonical_nodes=nodes,
            epoch_size=END * BATCH,
            data_parallel_rank=rank,
            data_parallel_size=ranks,
        )
        loader = StreamingDataLoader(dataset, batch_size=BATCH // ranks)
        found.append(np.stack([[batch["source"].numpy(), batch["id"].numpy()] for batch in loader]))
    together = np.concatenate(found, axis=2)
    return together[:, 0], together[:, 1]


def counts_of(sources: NDArray[Any], block: int) -> NDArray[Any]:
    return np.stack([np.bincount(some, minlength=len(SOURCES)) for some in sources.reshape(-1, block * BATCH)])


def table(block: int) -> NDArray[np.float64]:
    """What each block is to hold."""
    weights = np.zeros((END, len(SOURCES)))
    for begin, row in STAGES:
        weights[begin:] = np.divide(row, sum(row))
    return weights[::block] * block * BATCH


@pytest.mark.parametrize(("nodes", "ranks"), [(1, 1), (8, 2)])
def test_blocks_that_are_declared_hold_their_shares(root: Path, nodes: int, ranks: int) -> None:
    sources, ids = batches(root, schedule(BLOCK), nodes, ranks)
    found, wanted = counts_of(sources, BLOCK), table(BLOCK)
    assert abs(found - wanted).max() < 1
    assert abs((found - wanted).cumsum(0)).max() < 2  # what is rounded does not add up
    for number, size in enumerate(SIZES):
        times = np.bincount(ids[sources == number], minlength=size)
        assert times.max() - times.min() <= (1 if nodes == 1 else 2)


def test_a_table_as_it_stands(root: Path) -> None:
    """Each stage holds its shares, and every batch to within two samples of each source, at any time."""
    sources, _ = batches(root, schedule(None), 1, 1)
    found, wanted = counts_of(sources, 1), table(1)
    begins = [begin for begin, _ in STAGES]
    assert abs(np.add.reduceat(found - wanted, begins))[:-1].max() < 1  # the last has no end
    assert abs(found - wanted).max() < 2
    assert abs((found - wanted).cumsum(0)).max() < 2
    assert not found[140:160, 0].any()


def test_any_ranks_hold_the_same(root: Path) -> None:
    one, two = (batches(root, schedule(BLOCK), 8, ranks) for ranks in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(np.sort(a), np.sort(b))
