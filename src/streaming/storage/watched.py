"""Waiting for code that may never answer, for so long and no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from streaming.core.errors import StalledError

__all__ = ["watched", "within"]

T = TypeVar("T")

# Items made before they are asked for.
_AHEAD = 2


def watched(items: Callable[[], Iterator[T]], stall_s: float) -> Iterator[T]:
    """Yield what an iterator in a thread yields.

    The thread is left alone when an item does not come in time: there is no way to stop it, but nobody takes what it
    makes.

    Args:
        items: Makes the iterator, in that thread.
        stall_s: Longest wait for an item, in seconds.

    Raises:
        StalledError: None came for so long.
    """
    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    room = threading.Semaphore(_AHEAD)
    stopped = threading.Event()

    def run() -> None:
        try:
            for item in items():
                made.put((True, item))
                room.acquire()
                if stopped.is_set():
                    return
            made.put((False, None))
        except BaseException as error:
            made.put((False, error))

    threading.Thread(target=run, daemon=True, name="streaming-store").start()
    try:
        while True:
            try:
                is_item, value = made.get(timeout=stall_s)
            except Empty:
                raise StalledError(f"nothing came for {stall_s:g} s") from None
            if is_item:
                yield value
                room.release()
            elif value is None:
                return
            else:
                raise value
    finally:
        stopped.set()
        room.release()


def within(limit_s: float, call: Callable[[], T]) -> T:
    """Return what a call returns, in a thread.

    Args:
        limit_s: Longest time for it, in seconds.
        call: What to do.

    Raises:
        StalledError: It took longer.
    """

    def items() -> Iterator[T]:
        yield call()

    for result in watched(items, limit_s):
        return result
    raise AssertionError("unreachable")
