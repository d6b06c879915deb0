"""Read parts of a file over several connections, in order: what is on disk is always a beginning of what is to be there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from streaming.core.errors import ObjectChangedError, UnavailableError
from streaming.storage import versions
from streaming.storage.store import ObjectInfo, OnInfo, Store

__all__ = ["PART_BYTES", "download_in_parts", "read_parts"]

#: What one request asks for. A connection has at most one such part in memory.
PART_BYTES = 4 << 20
_MOST_CONNECTIONS = 16


def download_in_parts(
    store: Store,
    path: str,
    target: str,
    offset: int,
    size: int,
    sink: Callable[[bytes], Any],
    connections: Callable[[], int],
    version: str | None = None,
    on_info: OnInfo | None = None,
) -> None:
    """Append bytes ``[offset, size)`` of an object to a local file.

    Args:
        store: Where the object is.
        path: The object.
        target: The local file, which holds the first ``offset`` bytes.
        offset: Where to begin.
        size: Where to end.
        sink: Called with each piece, in order, once it is written.
        connections: Returns how many requests there may be at a time; asked before each.
        version: Of which version all of it must be, if that is known.
        on_info: Told of which version it is, before anything is written; all of it then is of that one. ``None`` does not
            ask: something else proves that it belongs together.

    Raises:
        ObjectChangedError: Not all of it is of one version.
        StorageError: A request failed; what came before is in the file.
        OSError: The file could not be written.
    """
    parts = ((begin, min(begin + PART_BYTES, size)) for begin in range(offset, size, PART_BYTES))
    coming = read_parts(store, path, parts, connections, version, on_info)
    with open(target, "ab", buffering=0) as file, closing(coming):
        for data in coming:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            sink(data)


def read_parts(
    store: Store,
    path: str,
    parts: Iterable[tuple[int, int]],
    connections: Callable[[], int],
    version: str | None = None,
    on_info: OnInfo | None = None,
) -> Generator[bytes]:
    """Yield parts of an object in the order in which they are asked for; see :func:`download_in_parts`.

    Args:
        store: Where the object is.
        path: The object.
        parts: Where each begins and ends.
        connections: Returns how many requests there may be at a time; asked before each.
        version: Of which version all of them must be, if that is known.
        on_info: Told of which version each is, before it is given; all of them then are of that one.

    Raises:
        ObjectChangedError: Not all of them are of one version.
        StorageError: A request failed.
    """
    coming = iter(parts)
    waiting: deque[tuple[int, Future[tuple[bytes, ObjectInfo | None]]]] = deque()
    known = version

    def read(begin: int, end: int) -> tuple[bytes, ObjectInfo | None]:
        if on_info is None:
            return store.get_range(path, begin, end), None
        return versions.read(store, path, begin, end, version=known)

    pool = ThreadPoolExecutor(_MOST_CONNECTIONS, "streaming-part")
    try:

        def ask() -> None:
            most = min(_MOST_CONNECTIONS, max(1, connections()))
            while len(waiting) < most and (part := next(coming, None)) is not None:
                begin, end = part
                waiting.append((end - begin, pool.submit(read, begin, end)))

        ask()
        while waiting:
            expected, future = waiting.popleft()
            data, info = future.result()
            if info is not None and on_info is not None:
                # Those that were asked for before the first came were not asked for by version.
                on_info(info)
                if known is not None and info.etag != known:
                    raise ObjectChangedError(f"{store!r}/{path} was replaced while it was read.")
                known = info.etag
            ask()
            yield data
            if len(data) != expected:
                raise UnavailableError(f"{store!r}/{path} ended early: {len(data)} bytes came of {expected}.")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
