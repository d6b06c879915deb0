"""A place where the processes of a node wait for each other."""

from __future__ import annotations

import os
import time

import numpy as np

from streaming.base.constant import TICK
from streaming.base.shared.array import SharedArray
from streaming.core.errors import WorkerError
from streaming.core.process.lock import locked_path

__all__ = ["SharedBarrier"]

TIMEOUT = 3600.0


class SharedBarrier:
    """A barrier that can be used any number of times.

    Args:
        filelock_path: Path of a file to lock; made if it is not there.
        shm_name: Name of the shared memory that counts who is here.
        timeout_s: Longest wait in seconds.

    Example:
        >>> barrier = SharedBarrier('barrier.lock', 'example_barrier')
        >>> barrier(num_procs=1)
    """

    def __init__(self, filelock_path: str, shm_name: str, timeout_s: float = TIMEOUT) -> None:
        self.filelock_path = filelock_path
        self.timeout_s = timeout_s
        os.makedirs(os.path.dirname(os.path.abspath(filelock_path)), exist_ok=True)
        os.close(os.open(filelock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._state = SharedArray(2, np.int64, shm_name)  # who is here; how often all were

    def __call__(self, num_procs: int) -> None:
        """Wait until a number of processes is here.

        Args:
            num_procs: How many.

        Raises:
            WorkerError: (a ``RuntimeError``) They did not come in time.
        """
        with locked_path(self.filelock_path):
            turn = int(self._state[1])
            self._state[0] += 1
            if self._state[0] >= num_procs:
                self._state[0] = 0
                self._state[1] = turn + 1
        deadline = time.monotonic() + self.timeout_s
        while self._state[1] == turn:
            if time.monotonic() > deadline:
                raise WorkerError(
                    f"Only {int(self._state[0])} of {num_procs} processes came to the barrier {self.filelock_path} within "
                    f"{self.timeout_s:g} s. One of them has died or is stuck elsewhere."
                )
            time.sleep(TICK)
