"""A loader's report as numbers by name: what every exporter and callback hands on."""

from __future__ import annotations

from collections.abc import Callable

from streaming.loader.loader import StreamingDataLoader
from streaming.loader.watching.report import Report

__all__ = ["Reporter", "scalars"]


def scalars(report: Report, prefix: str = "streaming/") -> dict[str, float]:
    """Return a report's numbers by flat names, for a logger.

    Args:
        report: Of a loader, or of an interval by :meth:`Report.since`.
        prefix: What each name begins with.

    Returns:
        ``samples_per_second``, ``batches_per_second``; ``share`` of the time that training waited, from 0 to 1, and the part
        of each cause in it, ``wait/CAUSE``; ``p50``, ``p99`` (seconds); ``stragglers``, how many workers are behind; and
        ``bytes_fetched``, ``retries`` and ``evictions`` of the dataset since it was made.

    Example:
        >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
        >>> batches = list(loader)
        >>> scalars(loader.report())['streaming/stragglers']
        0.0
    """
    seconds = max(report.seconds, 1e-9)
    found = {
        "samples_per_second": report.samples_per_second,
        "batches_per_second": report.batches_per_second,
        "share": report.share,
        **{f"wait/{cause}": spent / seconds for cause, spent in report.causes.items()},
        "p50": report.p50,
        "p99": report.p99,
        "stragglers": len(report.stragglers),
        **{name: report.counts[name] for name in ("bytes_fetched", "retries", "evictions") if name in report.counts},
    }
    return {prefix + name: float(value) for name, value in found.items()}


class Reporter:
    """Hands a loader's numbers on every so many steps, each time of what has come since the last.

    Args:
        loader: The loader.
        log: Called with the numbers by name, and the step.
        every: Steps between.

    Example:
        >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
        >>> logged = []
        >>> reporter = Reporter(loader, lambda numbers, step: logged.append(step), every=2)
        >>> for step, batch in enumerate(loader):
        ...     reporter.step(step)
        >>> logged
        [0, 2]
    """

    def __init__(
        self, loader: StreamingDataLoader, log: Callable[[dict[str, float], int], object], every: int = 100
    ) -> None:
        self._loader = loader
        self._log = log
        self._every = max(1, every)
        self._before: Report | None = None

    def is_of(self, loader: StreamingDataLoader) -> bool:
        """Say whether it hands on this loader's numbers.

        Example:
            >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
            >>> Reporter(loader, print).is_of(loader)
            True
        """
        return self._loader is loader

    def step(self, step: int) -> None:
        """Note that training has done a step, by its number."""
        if step % self._every:
            return
        report = self._loader.report()
        interval = report if self._before is None else report.since(self._before)
        self._before = report
        self._log(scalars(interval), step)
