"""What the time goes to in which a thread makes a batch: a ledger for each thread, always kept.

One thing is done at a time; what is entered next ends what was done before. What costs little for a batch is noted for
each; what would cost much for each sample, for some batches only, or where samples take long, and taken to be alike in the
others.
"""

from __future__ import annotations

import threading
from time import monotonic_ns

__all__ = [
    "CAUSES",
    "COLLATE",
    "DECODE",
    "HANDOVER",
    "HINT",
    "LEDGERS",
    "OTHER_PROCESS",
    "QUEUE",
    "START",
    "STORE",
    "USER",
    "Ledger",
]

#: What a batch is waited for: bytes on their way; a shard's turn; another process that fetches the same file; reading and
#: decoding samples; a function of the user's; collating; once for each iteration, what it takes
#: to begin; the way from who made it to who gets it.
CAUSES: tuple[str, ...] = ("store", "queue", "other_process", "decode", "user", "collate", "start", "handover")
STORE, QUEUE, OTHER_PROCESS, DECODE, USER, COLLATE, START, HANDOVER = range(len(CAUSES))

#: Of so many batches one is looked at closely, where a sample takes less than so long.
_EVERY = 256
_SLOW_SAMPLE_NS = 500_000
#: The first batches, which have more to do than others, tell little of them.
_FIRST = 3
_MADE = HANDOVER  # causes that whoever makes a batch knows of


class Hint:
    """Whether samples may be looked at one by one in some thread: quicker to ask than a thread's own ledger."""

    __slots__ = ("is_close",)

    def __init__(self) -> None:
        self.is_close = False


class Ledger:
    """What one thread does.

    Attributes:
        is_closed: Whether no batch is being made.
        is_close: Whether samples are looked at one by one, for the present batch.
        asks: Whether who gives samples is to say what it does: either of the two.
    """

    __slots__ = ("_at", "_batches", "_began", "_cause", "_is_slow", "_ns", "_of_user", "asks", "is_close", "is_closed")

    def __init__(self) -> None:
        self.is_closed = self.asks = True
        self.is_close = False
        self._ns: list[int] = [0] * _MADE
        self._cause = DECODE
        self._at = self._began = monotonic_ns()
        self._batches = 0
        self._is_slow = False
        self._of_user = 0.0

    def begin(self, is_first: bool = False) -> None:
        """Note that a batch begins to be made, the first of an iteration perhaps."""
        if is_first:
            self._batches = 0
        self._ns = [0] * _MADE
        self._cause = START if is_first else DECODE
        self._at = self._began = monotonic_ns()
        self.is_closed = self.is_close = False
        self.asks = self._is_slow or self._batches < _FIRST or self._batches % _EVERY == 0
        if self.asks:
            self.is_close = HINT.is_close = True

    def go_on(self) -> None:
        """Note that another sample is asked for."""
        if self.is_closed:
            self.begin()
        else:
            self.enter(DECODE)

    def enter(self, cause: int) -> int:
        """Note that something else is done from now on; return what was done before, to go back to."""
        now, before = monotonic_ns(), self._cause
        self._ns[before] += now - self._at
        self._at, self._cause = now, cause
        return before

    def move(self, cause: int, ns: int) -> None:
        """Count a part of what is done now, that has just gone by, as something else."""
        self._ns[cause] += ns
        self._ns[self._cause] -= ns

    def take(self, samples: int, usual: int = DECODE) -> tuple[int, ...]:
        """Note that a batch is made.

        Args:
            samples: How many it has.
            usual: What samples take where their dataset does not say: ``DECODE`` or ``USER``.

        Returns:
            When it began and when it was made, in nanoseconds of the monotonic clock, and what was spent meanwhile on each
            of ``CAUSES`` but hand-over.
        """
        now, ns = monotonic_ns(), self._ns
        ns[self._cause] += now - self._at
        made = ns[DECODE] + ns[USER]
        if usual != DECODE:
            ns[DECODE], ns[USER] = 0, made
        elif self.is_close:
            self._of_user = ns[USER] / max(1, made)
        elif self._of_user:
            ns[USER] = int(made * self._of_user)
            ns[DECODE] = made - ns[USER]
        self._is_slow = made > _SLOW_SAMPLE_NS * samples
        self._batches += 1
        taken = (self._began, now, *ns)
        self._ns, self._cause = [0] * _MADE, DECODE
        self._began = self._at = now
        self.is_closed = self.asks = True
        if self.is_close:
            self.is_close = HINT.is_close = False
        return taken

    def rest(self) -> None:
        """Note that no batch is being made."""
        self.is_closed = self.asks = True
        self.is_close = HINT.is_close = False


class Ledgers(threading.local):
    """Ledgers of all threads.

    Attributes:
        own: This thread's.
    """

    def __init__(self) -> None:
        self.own = Ledger()


HINT = Hint()
LEDGERS = Ledgers()
