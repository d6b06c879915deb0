"""What happened, counted over a dataset object and its workers, for the main process to read."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np

from streaming.core.anonymous import AnonymousFile
from streaming.core.process.holder import is_running
from streaming.core.process.lock import locked_record

__all__ = ["PHASES", "Counters", "Phases"]

#: What a fetch does from when it is asked for: wait for a free download thread, wait for another process that fetches the
#: same file, move (and hash and decompress) bytes, wait before another attempt.
PHASES: tuple[str, ...] = ("queue", "other_process", "download", "backoff")

_NAMES = (
    "samples",
    "bytes_fetched",
    "files_fetched",
    "retries",
    "throttled",
    "corrupt",
    "evictions",
    "bytes_evicted",
    "waits",
    "wait_ns",
    *(f"wait_ns_{phase}" for phase in PHASES),
    "substituted_samples",
)
_COLUMN = {name: 1 + i for i, name in enumerate(_NAMES)}
_ROWS = 256


class _Guard:
    """Held by the thread that counts. A forked process has one of its own, or it might inherit it held."""

    lock = threading.Lock()

    @classmethod
    def renew(cls) -> None:
        cls.lock = threading.Lock()


os.register_at_fork(after_in_child=_Guard.renew)


class Counters:
    """Sums that only grow, in memory that a dataset object shares with its workers.

    A process adds to a row of its own, so that none waits for another; the row of one that ended is taken over by the next,
    with what it holds.
    """

    def __init__(self) -> None:
        self._file = AnonymousFile(8 * _ROWS * (1 + len(_NAMES)), "counters")
        self._attach()

    def _attach(self) -> None:
        buffer: Any = self._file.map()
        rows = np.frombuffer(buffer, np.int64, offset=AnonymousFile.OFFSET)
        self._table = rows.reshape(_ROWS, 1 + len(_NAMES))
        self._row = self._table[0]
        self._pid = 0

    def __getstate__(self) -> dict[str, Any]:
        """Name the memory."""
        return {"file": self._file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Share the same counters."""
        self._file = state["file"]
        self._attach()

    def add(self, **amounts: int) -> None:
        """Add to this process's counters.

        Args:
            **amounts: What to add, by counter.
        """
        with _Guard.lock:
            if self._pid != os.getpid():
                self._row = self._claim()
                self._pid = os.getpid()
            for name, amount in amounts.items():
                self._row[_COLUMN[name]] += amount

    def totals(self) -> dict[str, int]:
        """Return the sums over all processes, by name."""
        sums = self._table.sum(axis=0).tolist()
        return {name: sums[column] for name, column in _COLUMN.items()}

    def _claim(self) -> Any:
        with locked_record(self._file.fd, "the counters that a dataset shares with its workers"):
            for row in self._table:
                if row[0] in (0, os.getpid()) or not is_running(int(row[0])):
                    row[0] = os.getpid()
                    return row
            return self._table[-1]


class Phases:
    """When one fetch was in which of :data:`PHASES`."""

    def __init__(self) -> None:
        self._marks: list[tuple[str, int]] = [("queue", time.monotonic_ns())]

    def enter(self, phase: str) -> None:
        """Note that a phase begins."""
        self._marks.append((phase, time.monotonic_ns()))

    @property
    def current(self) -> str:
        """The phase that it is in."""
        return self._marks[-1][0]

    def within(self, begin_ns: int, end_ns: int) -> dict[str, int]:
        """Return the nanoseconds of each phase in a time span of the monotonic clock."""
        spent: dict[str, int] = dict.fromkeys(PHASES, 0)
        ends = [at for _, at in self._marks[1:]] + [end_ns]
        for (phase, start), end in zip(self._marks, ends, strict=True):
            spent[phase] += max(0, min(end, end_ns) - max(start, begin_ns))
        return spent
