"""Run operations in this process, in the thread that asks."""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from streaming.core.errors import StreamingError, UnavailableError
from streaming.storage.helper.failures import failure
from streaming.storage.helper.operations import CALLS, STREAMS, operation
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.network import share_ca_bundle

__all__ = ["Direct"]

_MAX_CLIENTS = 64
_EXIT_S = 2.0


class Direct:
    """Clients and what is under way with them. Belongs to the process that makes it; see ``runtime``.

    Args:
        adopt_environ: Build each client with the variables it was described with, not those of this process.
        built: Clients that are built already, and that nobody has used, by the keys of their specs.
    """

    def __init__(self, adopt_environ: bool = False, built: Mapping[bytes, Any] | None = None) -> None:
        self._adopt_environ = adopt_environ
        self._built = built or {}
        self._condition = threading.Condition()
        self._clients: OrderedDict[bytes, Any] = OrderedDict()
        self._under_way = 0
        self._closing = False
        # The client's threads start on first use, one for every core, in every worker: cap them.
        os.environ.setdefault("TOKIO_WORKER_THREADS", "2")
        share_ca_bundle()
        atexit.register(self.close)

    def call(
        self, spec: ClientSpec, name: str, path: str, *args: Any, stall_s: float, limit_s: float | None = None
    ) -> Any:
        """Run an operation that gives one answer.

        Args:
            spec: The client.
            name: A name in ``operations.CALLS``, or another layer's function.
            path: The object.
            *args: The operation's other arguments.
            stall_s: Longest silence of the server, in seconds.
            limit_s: Longest time for all of it, in seconds, for those who wait from afar.

        Raises:
            StorageError: It failed, or stalled.
        """
        del limit_s
        with self._work(spec, path, stall_s):
            return operation(CALLS, name)(self._client(spec, stall_s), path, *args)

    def stream(self, spec: ClientSpec, name: str, path: str, *args: Any, stall_s: float) -> Iterator[Any]:
        """Run an operation that gives items one after another.

        Args:
            spec: The client.
            name: A name in ``operations.STREAMS``, or another layer's function.
            path: The object, or the prefix.
            *args: The operation's other arguments.
            stall_s: Longest silence of the server, in seconds.

        Yields:
            The items.

        Raises:
            StorageError: It failed, or stalled.
        """
        with self._work(spec, path, stall_s):
            items = operation(STREAMS, name)(self._client(spec, stall_s), path, *args)
        while True:
            with self._work(spec, path, stall_s):
                item = next(items, None)
            if item is None:
                return
            yield item

    def close(self) -> None:
        """Take no more work, and wait a little for what is under way.

        A thread that comes back from the client while the interpreter is being torn down aborts the process.
        """
        with self._condition:
            self._closing = True
            self._condition.wait_for(lambda: not self._under_way, _EXIT_S)

    def forget(self) -> None:
        """Let go of what a fork has inherited: clients without their threads hang."""
        atexit.unregister(self.close)

    @contextmanager
    def _work(self, spec: ClientSpec, path: str, stall_s: float) -> Iterator[None]:
        with self._condition:
            if self._closing:
                raise UnavailableError(f"{spec.url}/{path}: this process is exiting.")
            self._under_way += 1
        try:
            yield
        except StreamingError:
            raise
        except Exception as error:
            raise failure(error, spec, path, stall_s) from None
        finally:
            with self._condition:
                self._under_way -= 1
                self._condition.notify_all()

    def _client(self, spec: ClientSpec, stall_s: float) -> Any:
        key = spec.key(stall_s)
        with self._condition:
            client = self._clients.get(key)
            if client is None:
                if self._adopt_environ:
                    spec.adopt_environ()
                client = self._clients[key] = self._built.get(key) or spec.build(stall_s)
                if len(self._clients) > _MAX_CLIENTS:
                    self._clients.popitem(last=False)
            self._clients.move_to_end(key)
            return client
