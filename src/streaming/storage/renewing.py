"""A store whose options a function gives, anew whenever the store refuses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

from streaming.core.errors import AccessDeniedError, ConfigError, UnavailableError
from streaming.storage import versions
from streaming.storage.location import Location
from streaming.storage.options import is_client
from streaming.storage.store import ObjectInfo, Sink, Store

__all__ = ["RenewingStore"]

T = TypeVar("T")


class RenewingStore(Store):
    """Passes everything on to the store that its URL has with the options of the moment.

    Args:
        location: The root; its options are a function.
        open_store: Opens a place with the options of the moment; a module-level function, so that the store can be pickled.
    """

    takes_versions = reads_in_one = True

    def __init__(self, location: Location, open_store: Callable[[Location], Store]) -> None:
        self._location = location
        self._open_store = open_store
        self._store: Store | None = None

    def __repr__(self) -> str:
        return str(self._location)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._location, self._open_store)

    def get(self, path: str) -> bytes:
        return self._try(lambda store: store.get(path))

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        return self._try(lambda store: versions.read(store, path, start, end, version=version))

    def get_range(self, path: str, start: int, end: int) -> bytes:
        return self._try(lambda store: store.get_range(path, start, end))

    def head(self, path: str) -> ObjectInfo:
        return self._try(lambda store: store.head(path))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        first, rest = self._try(lambda store: _begun(store.list(prefix)))
        yield from first
        yield from rest

    def download(self, path: str, target: str, *, sink: Sink | None = None, **kwargs: Any) -> int:
        given = 0

        def count(chunk: Any) -> None:
            nonlocal given
            given += len(chunk)
            if sink is not None:
                sink(chunk)

        def download(store: Store) -> int:
            return versions.download(store, path, target, sink=count, **kwargs)

        # What the sink was given cannot be taken back, so only the caller can go on from there.
        return self._try(download, lambda: not given)

    def put(self, path: str, source: str | bytes) -> None:
        self._try(lambda store: store.put(path, source))

    def delete(self, path: str) -> None:
        self._try(lambda store: store.delete(path))

    def exists_root(self) -> bool:
        return self._try(lambda store: store.exists_root())

    def check_writable(self) -> None:
        self._try(lambda store: store.check_writable())

    def _try(self, operation: Callable[[Store], T], may_repeat: Callable[[], bool] = lambda: True) -> T:
        store, self._store = self._store, None
        if store is not None:
            try:
                result = operation(store)
            except AccessDeniedError:
                if not may_repeat():
                    raise
            except BaseException:
                self._store = store
                raise
            else:
                self._store = store
                return result
        store = self._open()
        result = operation(store)
        self._store = store
        return result

    def _open(self) -> Store:
        call = self._location.options.reveal()
        try:
            options: Any = call()
        except Exception as error:
            raise UnavailableError(
                f"{self!r}: the function given as storage_options failed with {type(error).__name__}, see above."
            ) from error
        if not isinstance(options, Mapping) and not is_client(options):
            raise ConfigError(
                f"{self!r}: the function given as storage_options must return a mapping, or an obstore store; it "
                f"returned a {type(options).__name__}."
            )
        return self._open_store(self._location.with_options(cast("Any", options)))


def _begun(items: Iterator[ObjectInfo]) -> tuple[list[ObjectInfo], Iterator[ObjectInfo]]:
    first = next(items, None)
    return ([] if first is None else [first]), items
