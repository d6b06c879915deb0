"""Connections that one operation at a time uses, kept for the next one.

A connection belongs to the process that made it: a fork makes its own. Those of its parent are kept, unused, since to
collect one could end it there.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar, cast

from streaming.core.errors import AccessDeniedError, ConfigError, ObjectNotFoundError

__all__ = ["Connection", "Pool", "pool_of"]

# What the other side answered in good order: the connection is as good as before.
_ANSWERS = (AccessDeniedError, ConfigError, ObjectNotFoundError)


class Connection(Protocol):
    """What a pool keeps."""

    def is_alive(self) -> bool:
        """Say whether it can still be used, as far as can be known without asking."""
        ...

    def close(self) -> None:
        """End it."""
        ...


C = TypeVar("C", bound=Connection)


class Pool(Generic[C]):
    """Connections to one place.

    Args:
        connect: Makes one.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        # Changed by single operations on lists and dicts only: a lock could be copied while it is held.
        self._idle: list[C] = []
        self._all: dict[int, C] = {}

    @contextmanager
    def connection(self) -> Iterator[C]:
        """Have a connection to oneself. It is closed after a failure, unless the other side answered with that."""
        connection = self._take()
        try:
            yield connection
        except _ANSWERS:
            self._idle.append(connection)
            raise
        except BaseException:
            self._close(connection)
            raise
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._close(self._idle.pop())

    def _take(self) -> C:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
                self._all[id(connection)] = connection
                return connection
            if connection.is_alive():
                return connection
            self._close(connection)

    def _close(self, connection: C) -> None:
        self._all.pop(id(connection), None)
        with suppress(Exception):
            connection.close()


_pools: dict[tuple[int, Hashable], Pool[Any]] = {}


def pool_of(key: Hashable, connect: Callable[[], C]) -> Pool[C]:
    """Return this process's pool of connections to a place, which all stores of that place share.

    Args:
        key: What tells the place, and who asks, from others.
        connect: Makes a connection.
    """
    # By process, for the sake of forks that run no hooks.
    return cast("Pool[C]", _pools.setdefault((os.getpid(), key), Pool(connect)))


def _close_all() -> None:
    for (pid, _), pool in list(_pools.items()):
        if pid == os.getpid():
            pool.close()


atexit.register(_close_all)
