"""What is done with a network client: calls with one answer, and streams of many.

They run where ``runtime`` says, and know nothing of processes. The client's blocking interface is used throughout: its
asynchronous one ends every request in a thread that needs the interpreter, and aborts the process when that is exiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import obstore
from obstore.exceptions import InvalidPathError

from streaming.storage.store import ObjectInfo

__all__ = ["CALLS", "STREAMS", "operation"]

_BATCH = 1000


def _info(meta: Any) -> ObjectInfo:
    # A server that tells no time is said to have written at the epoch.
    modified = meta["last_modified"].timestamp() or None
    etag = meta.get("e_tag") or (modified and f"{modified}-{meta['size']}")
    return ObjectInfo(meta["path"], meta["size"], etag, modified)


def _condition(version: str | None) -> dict[str, Any]:
    """Return the options of a request for one version alone; where a server cannot tell, its reply is looked at."""
    # Weak tags, and those that are made of times, match nothing.
    return {"if_match": version} if version and version.startswith('"') else {}


def _get_range(client: Any, path: str, start: int, end: int) -> bytes:
    return bytes(obstore.get_range(client, path, start=start, end=end))


def _read_range(client: Any, path: str, start: int, end: int, version: str | None) -> tuple[bytes, ObjectInfo]:
    options: Any = {"range": (start, end), **_condition(version)}
    reply = obstore.get(client, path, options=options)
    return bytes(reply.bytes()), _info(reply.meta)


def _head(client: Any, path: str) -> ObjectInfo:
    return _info(obstore.head(client, path))


def _delete(client: Any, path: str) -> None:
    with suppress(FileNotFoundError):
        obstore.delete(client, path)


def _put(client: Any, path: str, source: str | bytes, part_bytes: int) -> None:
    content = Path(source) if isinstance(source, str) else source
    obstore.put(client, path, content, chunk_size=part_bytes, max_concurrency=4)


def _probe(client: Any, _path: str) -> None:
    """Ask for one page of the listing, which fails when there is no bucket."""
    if hasattr(client, "pages"):
        # There is no listing without Amazon's SDK, and the reply to a name that is none tells as well.
        try:
            obstore.get(client, ".probe")
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
        return
    with suppress(InvalidPathError):  # it has keys that the client does not take, so it is there
        for _ in obstore.list(client, chunk_size=1):
            return


def _read(client: Any, path: str, offset: int, chunk_bytes: int, version: str | None) -> Iterator[Any]:
    options: Any = _condition(version)
    if offset:
        options["range"] = {"offset": offset}
    reply = obstore.get(client, path, options=options)
    yield _info(reply.meta)
    yield from reply.stream(min_chunk_size=chunk_bytes)


def _read_several(
    client: Any, _path: str, wanted: Sequence[tuple[str, int, int, str | None]], at_once: int
) -> Iterator[Any]:
    """Yield of each of several ranges its number and what is known of the object, and then its bytes, as they come.

    After one that failed no other is begun; it is raised when all that were under way have come.
    """
    waiting, replies = deque(range(len(wanted))), SimpleQueue[Any]()

    def work() -> None:
        with suppress(IndexError):
            while True:
                number = waiting.popleft()
                try:
                    replies.put((number, *_read_range(client, *wanted[number])))
                except Exception as error:
                    waiting.clear()
                    replies.put((number, error, None))
        replies.put(None)

    workers = min(at_once, len(wanted))
    for _ in range(workers):
        Thread(target=work, daemon=True).start()
    failed: Exception | None = None
    try:
        while workers:
            reply = replies.get()
            if reply is None:
                workers -= 1
            elif isinstance(reply[1], Exception):
                failed = reply[1]
            else:
                number, data, info = reply
                yield [number, info]
                yield data
    finally:
        waiting.clear()
    if failed is not None:
        raise failed


def _list(client: Any, prefix: str, after: str | None) -> Iterator[Any]:
    if hasattr(client, "pages"):
        yield from client.pages(prefix)
        return
    for batch in obstore.list(client, prefix=prefix or None, offset=after, chunk_size=_BATCH):
        yield [_info(meta) for meta in batch]


CALLS: dict[str, Callable[..., Any]] = {
    "get_range": _get_range,
    "read_range": _read_range,
    "head": _head,
    "delete": _delete,
    "put": _put,
    "probe": _probe,
}
"""One answer each. All take the client, then the object's path."""

STREAMS: dict[str, Callable[..., Iterator[Any]]] = {"read": _read, "read_several": _read_several, "list": _list}
"""Items one after another; bytes-like items are the object's content."""


def operation(known: Mapping[str, Callable[..., Any]], name: str) -> Callable[..., Any]:
    """Return an operation by its name, or by ``"module:function"`` where it is another layer's."""
    module, colon, function = name.partition(":")
    return getattr(import_module(module), function) if colon else known[name]
