"""Work on many files at a time, that ends soon when it is interrupted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

__all__ = ["in_parallel"]

T = TypeVar("T")
R = TypeVar("R")

# What is under way when the user interrupts is given this long to end well.
_GRACE_S = 1.0


def in_parallel(work: Callable[[T], R], items: Iterable[T], jobs: int) -> Generator[R, None, None]:
    """Yield the result of each item, in order.

    After a failure, what is under way is waited for, and nothing more is begun. After an interruption it is not: its
    threads end with the process.

    Args:
        work: What to do with an item.
        items: The items.
        jobs: How many at a time.
    """
    todo: SimpleQueue[tuple[Future[R], T]] = SimpleQueue()
    futures: list[Future[R]] = []
    for item in items:
        futures.append(Future())
        todo.put((futures[-1], item))
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set():
            try:
                future, item = todo.get_nowait()
            except Empty:
                return
            try:
                future.set_result(work(item))
            except BaseException as error:
                future.set_exception(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(jobs, len(futures)))]
    for thread in threads:
        thread.start()
    limit_s: float | None = _GRACE_S
    try:
        for future in futures:
            yield future.result()
    except Exception:
        limit_s = None
        raise
    finally:
        stopped.set()
        deadline = None if limit_s is None else time.monotonic() + limit_s
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
