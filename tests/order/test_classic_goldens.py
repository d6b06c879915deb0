"""The classic orders, held against what the original library gave for hundreds of random settings."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.batching import generate_work
from streaming.order.classic.partition import get_partitions
from streaming.order.classic.sampling import get_sampling
from streaming.order.classic.shuffle import get_shuffle
from streaming.order.classic.weights import StreamWeights, resolve_weights
from streaming.order.queries.plan import worker_ids
from streaming.order.spec import Layout, OrderSpec

Case = dict[str, Any]

CASES: list[Case] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "goldens" / "order" / "cases.jsonl").read_text().splitlines()
]


def cases(kind: str, *, answered: bool = False) -> Callable[[Callable[[Case], None]], Callable[..., None]]:
    """Give a test every case of a kind, or only those that the original has an answer to: many at a time, named by line."""
    chosen = [
        (i, case)
        for i, case in enumerate(CASES, 1)
        if case["kind"] == kind and not (answered and "error" in case["answer"])
    ]
    assert chosen
    parts = [chosen[begin : begin + 50] for begin in range(0, len(chosen), 50)]

    def decorate(test: Callable[[Case], None]) -> Callable[..., None]:
        @pytest.mark.parametrize("part", parts, ids=[f"lines{part[0][0]}-{part[-1][0]}" for part in parts])
        def every(part: list[tuple[int, Case]]) -> None:
            for line, case in part:
                try:
                    test(case)
                except BaseException as error:
                    raise AssertionError(f"line {line} of the cases") from error

        return every

    return decorate


def check(case: Case, ask: Callable[[], Any]) -> None:
    """Hold our answer against the original's; where that failed, ours is an error that says what to change."""
    expected = case["answer"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "error" in expected:
            with pytest.raises(ConfigError):
                ask()
            return
        array = np.ascontiguousarray(ask(), "<i8")
    assert list(array.shape) == expected["shape"]
    assert array.reshape(-1)[:6].tolist() == expected["first"]
    assert hashlib.sha1(array.tobytes()).hexdigest()[:16] == expected["digest"]


def weights_of(case: Case) -> StreamWeights:
    """Return the weights of a case's streams."""
    return resolve_weights(
        np.array([sum(sizes) for sizes in case["sizes"]], np.int64),
        proportions=[stream.get("proportion") for stream in case["streams"]],
        repeats=[stream.get("repeat") for stream in case["streams"]],
        chooses=[stream.get("choose") for stream in case["streams"]],
        epoch_size=case["epoch_size"],
        seed=case["seed"],
    )


def spec_of(case: Case) -> OrderSpec:
    """Return the order of a case."""
    weights = weights_of(case)
    same = (
        "batch_size",
        "num_canonical_nodes",
        "shuffle_block_size",
        "sampling_method",
        "sampling_granularity",
        "partition_algo",
        "batching_method",
        "initial_physical_nodes",
    )
    return OrderSpec(
        samples_per_shard=np.array([size for sizes in case["sizes"] for size in sizes], np.int64),
        shards_per_stream=np.array([len(sizes) for sizes in case["sizes"]], np.int64),
        choose=weights.choose,
        proportion=weights.proportion,
        epoch_size=weights.epoch_size,
        shuffle=case["shuffle_algo"] is not None,
        shuffle_algo=case["shuffle_algo"] or "py1e",
        shuffle_seed=case["seed"],
        **{name: case[name] for name in same},
    )


def test_the_goldens_cover_the_grid() -> None:
    answered = [case for case in CASES if case["kind"] == "work" and "error" not in case["answer"]]
    assert len(answered) >= 390
    for name, least in (("batching_method", 4), ("shuffle_algo", 6), ("partition_algo", 2), ("sampling_method", 2)):
        assert len({case[name] for case in answered}) == least


@cases("work")
def test_work(case: Case) -> None:
    check(
        case, lambda: generate_work(spec_of(case), Layout(*case["replicated"]), case["epoch"], case["sample_in_epoch"])
    )


@cases("work", answered=True)
def test_a_worker_alone_gets_its_slice(case: Case) -> None:
    spec, layout = spec_of(case), Layout(*case["replicated"])
    place = [case["seed"] % layout.num_nodes, layout.ranks_per_node - 1, case["epoch"] % layout.workers_per_rank]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work: NDArray[np.int64] = generate_work(spec, layout, case["epoch"], case["sample_in_epoch"])
        alone = worker_ids(spec, case["epoch"], layout, *place, case["sample_in_epoch"])
    expected = work[tuple(place)].reshape(-1)
    assert len(alone) == len(expected)
    assert alone.ids(0, len(alone)).tolist() == expected.tolist()
    assert alone.ids(3, 9).tolist() == expected[3:9].tolist()


@cases("weights")
def test_weights(case: Case) -> None:
    check(case, lambda: weights_of(case).choose)
    if "error" not in case["answer"]:
        weights = weights_of(case)
        assert weights.epoch_size == case["total"]
        assert weights.proportion.tolist() == case["proportion"]
        assert weights.repeat.tolist() == case["repeat"]


@cases("sampling")
def test_sampling(case: Case) -> None:
    check(case, lambda: get_sampling(np.array(case["sizes"], np.int64), *case["args"]))


@cases("partition")
def test_partition(case: Case) -> None:
    check(case, lambda: get_partitions(case["algo"], *case["args"]))


@cases("shuffle")
def test_shuffle(case: Case) -> None:
    check(case, lambda: get_shuffle(case["algo"], np.array(case["sizes"], np.int64), *case["args"]))
