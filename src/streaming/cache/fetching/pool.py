"""A few background threads that do the most urgent job first."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future

__all__ = ["UrgentFirst"]


class UrgentFirst:
    """Runs keyed jobs in background threads, lowest deadline first, each key once at a time.

    The threads are daemons: a job stuck in the kernel cannot keep the interpreter from exiting. The owner calls
    :meth:`close`, or has :meth:`stop` called when it is collected.

    Args:
        num_threads: Jobs that run at once.
        name: Prefix of the threads' names.
    """

    def __init__(self, num_threads: int, name: str) -> None:
        self._num_threads = num_threads
        self._name = name
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Hashable]] = []
        self._jobs: dict[Hashable, tuple[float, Callable[[float], bool], Future[bool]]] = {}
        self._threads: list[threading.Thread] = []
        self._order = itertools.count()
        self._idle = 0
        self._closed = False
        self._pid = os.getpid()

    def submit(self, key: Hashable, deadline: float, job: Callable[[float], bool]) -> Future[bool]:
        """Have ``job`` run; if its key is waiting or running already, make that no less urgent.

        Args:
            key: What the job is about.
            deadline: Lower runs earlier.
            job: Called once in a background thread, with the lowest deadline that it was submitted with.

        Returns:
            A future that ends with the job's result, or with its exception if it raised one; it is cancelled if the pool is
            closed before the job begins.
        """
        with self._changed:
            if self._closed:
                late: Future[bool] = Future()
                late.cancel()
                return late
            known = self._jobs.get(key)
            if known is not None:
                if deadline < known[0]:
                    self._jobs[key] = (deadline, known[1], known[2])
                    heapq.heappush(self._heap, (deadline, next(self._order), key))
                return known[2]
            future: Future[bool] = Future()
            self._jobs[key] = (deadline, job, future)
            heapq.heappush(self._heap, (deadline, next(self._order), key))
            if not self._idle and len(self._threads) < self._num_threads:
                thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()
            return future

    def pending(self) -> int:
        """Number of jobs waiting or running."""
        with self._changed:
            return len(self._jobs)

    def close(self, timeout_s: float = 5.0) -> None:
        """Drop the jobs that wait and let those that run end, for at most ``timeout_s`` each thread."""
        self.stop()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout_s)

    def stop(self) -> None:
        """Drop the jobs that wait and have the threads end after those that run; returns at once."""
        if self._pid != os.getpid():
            return  # the threads are the parent's, and the lock may be held forever in this copy
        with self._changed:
            self._closed = True
            self._heap.clear()
            for _, _, future in self._jobs.values():
                future.cancel()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            taken = self._take()
            if taken is None:
                return
            key, deadline, job, future = taken
            error: BaseException | None = None
            result = False
            try:
                result = job(deadline)
            except BaseException as raised:
                error = raised
            if error is not None:  # first, so that who asks amid this hears of it too, rather than beginning again
                future.set_exception(error)
            with self._changed:
                self._jobs.pop(key, None)
            if error is None:
                future.set_result(result)
            del job, future, error, taken

    def _take(self) -> tuple[Hashable, float, Callable[[float], bool], Future[bool]] | None:
        with self._changed:
            while True:
                taken = self._most_urgent()
                if taken is not None or self._closed:
                    return taken
                self._idle += 1
                try:
                    self._changed.wait()
                finally:
                    self._idle -= 1

    def _most_urgent(self) -> tuple[Hashable, float, Callable[[float], bool], Future[bool]] | None:
        # A method of its own: a thread that waits must not hold on to a job in a variable.
        while self._heap:
            _, _, key = heapq.heappop(self._heap)
            known = self._jobs.get(key)
            # A key that was made more urgent is in the heap twice, and runs once.
            if known is None or known[2].running() or known[2].done():
                continue
            if known[2].set_running_or_notify_cancel():
                return key, *known
            self._jobs.pop(key)
        return None
