"""Ctrl-C at moments when Python would lose it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["deferred_interrupts", "redeliver_interrupt"]

_MOMENT_S = 0.01


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Have an interrupt of this process wait until the end of the block.

    While a process is forked, Python runs functions that modules have registered for that, and only prints what they raise:
    a ``KeyboardInterrupt`` that happens to come then is lost. Keep the block short.

    In other threads than the main one, which get no interrupts, and where the program ignores them or deals with them
    outside of Python, nothing changes.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    process, came = os.getpid(), list[FrameType | None]()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            came.append(frame)
        else:  # a forked child has this handler too
            usual(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, usual)
        if came:
            usual(signal.SIGINT, came[-1])


def redeliver_interrupt() -> None:
    """Have an interrupt that was caught come again a moment later.

    For what catches it where exceptions go nowhere: ``__del__``, callbacks of weak references.
    """
    with suppress(RuntimeError):  # the interpreter is ending, as it was asked to
        threading.Timer(_MOMENT_S, os.kill, (os.getpid(), signal.SIGINT)).start()
