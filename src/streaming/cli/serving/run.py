"""The page of a run: what its ranks have written of themselves by now, and of the last minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from starlette.requests import Request

from streaming.cli.serving.bins import number
from streaming.core.errors import ObjectNotFoundError
from streaming.core.process.ledger import CAUSES
from streaming.loader.watching.files import Written, are_behind, read_files
from streaming.loader.watching.report import Report

__all__ = ["Run"]

_ROWS = 64
_MOST_TOLD = 20
_FRESH_S, _WINDOW_S, _OLD_S = 1.0, 30.0, 300.0

#: What a wait for each cause is about, and what makes it shorter.
_HELP = {
    "store": ("bytes on their way", "a larger predownload, a nearer store, smaller samples, a cache that is kept"),
    "queue": ("all download threads were busy", "more workers, fewer streams, shards of 50 to 100 MB"),
    "other_process": ("another process fetched the same file", "a larger predownload"),
    "decode": ("samples were read and decoded", "more workers, columns that decode faster"),
    "user": ("functions of yours", "more workers, a faster function, or do it once as you convert"),
    "collate": ("batches were put together", "more workers, fewer columns"),
    "start": ("an iteration began", "persistent_workers=True"),
    "handover": ("batches were on their way to the loop", "fewer or smaller tensors, fewer workers than cores"),
}


class Part(NamedTuple):
    """A part of a bar: what was waited for, from where to where in percent of the time."""

    cause: str
    begin: float
    width: float


@dataclass(frozen=True)
class Rank:
    """A rank as the page shows it.

    Attributes:
        host: Where it runs.
        state: ``'runs'``, ``'ended'``, or for how long it has said nothing.
        report: Of the last minute where that is known, else since it began.
        samples: Since it began.
        parts: The bar of its waits.
        is_behind: Whether it waits for its data more than most do.
    """

    host: str
    state: str
    report: Report
    samples: int
    parts: Sequence[Part]
    is_behind: bool


class Run:
    """Makes the page.

    Args:
        folder: What the run's loaders were given as ``report_to``; ``None``: nobody asks about a run.
    """

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._known: tuple[Sequence[Written], Sequence[str]] = (), ()
        self._read_at = float("-inf")
        self._kept: dict[tuple[str, int], list[Report]] = {}

    def run(self, request: Request) -> dict[str, Any]:
        """Show how a run does.

        Raises:
            ObjectNotFoundError: The server was given no folder of reports.
        """
        if self.folder is None:
            raise ObjectNotFoundError("No run is watched. Give the folder of its reports: `--reports FOLDER`.")
        with self._lock:
            if time.monotonic() >= self._read_at + _FRESH_S:
                self._known = read_files(self.folder)
                self._keep(self._known[0])
                self._read_at = time.monotonic()
            now, (found, wrong) = time.time(), self._known
            windows = [self._window(written, now) for written in found]
        behind = are_behind([report.share for report in windows])
        ranks = sorted(
            (
                Rank(
                    _host(written),
                    _state(written, now),
                    report,
                    written.report.samples,
                    _parts(report.causes, report.seconds),
                    late,
                )
                for written, report, late in zip(found, windows, behind, strict=True)
            ),
            key=lambda rank: rank.report.rank,
        )
        at = number(request, "at", 0, max(0, len(ranks) - 1))
        return {
            "folder": self.folder, "is_there": Path(self.folder).is_dir(), "ranks": ranks[at : at + _ROWS],
            "count": len(ranks), "at": at, "step": _ROWS, "total": _total(ranks, found, windows),
            "behind": [(rank.report.rank, place) for place, rank in enumerate(ranks) if rank.is_behind][:_MOST_TOLD],
            "num_behind": sum(behind), "wrong": [text[:300] for text in wrong[:_MOST_TOLD]], "num_wrong": len(wrong),
            "is_still": "still" in request.query_params, "time": time.strftime("%H:%M:%S"),
        }  # fmt: skip

    def _keep(self, found: Sequence[Written]) -> None:
        """Note what ranks said, as far back as the window needs it."""
        kept: dict[tuple[str, int], list[Report]] = {}
        for written in found:
            report = replace(written.report, workers=(), counts={})
            past = [one for one in self._kept.get(_key(written), []) if report.time - one.time < _OLD_S]
            if past and (report.batches < past[-1].batches or report.seconds < past[-1].seconds):
                past = []  # another loader
            if not past or report.time >= past[-1].time + _WINDOW_S:
                past = [*past[-1:], report]
            kept[_key(written)] = past
        self._kept = kept

    def _window(self, written: Written, now: float) -> Report:
        """Return what a rank did of late, the whole where no more is known."""
        report = written.report
        earlier = self._kept[_key(written)][0]
        is_late = report.seconds > earlier.seconds and _state(written, now) != "ended"
        return report.since(earlier) if is_late else report


def _key(written: Written) -> tuple[str, int]:
    pid = written.known.get("pid")
    return written.name, pid if isinstance(pid, int) else 0


def _host(written: Written) -> str:
    return str(written.known.get("host", ""))[:60]


def _state(written: Written, now: float) -> str:
    every = written.known.get("every")
    silent = now - written.report.time
    if silent < 3 * (every if isinstance(every, (int, float)) else 5):
        return "runs"  # perhaps from one iteration to the next
    return f"silent for {_span(silent)}" if written.known.get("is_running") is True else "ended"


def _span(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds:,.0f} s"


def _parts(causes: Mapping[str, float], seconds: float) -> list[Part]:
    """Return the bar of what was waited for in so many seconds."""
    widths = [100 * max(0.0, causes.get(cause, 0.0)) / (seconds or 1.0) for cause in CAUSES]
    scale = 100 / max(100.0, sum(widths))
    begins = accumulate(widths, initial=0.0)
    return [
        Part(cause, begin * scale, width * scale)
        for cause, begin, width in zip(CAUSES, begins, widths, strict=False)
        if width
    ]


def _total(ranks: Sequence[Rank], found: Sequence[Written], windows: Sequence[Report]) -> dict[str, Any]:
    """Return the numbers of all ranks together."""
    if not ranks:
        return {}
    running = [rank for rank in ranks if rank.state == "runs"]
    of = [rank.report for rank in running or ranks]
    seconds = sum(report.seconds for report in of) or 1.0
    shares = {cause: sum(report.causes.get(cause, 0.0) for report in of) / seconds for cause in CAUSES}
    rows = [(cause, share, *_HELP[cause]) for cause, share in shares.items()]
    is_late = any(report is not written.report for report, written in zip(windows, found, strict=True))
    return {
        "running": len(running), "silent": sum(rank.state.startswith("silent") for rank in ranks),
        "num_ranks": max(len(ranks), *(report.num_ranks for report in of)),
        "samples_per_second": sum(report.samples_per_second for report in of),
        "batches_per_second": median(report.batches_per_second for report in of),
        "share": sum(shares.values()), "rows": sorted(rows, key=lambda row: -row[1]),
        "parts": _parts(shares, 1.0), "p50": median(report.p50 for report in of), "p99": max(report.p99 for report in of),
        "window": _span(median(report.seconds for report in of)) if is_late else "",
    }  # fmt: skip
