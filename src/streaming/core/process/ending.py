"""What threads do in foreign code when the process ends: they are waited for, since some of that code would abort it."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["finished_before_the_end"]

_LIMIT_S = 5.0


class _Work:
    """What is under way in this process."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.changed = threading.Condition()
        self.under_way = 0
        self.is_ending = False

    def end(self) -> None:
        with self.changed:
            self.is_ending = True
            self.changed.wait_for(lambda: not self.under_way, _LIMIT_S)


_work = _Work()
# A fork copies what is under way in threads that it does not copy.
os.register_at_fork(after_in_child=_work.renew)
atexit.register(_work.end)


@contextmanager
def finished_before_the_end() -> Iterator[None]:
    """Have the end of the process wait for this block of code, some seconds at most.

    Raises:
        RuntimeError: The process is ending: nothing is begun any more.

    Example:
        >>> with finished_before_the_end():
        ...     pass  # what a thread does that nobody joins
    """
    with _work.changed:
        if _work.is_ending:
            raise RuntimeError("this process is exiting")
        _work.under_way += 1
    try:
        yield
    finally:
        with _work.changed:
            _work.under_way -= 1
            _work.changed.notify_all()
