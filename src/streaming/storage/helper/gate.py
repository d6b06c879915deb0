"""How many requests to one store a process has under way: at most so many, and fewer while the store asks to slow down.

Each request that is throttled halves the number, once for all those that were under way together; each that succeeds
gives a little back, so that after some rounds it is what it was. Every process has its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from streaming.core.errors import ThrottledError

__all__ = ["MAX_CONCURRENCY", "Gate", "gate_of"]

#: Requests to one store that a process has under way, unless the option ``max_concurrency`` says otherwise.
MAX_CONCURRENCY = 64

_WAIT_S = 600.0


class Gate:
    """Lets operations through, so many at a time.

    Args:
        most: That number, at least 1.
        wait_s: Longest wait for a turn, in seconds.
    """

    def __init__(self, most: int, wait_s: float = _WAIT_S) -> None:
        self._most = most
        self._wait_s = wait_s
        self._limit = float(most)
        self._active = 0
        self._cuts = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many it lets through at the moment."""
        return max(1, int(self._limit))

    @contextmanager
    def turn(self, url: str, count: int = 1) -> Iterator[int]:
        """Wait for a turn, and have it; or several, as many as there are.

        Args:
            url: What it is for, fit to be shown.
            count: How many are wanted.

        Yields:
            How many were had.

        Raises:
            ThrottledError: No turn came.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._active < self.limit, self._wait_s):
                raise ThrottledError(
                    f"{url}: waited {self._wait_s:g} s for one of {self.limit} requests to this store to end. Use fewer "
                    "workers, or give the storage option max_concurrency."
                )
            had = min(count, self.limit - self._active)
            self._active += had
            cuts = self._cuts
        throttled = ended_well = False
        try:
            yield had
            ended_well = True
        except ThrottledError:
            throttled = True
            raise
        finally:
            with self._changed:
                self._active -= had
                if ended_well:
                    self._limit = min(self._most, self._limit + 1 / self._limit)
                elif throttled and cuts == self._cuts:
                    self._cuts += 1
                    self._limit = max(1.0, self._limit / 2)
                self._changed.notify_all()


_gates: dict[tuple[str, int], Gate] = {}


def gate_of(store: str, most: int) -> Gate:
    """Return this process's gate to a store.

    Args:
        store: Scheme and host, or bucket.
        most: As for :class:`Gate`.
    """
    return _gates.setdefault((store, most), Gate(most))


# A fork copies gates in use by threads that it does not copy.
os.register_at_fork(after_in_child=_gates.clear)
