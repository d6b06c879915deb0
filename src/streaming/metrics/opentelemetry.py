"""OpenTelemetry: a loader's report, made whenever the meter collects. Needs the extra ``otel``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from streaming.core.imports import optional_import
from streaming.loader.loader import StreamingDataLoader
from streaming.metrics.instruments import instruments

__all__ = ["observe"]


def observe(loader: StreamingDataLoader, name: str = "train", meter: Any = None) -> None:
    """Have OpenTelemetry observe a loader, by the names ``streaming.samples``, ``streaming.wait`` and so on.

    Args:
        loader: The loader.
        name: Tells it from other loaders of the process, as the attribute ``loader``.
        meter: An ``opentelemetry.metrics.Meter``, by default that of the provider that the program has set.

    Raises:
        MissingDependencyError: ``opentelemetry-api`` is not installed.

    Example:
        >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
        >>> observe(loader)  # without a provider, OpenTelemetry collects nothing
    """
    api = optional_import("opentelemetry.metrics", "otel", "observe")
    meter = api.get_meter("streaming") if meter is None else meter
    for one in instruments(loader.report()):
        make: Callable[..., Any] = meter.create_observable_counter if one.is_sum else meter.create_observable_gauge
        callback = partial(_observations, loader, name, one.name, api.Observation)
        make(f"streaming.{one.name}", callbacks=[callback], unit="s" if one.unit else "", description=one.text)


def _observations(
    loader: StreamingDataLoader, name: str, instrument: str, observation: Any, options: Any
) -> Iterable[Any]:
    """Return the present values of one instrument."""
    del options
    report = loader.report()
    known = {"loader": name, "rank": report.rank}
    for one in instruments(report):
        if one.name == instrument:
            for label, value in one.values.items():
                yield observation(value, {**known, one.label: label} if one.label else known)
