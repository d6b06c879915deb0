"""How far this process is in its own iteration, for those who ask the dataset rather than a loader that counts."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.dataset.epoch.epochs import Start
from streaming.order.queries.plan import WorkerIds

__all__ = ["Progress", "Reach", "after"]


class Progress:
    """Samples that this process has yielded in its present iteration.

    Attributes:
        start: Where the iteration started, ``None`` before any.
        yielded: Samples yielded since, those of a restored worker included.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self.start: Start | None = None
        self.yielded = 0
        self._restored = 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle nothing: another process has its own progress."""
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin at nothing."""
        self._reset()

    def own(self) -> Progress:
        """Return this, at nothing if it was forked from another process."""
        if self._pid != os.getpid():
            self._reset()
        return self

    def restore(self, yielded: int) -> None:
        """Have the next iteration begin after as many samples of this worker's."""
        self._restored = yielded

    def begin(self, start: Start, ids: WorkerIds) -> WorkerIds:
        """Note where an iteration starts; return what is left of its ids."""
        restored, self._restored = self._restored, 0
        self.start, self.yielded = start, restored
        return after(ids, restored)


class Reach:
    """How far a loader is in an iteration.

    Args:
        start: Where the iteration began.
        ahead: Batches that its workers may have begun beyond those that it has received.

    Attributes:
        start: Where the iteration began.
        ahead: Those batches.
        batches: Batches that it has received.
    """

    def __init__(self, start: Start, ahead: int) -> None:
        self.start = start
        self.ahead = ahead
        self.batches = 0


def after(ids: WorkerIds, done: int) -> WorkerIds:
    """Return the slots of a worker after those that it does not serve again."""
    return _After(ids, done) if done else ids


class _After:
    """The slots after the first few, which hold no padding."""

    def __init__(self, ids: WorkerIds, skipped: int) -> None:
        self._ids = ids
        self._skipped = min(skipped, len(ids))

    def __len__(self) -> int:
        return len(self._ids) - self._skipped

    def ids(self, start: int, stop: int) -> NDArray[np.int64]:
        return self._ids.ids(start + self._skipped, min(stop, len(self)) + self._skipped)
