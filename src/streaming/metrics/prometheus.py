"""Prometheus: a loader's report, made at each scrape. Needs the extra ``prometheus``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streaming.core.imports import optional_import
from streaming.loader.loader import StreamingDataLoader
from streaming.metrics.instruments import instruments

__all__ = ["LoaderCollector"]


class LoaderCollector:
    """What ``prometheus_client`` asks at each scrape.

    Args:
        loader: The loader.
        name: Tells it from other loaders of the process, as the label ``loader``.

    Raises:
        MissingDependencyError: ``prometheus_client`` is not installed.

    Example:
        >>> from prometheus_client import CollectorRegistry, generate_latest
        >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
        >>> registry = CollectorRegistry()
        >>> registry.register(LoaderCollector(loader))
        >>> batches = list(loader)
        >>> b'streaming_samples_total{loader="train",rank="0"} 64.0' in generate_latest(registry)
        True
    """

    def __init__(self, loader: StreamingDataLoader, name: str = "train") -> None:
        self._core = optional_import("prometheus_client.core", "prometheus", "LoaderCollector")
        self._loader = loader
        self._name = name

    def describe(self) -> list[Any]:
        """Return nothing: names are known at the first scrape."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the metrics as they are now."""
        report = self._loader.report()
        for instrument in instruments(report):
            kind = self._core.CounterMetricFamily if instrument.is_sum else self._core.GaugeMetricFamily
            labels = ["loader", "rank", *([instrument.label] if instrument.label else [])]
            name = "_".join(part for part in ("streaming", instrument.name, instrument.unit) if part)
            family = kind(name, instrument.text, labels=labels)
            for label, value in instrument.values.items():
                family.add_metric([self._name, str(report.rank), *([label] if instrument.label else [])], value)
            yield family
