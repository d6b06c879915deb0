"""Worker processes that run functions for a bulk write, and end with their parent however it ends."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeVar

from streaming.core.errors import ConfigError, WorkerError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["WorkerPool", "default_workers"]

T = TypeVar("T")


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerPool:
    """Runs module-level functions in worker processes, first come, first served.

    All processes are started at once, before this class starts a thread, so that forking them is safe. Each is served
    by a thread of its own over a pipe; when the parent dies, the pipe closes and the worker ends.

    Args:
        workers: Number of processes; 0: one thread of this process instead.
        work: What they do, for the error of one that dies.
        relief: What may help it if memory is short.

    Attributes:
        num_workers: Number of processes.

    Raises:
        ConfigError: The number is negative.
    """

    def __init__(
        self, workers: int, work: str = "the bulk write", relief: str = "use fewer workers or a smaller size_limit"
    ) -> None:
        self.num_workers = workers
        if workers < 0:
            raise ConfigError(f"workers must be at least 0, got {workers}.")
        # Forked workers know encodings that the program registered, and need no guarded main module.
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self._workers: list[_Worker] = []
        try:
            for _ in range(workers):
                self._workers.append(_Worker(context, work, relief))
        except BaseException:
            self._stop()
            self._close()
            raise
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(max(1, workers), thread_name_prefix="streaming-write-worker")

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop the workers; after an exception without waiting for what they do."""
        if kind is not None:
            self._stop()
        self._threads.shutdown(wait=True, cancel_futures=kind is not None)
        self._stop()
        self._close()

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Have a function run in a worker.

        Args:
            function: A module-level function.
            args: Its arguments; they and the result must be picklable.

        Returns:
            What becomes of it. A worker that dies is a ``WorkerError``.
        """
        if not self._workers:
            return self._threads.submit(function, *args)
        return self._threads.submit(self._call, function, args)

    def _call(self, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        worker = self._idle.get()
        try:
            return worker.call(function, args)
        finally:
            self._idle.put(worker)

    def _stop(self) -> None:
        for worker in self._workers:
            worker.stop()

    def _close(self) -> None:
        for worker in self._workers:
            worker.close()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, context: Any, work: str, relief: str) -> None:
        self._work, self._relief = work, relief
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._pipe if context.get_start_method() == "fork" else None), daemon=True
        )
        self._process.start()
        theirs.close()

    def call(self, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            self._pipe.send((function, args))
            succeeded, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(1)
            raise WorkerError(
                f"A worker process of {self._work} has died (exit code {self._process.exitcode}). It may have been "
                f"short of memory: {self._relief}. The same call again continues."
            ) from error
        if succeeded:
            return value
        raise value

    def stop(self) -> None:
        self._process.terminate()
        self._process.join(10)

    def close(self) -> None:
        self._pipe.close()


def _serve(pipe: Connection, parents: Connection | None) -> None:
    """Serve calls until the parent closes its end."""
    # Ctrl-C goes to all processes of a terminal; the parent is the one to handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if parents is not None:
        parents.close()
    while True:
        try:
            function, args = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            reply = True, function(*args)
        except Exception as error:
            reply = False, _portable(error)
        try:
            pipe.send(reply)
        except OSError:
            return


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return WorkerError(f"{type(error).__name__}: {error}")
