"""Worker processes that run functions for a bulk write, and end with their parent however it ends."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import GeneratorType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from streaming.core.errors import ConfigError, WorkerError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["WorkerPool", "default_workers", "portable"]

T = TypeVar("T")


def default_workers() -> int:
    """Return the number of cores that this process may use; 0 in one that may have no processes of its own."""
    if multiprocessing.current_process().daemon:
        return 0
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerPool:
    """Runs module-level functions in worker processes, first come, first served.

    All processes are started at once, before this class starts a thread, so that forking them is safe. Each is served
    by a thread of its own over a pipe; when the parent dies, the pipe closes and the worker ends.

    Args:
        workers: Number of processes; 0: one thread of this process instead.
        work: What they do, for the error of one that dies.
        relief: What may help it if memory is short.
        given: An object that each process keeps, and that each function is called with, before its other arguments.
            Forked processes have it as it is; to spawned ones it is pickled.

    Attributes:
        num_workers: Number of processes.

    Raises:
        ConfigError: The number is negative, or what is given cannot be pickled and must be.
    """

    def __init__(
        self,
        workers: int,
        work: str = "the bulk write",
        relief: str = "use fewer workers or a smaller size_limit",
        given: Any = None,
    ) -> None:
        self.num_workers = workers
        if workers < 0:
            raise ConfigError(f"workers must be at least 0, got {workers}.")
        if workers and multiprocessing.current_process().daemon:
            raise ConfigError(
                f"workers={workers}: a daemonic process, such as one of a multiprocessing.Pool or a DataLoader, may not "
                "start others. Pass workers=0."
            )
        # Forked workers know encodings that the program registered, and need no guarded main module.
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self._workers: list[_Worker] = []
        try:
            for _ in range(workers):
                self._workers.append(_Worker(context, work, relief, given))
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

    def submit_parts(self, function: Callable[..., Iterator[T]], sink: Callable[[T], None], *args: Any) -> Future[None]:
        """Have a generator run in a worker process.

        Args:
            function: A module-level generator function.
            sink: Takes what it yields, in a thread of this process; while it waits, so does the worker.
            args: Its arguments; they and what it yields must be picklable.

        Returns:
            What becomes of it: ``None``, or its error.
        """
        return self._threads.submit(self._call_parts, function, sink, args)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in a worker process, and wait for it in this thread.

        Args:
            function: A module-level function.
            args: Its arguments.

        Raises:
            Exception: What it raised.
        """
        return self._call(function, args)

    def _call_parts(
        self, function: Callable[..., Iterator[T]], sink: Callable[[T], None], args: tuple[Any, ...]
    ) -> None:
        worker = self._idle.get()
        try:
            for part in worker.parts(function, args):
                sink(part)
        finally:
            self._idle.put(worker)

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

    def __init__(self, context: Any, work: str, relief: str, given: Any) -> None:
        self._work, self._relief = work, relief
        self._pipe, theirs = context.Pipe()
        parents = self._pipe if context.get_start_method() == "fork" else None
        self._process = context.Process(target=_serve, args=(theirs, parents, given), daemon=True)
        try:
            self._process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"{given!r} cannot be sent to a worker process ({error}), and processes are spawned here. Make it a "
                "function at the top of a module, or pass workers=0."
            ) from error
        theirs.close()

    def call(self, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        return self._exchange((function, args))

    def parts(self, function: Callable[..., Iterator[T]], args: tuple[Any, ...]) -> Iterator[T]:
        part = self._exchange((function, args))
        while part is not None:
            yield part
            part = self._exchange()

    def _exchange(self, message: Any = None) -> Any:
        """Send a call, if there is one, and return the next answer."""
        try:
            if message is not None:
                self._pipe.send(message)
            succeeded, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(1)
            code = self._process.exitcode
            why = f"It may have been short of memory: {self._relief}"
            if code is not None and code >= 0:
                why = "Something that it called has ended it, such as by os._exit"
            raise WorkerError(
                f"A worker process of {self._work} has died (exit code {code}). {why}. The same call again continues."
            ) from error
        if succeeded:
            return value
        raise value

    def stop(self) -> None:
        self._process.terminate()
        self._process.join(10)

    def close(self) -> None:
        self._pipe.close()


def _serve(pipe: Connection, parents: Connection | None, given: Any) -> None:
    """Serve calls until the parent closes its end."""
    # Ctrl-C goes to all processes of a terminal; the parent is the one to handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if parents is not None:
        parents.close()
    first = () if given is None else (given,)
    while True:
        try:
            function, args = pipe.recv()
        except (EOFError, OSError):
            return
        for reply in _answers(function, (*first, *args)):
            try:
                pipe.send(reply)
            except OSError:
                return


def _answers(function: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[tuple[bool, Any]]:
    """Yield what to answer: a result; of a generator its parts, and then ``None``; or an error."""
    try:
        result = function(*args)
        if isinstance(result, GeneratorType):
            yield from ((True, part) for part in cast("Iterator[Any]", result))
            result = None
        yield True, result
    except Exception as error:
        yield False, portable(error)


def portable(error: Exception) -> Exception:
    """Return an error that can be sent."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return WorkerError(f"{type(error).__name__}: {error}")
