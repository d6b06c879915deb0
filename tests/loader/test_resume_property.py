"""Stopped anywhere and resumed on any world: the same as never stopped, whatever a batch looks like.

``STREAMING_TEST_EXAMPLES=2000`` tries longer than the few examples of every run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_counting import COLLATES, Changed, Odd, Thrice, ids_in

from streaming import StreamingDataLoader, StreamingDataset

from budget import repetitions
from sample_data import write_dataset

EXAMPLES = repetitions("STREAMING_TEST_EXAMPLES", 15, 500)
N, GLOBAL = 90, 6
FEW = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

worlds = st.sampled_from([1, 2, 3])
workers = st.sampled_from([0, 0, 0, 0, 0, 1, 2, 3])
collates = st.sampled_from([collate for collate in COLLATES if collate.__name__ != "nothing"])
algos = st.sampled_from([None, "py1e", "naive"])


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("data") / "remote"
    write_dataset(str(path), N)
    return str(path)


def open_rank(
    remote: str,
    rank: int,
    world: int,
    num_workers: int,
    collate: Any,
    state: Any,
    kind: Any = StreamingDataset,
    **more: Any,
) -> StreamingDataLoader:
    data = kind(
        local=remote,
        batch_size=GLOBAL // world,
        shuffle=True,
        num_canonical_nodes=1,
        data_parallel_rank=rank,
        data_parallel_size=world,
        shuffle_algo=more.pop("algo", None),
    )
    size = {"batch_size": GLOBAL // world, **more}
    context = "fork" if num_workers else None
    loader = StreamingDataLoader(
        data, **size, num_workers=num_workers, collate_fn=collate, multiprocessing_context=context
    )
    loader.load_state_dict(state)
    return loader


def run(remote: str, world: int, steps: int | None, state: Any, **more: Any) -> tuple[list[list[int]], Any]:
    """Play all ranks; return the ids of each global batch, and the checkpoint of the last rank."""
    batches: list[list[int]] = []
    found = None
    for rank in range(world):
        loader = open_rank(remote, rank, world, state=state, **more)
        for step, batch in enumerate(loader):
            if len(batches) <= step:
                batches.append([])
            batches[step] += ids_in(batch)
            if step + 1 == steps:
                break
        found = json.loads(json.dumps(loader.state_dict()))
    return [sorted(batch) for batch in batches], found


@FEW
@given(worlds, worlds, workers, workers, st.integers(1, N // GLOBAL), collates, algos)
def test_any_batches_on_any_world(
    remote: str, first: int, then: int, before: int, after: int, steps: int, collate: Callable[[Any], Any], algo: Any
) -> None:
    whole, _ = run(remote, 1, None, None, num_workers=0, collate=collate, algo=algo)
    begun, state = run(remote, first, steps, None, num_workers=before, collate=collate, algo=algo)
    rest, _ = run(remote, then, None, state, num_workers=after, collate=collate, algo=algo)
    assert "workers" not in state
    assert begun + rest == whole


@pytest.mark.filterwarnings("ignore:The DataLoader has batch_size=None")
@FEW
@given(workers, st.integers(1, 20), st.integers(1, 20), st.sampled_from([Odd, Thrice, Changed, None]))
def test_iterators_and_single_samples(remote: str, num_workers: int, first: int, second: int, kind: Any) -> None:
    """Stopped twice: what was drawn by each worker is drawn by none again."""
    more: dict[str, Any] = {"num_workers": num_workers, "collate": None, "kind": kind or StreamingDataset}
    if kind is None:
        more["batch_size"] = None
    state: Any = None
    seen: Counter[int] = Counter()
    for steps in (first, second, None):
        loader = open_rank(remote, 0, 1, state=state, **more)
        for step, batch in enumerate(loader):
            seen.update(ids_in(batch))
            if step + 1 == steps:
                break
        state = json.loads(json.dumps(loader.state_dict()))
    assert seen == {i: 3 if kind is Thrice else 1 for i in range(N) if kind is not Odd or i % 3}
