"""What programs that watch runs are told of a loader: one table for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streaming.loader.watching.report import Report

__all__ = ["Instrument", "instruments"]

_COUNTS = {
    "bytes_fetched": "Bytes fetched from stores",
    "files_fetched": "Files fetched from stores",
    "retries": "Attempts to fetch after the first",
    "evictions": "Shards removed from the cache",
}


@dataclass(frozen=True)
class Instrument:
    """One metric.

    Attributes:
        name: Its name, words with underscores.
        text: What it is.
        values: Its values, by that which tells them apart; by ``""`` where there is one.
        label: What tells the values apart.
        is_sum: Whether it only grows.
        unit: ``seconds``, or nothing.
    """

    name: str
    text: str
    values: Mapping[str, float]
    label: str = ""
    is_sum: bool = True
    unit: str = ""


def instruments(report: Report) -> list[Instrument]:
    """Return the metrics of a report.

    Args:
        report: Of a loader.

    Example:
        >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
        >>> [one.name for one in instruments(loader.report())][:3]
        ['samples', 'batches', 'iterated']
    """
    waits = {"0.5": report.p50, "0.99": report.p99}
    behind = {str(worker.number): float(worker.number in report.stragglers) for worker in report.workers}
    made = {str(worker.number): worker.seconds for worker in report.workers}
    counts = [
        Instrument(name, text, {"": report.counts[name]}) for name, text in _COUNTS.items() if name in report.counts
    ]
    return [
        Instrument("samples", "Samples that training got", {"": report.samples}),
        Instrument("batches", "Batches that training got", {"": report.batches}),
        Instrument("iterated", "Time for which the loader was iterated", {"": report.seconds}, unit="seconds"),
        Instrument("wait", "Time that training waited for batches", report.causes, "cause", unit="seconds"),
        Instrument("batch_wait", "Wait for one of the last batches", waits, "quantile", False, "seconds"),
        Instrument("worker_making", "Time in which a worker made batches", made, "worker", unit="seconds"),
        Instrument("worker_behind", "1 for a worker that is much slower than most", behind, "worker", False),
        *counts,
    ]
