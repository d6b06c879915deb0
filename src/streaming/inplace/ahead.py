"""Several files read one after the other, of which the next ones are begun meanwhile: each waits for its store by itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

__all__ = ["begin_ahead"]

T = TypeVar("T")

_AHEAD = 4


def begin_ahead(readers: Sequence[Callable[[], Iterator[T]]]) -> Iterator[Iterator[T]]:
    """Yield what each reader returns, in order; that of the next few has its first item already.

    Args:
        readers: What reads each file.

    Example:
        >>> [list(items) for items in begin_ahead([lambda: iter("ab"), lambda: iter("c")])]
        [['a', 'b'], ['c']]
    """
    if len(readers) < 2:
        yield from (reader() for reader in readers)
        return
    coming: deque[Future[Iterator[T]]] = deque()
    waiting = iter(readers)
    with ThreadPoolExecutor(min(_AHEAD, len(readers)), "streaming-ahead") as threads:
        try:
            for reader in waiting:
                coming.append(threads.submit(_begun, reader))
                if len(coming) >= _AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for each in coming:
                each.cancel()


def _begun(reader: Callable[[], Iterator[T]]) -> Iterator[T]:
    items = reader()
    return chain(list(islice(items, 1)), items)
