"""What is done with a network client: coroutines for one answer, and streams of many.

They run where ``runtime`` says, and know nothing of processes or deadlines.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from streaming.storage.store import ObjectInfo

__all__ = ["CALLS", "STREAMS"]

_MIN_PART = 8 << 20
_MAX_PARTS = 9000
_BATCH = 1000


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta.get("e_tag"))


async def _get_range(client: Any, path: str, start: int, end: int) -> bytes:
    import obstore

    return bytes(await obstore.get_range_async(client, path, start=start, end=end))


async def _head(client: Any, path: str) -> ObjectInfo:
    import obstore

    return _info(await obstore.head_async(client, path))


async def _delete(client: Any, path: str) -> None:
    import obstore

    try:
        await obstore.delete_async(client, path)
    except FileNotFoundError:
        return


async def _put_bytes(client: Any, path: str, data: bytes) -> None:
    import obstore

    await obstore.put_async(client, path, data, chunk_size=_MIN_PART)


async def _put_file(client: Any, path: str, source: str) -> None:
    import obstore

    # A multipart upload has at most 10,000 parts.
    chunk = max(_MIN_PART, -(-os.path.getsize(source) // _MAX_PARTS))
    await obstore.put_async(client, path, Path(source), chunk_size=chunk, max_concurrency=4)


async def _probe(client: Any, _path: str) -> None:
    """Ask for one page of the listing, which fails when there is no bucket."""
    import obstore

    async for _ in obstore.list(client, chunk_size=1):
        return


async def _read(client: Any, path: str, offset: int, chunk_bytes: int) -> AsyncIterator[Any]:
    import obstore

    options: Any = {"range": {"offset": offset}} if offset else None
    reply = await obstore.get_async(client, path, options=options)
    yield _info(reply.meta)
    async for chunk in reply.stream(min_chunk_size=chunk_bytes):
        yield chunk


async def _list(client: Any, prefix: str) -> AsyncIterator[Any]:
    import obstore

    async for batch in obstore.list(client, prefix=prefix or None, chunk_size=_BATCH):
        yield [_info(meta) for meta in batch]


CALLS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "get_range": _get_range,
    "head": _head,
    "delete": _delete,
    "put_bytes": _put_bytes,
    "put_file": _put_file,
    "probe": _probe,
}
"""One answer each. All take the client, then the object's path."""

STREAMS: dict[str, Callable[..., AsyncIterator[Any]]] = {"read": _read, "list": _list}
"""Items one after another; bytes-like items are the object's content."""
