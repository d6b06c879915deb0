"""Exporters and callbacks hand on what the loader reports, by the real libraries where they install."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.core.errors import MissingDependencyError
from streaming.metrics.callbacks import (
    composer_callback,
    huggingface_callback,
    to_tensorboard,
    to_wandb,
)
from streaming.metrics.opentelemetry import observe
from streaming.metrics.prometheus import LoaderCollector
from streaming.metrics.scalars import Reporter, scalars


@pytest.fixture
def loader(tmp_path: Path) -> StreamingDataLoader:
    with MDSWriter(out=str(tmp_path), columns={"i": "int"}) as out:
        for i in range(32):
            out.write({"i": i})
    return StreamingDataLoader(StreamingDataset[Any](local=str(tmp_path), batch_size=4), batch_size=4)


def test_prometheus_scrapes_the_report(loader: StreamingDataLoader) -> None:
    client = pytest.importorskip("prometheus_client")
    registry = client.CollectorRegistry()
    registry.register(LoaderCollector(loader, "val"))
    labels = {"loader": "val", "rank": "0"}
    assert registry.get_sample_value("streaming_batches_total", labels) == 0
    list(loader)
    report = loader.report()
    assert registry.get_sample_value("streaming_batches_total", labels) == 8
    assert registry.get_sample_value("streaming_samples_total", labels) == 32
    for cause, seconds in report.causes.items():
        assert registry.get_sample_value("streaming_wait_seconds_total", {**labels, "cause": cause}) == seconds
    assert registry.get_sample_value("streaming_batch_wait_seconds", {**labels, "quantile": "0.99"}) == report.p99
    assert registry.get_sample_value("streaming_worker_behind", {**labels, "worker": "0"}) == 0
    assert registry.get_sample_value("streaming_bytes_fetched_total", labels) == 0


def test_opentelemetry_observes_the_report(loader: StreamingDataLoader) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.metrics")
    export = pytest.importorskip("opentelemetry.sdk.metrics.export")
    reader = export.InMemoryMetricReader()
    provider = sdk.MeterProvider([reader])
    observe(loader, meter=provider.get_meter("test"))
    list(loader)
    [resource] = reader.get_metrics_data().resource_metrics
    metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    [point] = metrics["streaming.samples"].data.data_points
    assert (point.value, dict(point.attributes)) == (32, {"loader": "train", "rank": 0})
    waits = {point.attributes["cause"]: point.value for point in metrics["streaming.wait"].data.data_points}
    assert waits == dict(loader.report().causes)
    assert metrics["streaming.wait"].unit == "s"
    assert metrics["streaming.batch_wait"].data.data_points[0].attributes["quantile"] == "0.5"
    provider.shutdown()


@pytest.mark.parametrize(
    ("module", "use"), [("prometheus_client.core", LoaderCollector), ("opentelemetry.metrics", observe)]
)
def test_what_is_not_installed_is_named(
    loader: StreamingDataLoader, module: str, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"streaming-dataset\[(prometheus|otel)\]"):
        use(loader)


class Logged(list[tuple[int, dict[str, float]]]):
    """What was logged: stands for a writer of TensorBoard, a run of W&B, and loggers of Lightning and Composer."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.append((step, {name: value}))

    def log(self, numbers: dict[str, float], step: int, commit: bool) -> None:
        assert not commit
        self.append((step, numbers))

    def log_metrics(self, numbers: dict[str, float], step: int) -> None:
        self.append((step, numbers))


def test_each_interval_is_logged_by_itself(loader: StreamingDataLoader) -> None:
    logged = Logged()
    reporter = Reporter(loader, to_wandb(logged), every=3)
    for step, _ in enumerate(loader):
        reporter.step(step)
    assert [step for step, _ in logged] == [0, 3, 6]
    numbers = logged[-1][1]
    assert numbers.keys() == scalars(loader.report()).keys()
    assert numbers["streaming/samples_per_second"] == pytest.approx(4 * numbers["streaming/batches_per_second"])
    waits = sum(value for name, value in numbers.items() if name.startswith("streaming/wait/"))
    assert waits == pytest.approx(numbers["streaming/share"])


def test_tensorboard_writes_each_number(loader: StreamingDataLoader, tmp_path: Path) -> None:
    logged = Logged()
    to_tensorboard(logged)(scalars(loader.report(), "data/"), 7)
    assert {step for step, _ in logged} == {7}
    assert {name for _, one in logged for name in one} >= {"data/share", "data/wait/store", "data/p99"}
    writers = pytest.importorskip("tensorboardX")
    with writers.SummaryWriter(str(tmp_path / "events")) as writer:
        to_tensorboard(writer)(scalars(loader.report()), 7)
    assert any(b"streaming/share" in path.read_bytes() for path in (tmp_path / "events").iterdir())


def test_hugging_face_tells_each_step(loader: StreamingDataLoader) -> None:
    pytest.importorskip("transformers")
    from transformers import TrainerControl, TrainerState, TrainingArguments

    logged = Logged()
    callback = huggingface_callback(to_wandb(logged), every=4)
    state: Any = TrainerState()
    for state.global_step, _ in enumerate(loader, 1):
        callback.on_step_end(TrainingArguments, state, TrainerControl(), train_dataloader=loader)
        callback.on_step_end(TrainingArguments, state, TrainerControl(), train_dataloader=[])
    assert [step for step, _ in logged] == [4, 8]


def test_composer_tells_each_batch(loader: StreamingDataLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a double of its interface: Composer does not install beside current versions of PyTorch."""
    composer: Any = ModuleType("composer")
    composer.Callback = type("Callback", (), {})
    monkeypatch.setitem(sys.modules, "composer", composer)
    callback, logged = composer_callback(every=4), Logged()
    for step, _ in enumerate(loader, 1):
        callback.batch_end(SimpleNamespace(dataloader=loader, timestamp=SimpleNamespace(batch=step)), logged)
    assert [step for step, _ in logged] == [4, 8]
