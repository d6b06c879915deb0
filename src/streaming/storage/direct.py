"""Run operations in this process.

The client's asynchronous interface runs on one event loop in one thread, so that every wait has a deadline, a request
that was given up is cancelled, and Ctrl-C is not held up by the network.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import selectors
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, wait
from typing import Any, TypeVar

from streaming.core.errors import StalledError, StreamingError
from streaming.storage.failures import failure
from streaming.storage.operations import CALLS, STREAMS
from streaming.storage.spec import ClientSpec

__all__ = ["Direct"]

T = TypeVar("T")

_THREADS = "TOKIO_WORKER_THREADS"
_MAX_CLIENTS = 64
_END = object()


class Direct:
    """Clients and the loop they run on. Belongs to the process that makes it; see ``runtime``.

    Args:
        adopt_environ: Build each client with the variables it was described with, not those of this process.
    """

    def __init__(self, adopt_environ: bool = False) -> None:
        self._adopt_environ = adopt_environ
        self._lock = threading.Lock()
        self._clients: OrderedDict[bytes, Any] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def call(self, spec: ClientSpec, name: str, path: str, *args: Any, timeout_s: float) -> Any:
        """Run an operation that gives one answer.

        Args:
            spec: The client.
            name: A name in ``operations.CALLS``.
            path: The object.
            *args: The operation's other arguments.
            timeout_s: Longest time for all of it, in seconds.

        Raises:
            StorageError: It failed, or took longer.
        """
        client = self._client(spec)
        return self._wait(self._submit(CALLS[name](client, path, *args)), spec, path, timeout_s)

    def stream(self, spec: ClientSpec, name: str, path: str, *args: Any, stall_s: float) -> Iterator[Any]:
        """Run an operation that gives items one after another; the next is under way while one is used.

        Args:
            spec: The client.
            name: A name in ``operations.STREAMS``.
            path: The object, or the prefix.
            *args: The operation's other arguments.
            stall_s: Longest time for the next item, in seconds.

        Yields:
            The items.

        Raises:
            StorageError: It failed, or stalled.
        """
        client = self._client(spec)
        items = STREAMS[name](client, path, *args)
        pending = self._submit(_next(items))
        try:
            while True:
                item = self._wait(pending, spec, path, stall_s)
                if item is _END:
                    return
                pending = self._submit(_next(items))
                yield item
        finally:
            pending.cancel()

    def close(self) -> None:
        """Cancel what is under way and end the thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            self._clients.clear()
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)

    def forget(self) -> None:
        """Let go of what a fork has inherited: the threads are gone, and clients without them hang."""
        self._lock = threading.Lock()
        self._loop = self._thread = None

    def _client(self, spec: ClientSpec) -> Any:
        key = spec.key()
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                if self._adopt_environ:
                    spec.adopt_environ()
                client = self._clients[key] = _built(spec)
                if len(self._clients) > _MAX_CLIENTS:
                    self._clients.popitem(last=False)
            self._clients.move_to_end(key)
            return client

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        with self._lock:
            if self._loop is None:
                self._loop = self._start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _start(self) -> asyncio.AbstractEventLoop:
        # The client's runtime starts on first use with a thread for every core, in every worker: cap it.
        os.environ.setdefault(_THREADS, "2")
        # Poll keeps no state in the kernel, which a fork would share with the child.
        loop = asyncio.SelectorEventLoop(selectors.PollSelector())
        self._thread = threading.Thread(target=_serve, args=(loop,), name="streaming-storage", daemon=True)
        self._thread.start()
        atexit.register(self.close)
        return loop

    @staticmethod
    def _wait(pending: Future[T], spec: ClientSpec, path: str, timeout_s: float) -> T:
        done, _ = wait([pending], timeout_s)
        if not done:
            pending.cancel()
            where = f"{spec.url}/{path}" if path else spec.url
            raise StalledError(f"{where}: nothing came for {timeout_s:g} s.")
        try:
            return pending.result()
        except (Exception, CancelledError) as error:
            raise failure(error, spec, path) from None


def _built(spec: ClientSpec) -> Any:
    try:
        return spec.build()
    except StreamingError:
        raise
    except Exception as error:
        raise failure(error, spec, "") from None


async def _next(items: AsyncIterator[Any]) -> Any:
    try:
        return await items.__anext__()
    except StopAsyncIteration:
        return _END


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=2.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
