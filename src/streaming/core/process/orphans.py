"""Workers end when the process that started them is gone, however it went.

A ``DataLoader`` worker whose main process was killed notices within seconds and wants to end, but first waits until its last
batches are taken from a pipe that nobody reads any more, and so may stay for ever.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
import time

__all__ = ["end_with_parent"]

_GRACE_S = 8.0
_watching: set[int] = set()


def end_with_parent() -> None:
    """Have this process end a few seconds after the one that started it with ``multiprocessing``."""
    parent = multiprocessing.parent_process()
    if parent is None or os.getpid() in _watching:
        return
    _watching.add(os.getpid())
    sentinel = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([sentinel])
        time.sleep(_GRACE_S)  # enough to end in good order, if it can
        os._exit(1)

    threading.Thread(target=watch, name="streaming-parent", daemon=True).start()
