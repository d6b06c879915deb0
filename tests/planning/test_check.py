"""Proofs: what holds is found to hold, and what does not is found too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import MDSWriter, Phase, Schedule, Stream, StreamingDataset
from streaming.order.queries.plan import EpochOrder
from streaming.order.skips import Skips
from streaming.order.spec import Layout
from streaming.planning import proofs
from streaming.planning.demand import Run
from streaming.planning.proofs import World, prove

from budget import repetitions

LOOKED_UP = repetitions("STREAMING_TEST_LOOKED_UP", 100, 2000)
WORLDS = [(1, 1, 0), (2, 4, 2), (4, 2, 3)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, count in (("data", 1003), ("small", 100)):
        with MDSWriter(out=str(tmp_path / name), columns={"x": "int32"}, size_limit=400) as writer:
            for i in range(count):
                writer.write({"x": i})
    return tmp_path


@pytest.mark.parametrize(
    "settings",
    [
        {"shuffle": True},
        {"shuffle": False},
        {"shuffle": True, "shuffle_algo": "py1e", "num_canonical_nodes": 4},
        {"shuffle": True, "streams": (1.5, 0.3)},
        {"shuffle": True, "streams": (1.0, 1.0), "batching_method": "stratified"},
        {"shuffle": True, "mix": Schedule([Phase(0, {0: 0.8, 1: 0.2})]), "epoch_size": 512},
    ],
    ids=["lanes", "in-order", "py1e", "repeated", "stratified", "mixture"],
)
def test_what_holds(data: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "_LOOKED_UP", LOOKED_UP)
    settings = dict(settings)
    where: dict[str, Any] = {"local": str(data / "data")}
    repeats = settings.pop("streams", (None, None) if "mix" in settings else None)
    if repeats is not None:
        names = ("data", "small")
        where = {"streams": [Stream(local=str(data / n), repeat=r) for n, r in zip(names, repeats, strict=True)]}
    dataset = StreamingDataset(**where, batch_size=8, **settings)
    report = dataset.check(num_nodes=2, ranks_per_node=4, worlds=WORLDS)
    assert report.holds, [finding for finding in report.findings if not finding.holds]
    assert [f.name for f in report.findings] == ["samples", "ranks", *["batches"] * 3, *["resuming"] * 4, "cache"]
    assert json.loads(json.dumps(report.to_json()))["order"]["dataset"]
    if settings.get("shuffle_algo") is None:
        assert dataset.check(num_nodes=2, ranks_per_node=4, most=1).holds


def test_a_world_that_cannot_be(data: Path) -> None:
    dataset = StreamingDataset(local=str(data / "data"), batch_size=8)
    with pytest.raises(ValueError, match="World 1x3x0"):
        dataset.check(num_nodes=2, worlds=[(1, 3, 0)])


class _Wrong:
    """Sample ids of which one is another."""

    def __init__(self, ids: Any) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, start: int, stop: int) -> Any:
        found = self._ids.ids(start, stop).copy()
        if start <= 13 < stop:
            found[13 - start] = 7
        return found


class _WrongOrder(EpochOrder):
    def worker_ids(self, *args: Any, **kwargs: Any) -> Any:
        ids = super().worker_ids(*args, **kwargs)
        return _Wrong(ids) if args[:3] == (0, 0, 0) and self.layout.workers_per_rank == 1 else ids


def test_an_order_that_is_wrong_is_found(data: Path) -> None:
    dataset = StreamingDataset(local=str(data / "data"), batch_size=8, shuffle=True)
    plan = dataset.plan(num_nodes=1, ranks_per_node=2)
    spec = dataset.inspect_epoch(0, 1, 2).spec
    run = Run(lambda epoch: _WrongOrder(spec, epoch, Layout(1, 2, 1)), 0, 0, Skips(()), lambda spans: spans, 1, None)
    report = prove(run, replace(plan), [World(1, 1, 2)], 1 << 20, {})
    wrong = {finding.name for finding in report.findings if not finding.holds}
    assert not report.holds
    assert {"samples", "batches", "resuming"} <= wrong


def test_a_cache_that_is_too_small_is_found(data: Path, tmp_path: Path) -> None:
    index = (data / "data" / "index.json").stat().st_size
    dataset = StreamingDataset(
        remote=str(data / "data"), local=str(tmp_path / "c"), batch_size=8, shuffle=True, cache_limit=index + 2000
    )
    report = dataset.check()
    assert [finding.name for finding in report.findings if not finding.holds] == ["cache"]
    assert not report.plan.is_cache_enough
    assert np.all(report.plan.nodes[0].replayed.held > 0)
