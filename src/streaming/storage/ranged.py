"""A store of which only five methods need to be written: what to begin a store of one's own with."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from streaming.core.errors import ObjectChangedError, StalledError, UnavailableError
from streaming.storage.store import ObjectInfo, OnInfo, Sink, Store
from streaming.storage.target import open_target, write_chunks
from streaming.storage.url import check_path, part_of, redact
from streaming.storage.watched import watched

__all__ = ["RangedStore"]

_CHUNK = 8 << 20


class RangedStore(Store):
    """A :class:`streaming.storage.store.Store` whose other methods follow from five.

    They are ``get_range``, ``head``, ``list``, ``put`` and ``delete``.

    Threads share it, and it goes to other processes by pickling or by a fork: make clients on first use, one for each
    process (and thread, if they are not made to be shared), and leave them out of pickles. Raise the kinds of
    :class:`streaming.core.errors.StorageError`, above all ``ObjectNotFoundError`` for what is not there.

    Args:
        url: The root; ``repr`` shows it without user, password and query.

    Example:
        >>> from pathlib import Path
        >>> from streaming.core.errors import ObjectNotFoundError
        >>> from streaming.storage.registry import stores
        >>> from streaming.storage.store import ObjectInfo
        >>> objects = {}
        >>> class Memory(RangedStore):
        ...     def get_range(self, path, start, end):
        ...         return objects[path][start:end]
        ...     def head(self, path):
        ...         if path not in objects:
        ...             raise ObjectNotFoundError(f'There is no {path}.')
        ...         return ObjectInfo(path, len(objects[path]))
        ...     def list(self, prefix=''):
        ...         return (ObjectInfo(path, len(objects[path])) for path in sorted(objects) if path.startswith(prefix))
        ...     def put(self, path, source):
        ...         objects[path] = source if isinstance(source, bytes) else Path(source).read_bytes()
        ...     def delete(self, path):
        ...         objects.pop(path, None)
        >>> stores['dict'] = lambda url, options: Memory(url)
        >>> with MDSWriter(columns={'text': 'str'}, out='dict://') as out:
        ...     out.write({'text': 'a'})
        >>> sorted(objects)
        ['index.json', 'shard.00000.mds']
    """

    takes_versions = True
    #: Longest silence of the server in a call that is not told it, in seconds.
    patience_s = 60.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Ask a class with a download of its own for no more than its download takes."""
        super().__init_subclass__(**kwargs)
        if "download" in vars(cls) and "takes_versions" not in vars(cls):
            cls.takes_versions = False

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return redact(self.url)

    def get(self, path: str) -> bytes:
        """Return a whole object."""
        return self.get_range(path, 0, self.head(path).bytes)

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Return bytes ``[start, end)`` of an object, and its version; see ``Store.read``."""
        info = self._expect(path, version)
        data = self.get_range(path, start, info.bytes if end is None else end)
        self._expect(path, info.etag)
        return data, info

    def download(
        self,
        path: str,
        target: str,
        *,
        offset: int = 0,
        sink: Sink | None = None,
        stall_timeout: float = 60.0,
        total_timeout: float | None = None,
        version: str | None = None,
        on_info: OnInfo | None = None,
    ) -> int:
        """Write bytes ``[offset, size)`` of an object to a local file; see ``Store.download``."""
        check_path(path)
        deadline = None if total_timeout is None else time.monotonic() + total_timeout
        is_told = version is not None or on_info is not None
        reading = self._reading(path, offset, stall_timeout, version, is_told)
        with open_target(target, offset) as out, reading as (info, chunks):
            if info.bytes < offset:
                raise ObjectChangedError(
                    f"{self!r}/{path} has {info.bytes} bytes, fewer than the {offset} that are there already. It has "
                    "been replaced: fetch it again from the start."
                )
            if on_info is not None:
                on_info(info)
            write_chunks(out, chunks, sink, deadline, f"{self!r}/{path}")
        return info.bytes

    @contextmanager
    def _reading(
        self, path: str, start: int, stall_s: float, version: str | None, is_told: bool
    ) -> Iterator[tuple[ObjectInfo, Iterator[Any]]]:
        """Have what there is of an object from a byte on, all of one version if the caller is told which."""
        info = self._expect(path, version, stall_s)
        with closing(self._stream(path, start, info.bytes, stall_s)) as chunks:
            yield info, chunks
        if is_told:
            self._expect(path, info.etag, stall_s)

    def _expect(self, path: str, version: str | None, stall_s: float | None = None) -> ObjectInfo:
        return self._same(path, self._info(path, stall_s), version)

    def _same(self, path: str, info: ObjectInfo, version: str | None) -> ObjectInfo:
        if version is not None and info.etag != version:
            raise ObjectChangedError(f"{self!r}/{path} was replaced: it is {info.etag} now, {version} was asked for.")
        return info

    def _info(self, path: str, stall_s: float | None) -> ObjectInfo:
        """Return what ``head`` does, within a time where that can be told."""
        del stall_s
        return self.head(path)

    def exists_root(self) -> bool:
        """Say whether the bucket or directory exists; ``True`` unless a store knows better."""
        return True

    def check_writable(self) -> None:
        """Write an object, and remove it again."""
        path = part_of("check")
        self.put(path, b"")
        self.delete(path)

    def _stream(self, path: str, start: int, end: int, stall_s: float) -> Generator[Any, None, None]:
        """Yield bytes ``[start, end)`` of an object that has them."""
        try:
            yield from watched(lambda: self._ranges(path, start, end), stall_s)
        except StalledError as error:
            raise StalledError(f"{self!r}/{path}: {error}") from None

    def _ranges(self, path: str, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, _CHUNK):
            wanted = min(_CHUNK, end - at)
            data = self.get_range(path, at, at + wanted)
            if len(data) != wanted:
                raise UnavailableError(
                    f"{self!r}/{path}: bytes [{at}, {at + wanted}) are {len(data)}; it has been cut while it was read."
                )
            yield data
