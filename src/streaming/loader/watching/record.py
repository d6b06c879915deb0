"""What a loader's batches were waited for: a few numbers noted for each, added up now and then.

Legend: B batches.
"""

from __future__ import annotations

import threading
from itertools import chain
from time import monotonic_ns, time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.process.ledger import CAUSES, HANDOVER, START
from streaming.core.world import Ranks
from streaming.loader.watching.report import Report, Worker

__all__ = ["Record"]

Ints = NDArray[np.int64]

#: Batches after which is added up, and those whose waits are kept for percentiles.
_AT_ONCE, _KEPT = 512, 8192
_MADE = HANDOVER  # causes that whoever makes a batch knows of
_WIDTH = 6 + _MADE
#: What is noted of a batch that nobody has kept a ledger of.
_UNKNOWN = (0,) * (2 + _MADE)


class Record:
    """What one loader has waited for since it was made, over all its iterations.

    Safe to read in one thread while another notes.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may end an iteration at any moment
        self._noted: list[tuple[int, int, int, int, tuple[int, ...]]] = []
        self._causes = np.zeros(len(CAUSES), np.int64)
        self._waits = np.zeros(0, np.int64)
        self._workers = np.zeros((0, 2), np.int64)
        self._batches = self._samples = self._longest = 0
        self._elapsed = 0
        self._since: int | None = None
        self._is_first = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle nothing: a copy of a loader has waited for nothing yet."""
        return Record, ()

    def begin(self) -> None:
        """Note that an iteration begins."""
        self._since = monotonic_ns()
        self._is_first = True

    def add(self, begin: int, end: int, samples: int, worker: int, spent: tuple[int, ...]) -> None:
        """Note a batch that was waited for.

        Args:
            begin: When it was asked for, in nanoseconds of the monotonic clock.
            end: When it was there.
            samples: Samples that were drawn for it.
            worker: Who made it.
            spent: When it was made, and what that took, as the ledger has it.
        """
        noted = self._noted
        noted.append((begin, end, samples, -1 - worker if self._is_first else worker, spent or _UNKNOWN))
        self._is_first = False
        if len(noted) >= _AT_ONCE:
            with self._lock:
                self._add_up()

    def end(self) -> None:
        """Note that the iteration has ended."""
        with self._lock:
            if self._since is not None:
                self._elapsed += monotonic_ns() - self._since
                self._since = None

    def report(self, counts: dict[str, int | float], ranks: Ranks) -> Report:
        """Return what is known by now.

        Args:
            counts: What the dataset has counted.
            ranks: Which rank this process is.
        """
        with self._lock:
            self._add_up()
            since = self._since
            elapsed = self._elapsed + (0 if since is None else monotonic_ns() - since)
            waits = self._waits
            middle, late = np.percentile(waits, (50, 99)) if len(waits) else (0, 0)
            workers = tuple(
                Worker(worker, batches, spent / 1e9) for worker, (batches, spent) in enumerate(self._workers.tolist())
            )
            return Report(
                time(),
                ranks.rank,
                ranks.num_ranks,
                elapsed / 1e9,
                self._batches,
                self._samples,
                {cause: ns / 1e9 for cause, ns in zip(CAUSES, self._causes.tolist(), strict=True)},
                float(middle) / 1e9,
                float(late) / 1e9,
                self._longest / 1e9,
                workers,
                counts,
            )

    def _add_up(self) -> None:
        # Another thread may add to the end of the list meanwhile.
        noted = self._noted[:]
        del self._noted[: len(noted)]
        if not noted:
            return
        numbers = chain.from_iterable(chain(batch[:4], batch[4]) for batch in noted)
        rows = np.fromiter(numbers, np.int64, len(noted) * _WIDTH).reshape(-1, _WIDTH)
        waits = rows[:, 1] - rows[:, 0]
        is_first = rows[:, 3] < 0
        self._causes += _causes(rows, is_first)
        self._batches += len(rows)
        self._samples += int(rows[:, 2].sum())
        self._waits = np.concatenate([self._waits, waits[~is_first]])[-_KEPT:]
        self._longest = max(self._longest, int(waits.max()))
        workers = np.where(is_first, -1 - rows[:, 3], rows[:, 3])
        spans = rows[:, 5] - rows[:, 4]
        found = np.zeros((max(int(workers.max()) + 1, len(self._workers)), 2), np.int64)
        found[: len(self._workers)] = self._workers
        np.add.at(found, workers, np.stack([np.ones_like(spans), spans], axis=1))
        self._workers = found


def _causes(rows: Ints, is_first: NDArray[np.bool_]) -> Ints:
    """Return the nanoseconds of each cause in what batches, ``int64[B, 6 + causes]``, were waited for.

    The part of a wait in which the batch was being made goes to causes as the whole of its making did; what comes after
    is hand-over; what comes before is the beginning of an iteration, or hand-over.
    """
    asked, there, began, made = rows[:, 0], rows[:, 1], rows[:, 4], rows[:, 5]
    before = np.clip(np.minimum(began, there) - asked, 0, None)
    before[made == 0] = 0
    after = there - np.clip(made, asked + before, there)
    during = there - asked - before - after
    total = np.zeros(len(CAUSES), np.int64)
    spans = np.clip(rows[:, 6:], 0, None)
    shares = during / np.maximum(1, spans.sum(axis=1))
    total[:_MADE] = (spans * shares[:, None]).sum(axis=0)
    total[START] += before[is_first].sum()
    total[HANDOVER] = before[~is_first].sum() + after.sum()
    return total
