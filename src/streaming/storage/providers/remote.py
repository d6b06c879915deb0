"""The store that all network families share: our operations over one client."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from streaming.core.errors import (
    AccessDeniedError,
    ObjectChangedError,
    ObjectNotFoundError,
    StorageError,
    UnavailableError,
)
from streaming.storage.helper.failures import RangeError, RangeIgnoredError, WrongRegionError
from streaming.storage.helper.gate import MAX_CONCURRENCY, gate_of
from streaming.storage.helper.runtime import executor
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.options import Sealed, seal
from streaming.storage.ranged import RangedStore
from streaming.storage.store import ObjectInfo
from streaming.storage.url import check_path, redact

__all__ = ["RemoteStore", "Resolve"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

Resolve = Callable[[str, Mapping[str, Any], "bool | str"], ClientSpec]
"""Makes a client's description of a URL, options, and the region, or whether it must be looked up."""

_REPLY_S = 60.0
# A transfer slower than this is taken for dead.
_SLOWEST = 16 << 10
_MIN_CHUNK, _MAX_CHUNK = 64 << 10, 1 << 20
# Behind every name.
_LAST = "\U0010ffff"
_MIN_PART, _MAX_PARTS = 8 << 20, 9000


class RemoteStore(RangedStore):
    """Objects below a URL of a network store.

    Args:
        url: The root.
        options: Settings of the family, which go before the environment.
        resolve: The family's way from URL, options and environment to a client; a module-level function, so that the
            store can be pickled.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed, resolve: Resolve) -> None:
        super().__init__(url)
        self._options = seal(options)
        self._resolve = resolve
        self._place = "/".join(redact(url).split("/", 3)[:3])
        self._found_spec: ClientSpec | None = None
        self._public: ClientSpec | None = None
        self._is_elsewhere: bool | str = False

    #: Whether a part of an object costs no more than its bytes, so that a large one may come in many parts at a time.
    takes_ranges = True
    #: Whether ``read`` of a whole object takes one request.
    reads_in_one = True

    @property
    def origin(self) -> str:
        """Where the objects are, without secrets: the URL, and the server and account that it is looked up at."""
        spec = self.described()
        settings = {**spec.settings, **spec.settings.get("config", {})}
        known = (str(settings[name]) for name in ("endpoint", "account_name") if settings.get(name))
        return " ".join([redact(self.url), *map(redact, known)])

    def described(self) -> ClientSpec:
        """Return what it takes to build a client of this store. It may hold secrets."""
        spec = self._found_spec = self._found_spec or self._find_spec()
        return spec

    def __reduce__(self) -> tuple[Any, ...]:
        # Credentials are looked up anew in each process, so only what the user gave travels, sealed.
        return type(self), (self.url, self._options, self._resolve), {"patience_s": self.patience_s}

    def get(self, path: str) -> bytes:
        return self.read(path)[0]

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        check_path(path)
        with self._turn(path):
            data, info = self._read(lambda spec: self._read_version(spec, path, start, end, version))
        # Asked for in the request, and looked at again: not every server knows conditions.
        return data, self._same(path, info, version)

    def read_several(self, wanted: Sequence[tuple[str, int, int, str | None]]) -> Iterator[tuple[int, bytes]]:
        """Yield which of several ranges it is, and its bytes, as they come: one request each, but one errand for all.

        What fails, or has another version, is left out, and so is what was to come after it: ask for it by itself.

        Args:
            wanted: Path, first byte, one behind the last, and version of each.
        """
        for path, *_ in wanted:
            check_path(path)
        with suppress(StorageError), self._turn(wanted[0][0], len(wanted)) as turns:
            items = executor().stream(self.described(), "read_several", "", wanted, turns, stall_s=self.patience_s)
            for (number, info), data in zip(items, items, strict=True):
                if wanted[number][3] in (None, info.etag):
                    yield number, data

    def get_range(self, path: str, start: int, end: int) -> bytes:
        check_path(path)
        if end <= start:
            return b""
        with self._turn(path):
            return self._read(lambda spec: self._get_range(spec, path, start, end))

    def head(self, path: str) -> ObjectInfo:
        check_path(path)
        with self._turn(path):
            return self._read(lambda spec: self._call(spec, "head", path))

    def list(self, prefix: str = "", enters: Callable[[str], bool] | None = None) -> Iterator[ObjectInfo]:
        """List objects in and below a directory.

        Args:
            prefix: The directory.
            enters: Told the path of a directory, with ``/`` at its end, says whether its objects are wanted; of one that is
                not, no more than a page is listed where the server can begin behind it. ``None``: all are.
        """
        prefix = prefix.strip("/")
        if prefix:
            check_path(prefix)
        after: str | None = None
        while True:
            # The first page tells whether the bucket can be reached as it was resolved.
            pages, first = self._read(partial(_first_page, prefix=prefix, after=after, stall_s=self.patience_s))
            if after is not None and first and first[0].path <= after:
                enters = None  # the server does not begin where it is asked to
            for page in chain([first], pages):
                yield from page if after is None else (info for info in page if info.path > after)
                unwanted = _all_below(page, prefix, enters) if enters is not None else None
                if unwanted is not None and self._begins_anywhere():
                    after = unwanted + _LAST
                    break
            else:
                return

    def _begins_anywhere(self) -> bool:
        """Say whether listings are sorted, and begin behind a name that is given."""
        settings = self.described().settings
        is_sorted = not str(settings.get("bucket")).endswith("--x-s3") and "odd" not in settings
        return is_sorted and settings.get("kind", "S3Store") in ("S3Store", "GCSStore")

    @contextmanager
    def _reading(
        self, path: str, start: int, stall_s: float, version: str | None, is_told: bool
    ) -> Iterator[tuple[ObjectInfo, Iterator[Any]]]:
        del is_told  # a reply is of one version
        with self._turn(path):
            info, chunks = self._read(lambda spec: self._begin(spec, path, start, stall_s, version))
            yield self._same(path, info, version), chunks

    def put(self, path: str, source: str | bytes) -> None:
        check_path(path)
        if isinstance(source, str):
            # Opened here first: a missing source is the caller's, not the store's.
            with open(source, "rb") as file:
                size = os.fstat(file.fileno()).st_size
            given = os.path.abspath(source)
        else:
            given, size = bytes(source), len(source)
        # A part is sent without a word from the server, and an upload has at most 10,000.
        part = max(_MIN_PART, -(-size // _MAX_PARTS))
        stall, limit = _REPLY_S + part / _SLOWEST, _REPLY_S + size / _SLOWEST
        with self._turn(path):
            self._try(
                lambda spec: executor().call(
                    spec.for_writing(), "put", path, given, part, stall_s=stall, limit_s=2 * limit
                )
            )

    def delete(self, path: str) -> None:
        check_path(path)
        with self._turn(path):
            self._try(lambda spec: self._call(spec, "delete", path))

    def exists_root(self) -> bool:
        try:
            self._read(lambda spec: self._call(spec, "probe", ""))
        except ObjectNotFoundError:
            return False
        return True

    def check_writable(self) -> None:
        self._try(lambda spec: self._call(spec, "probe", ""))

    def _turn(self, path: str, count: int = 1) -> AbstractContextManager[int]:
        most = int(self._options.reveal().get("max_concurrency", MAX_CONCURRENCY))
        return gate_of(self._place, most).turn(f"{self!r}/{path}", count)

    def _read(self, operation: Callable[[ClientSpec], T]) -> T:
        """Do what may be done with a public bucket without credentials, if those that there are were refused."""
        try:
            return self._try(operation)
        except AccessDeniedError:
            public = self._public
            if public is None:
                raise
            try:
                result = operation(public)
            except StorageError:
                pass  # it is not public either: tell of the credentials
            else:
                logger.warning("%r: the credentials were refused, so it is read without any, as it is public.", self)
                self._found_spec = public
                return result
            raise

    def _try(self, operation: Callable[[ClientSpec], T]) -> T:
        # No lock: threads that resolve at once find the same, and a fork could copy a lock in use.
        found = self._found_spec
        spec = self._found_spec = found or self._find_spec()
        try:
            return operation(spec)
        except WrongRegionError as error:
            self._is_elsewhere = error.region or True
            spec = self._found_spec = self._find_spec()
            return operation(spec)
        except AccessDeniedError:
            # Credentials may have been renewed since they were found.
            self._found_spec = None
            again = self._find_spec() if found is not None else spec
            if again.key(0) == spec.key(0):
                raise
            self._found_spec = again
            return operation(again)

    def _find_spec(self) -> ClientSpec:
        spec = self._resolve(self.url, self._options.reveal(), self._is_elsewhere)
        self._public = spec.public
        return spec._replace(public=None)

    def _call(self, spec: ClientSpec, name: str, path: str, *args: Any) -> Any:
        return executor().call(spec, name, path, *args, stall_s=self.patience_s)

    def _read_version(
        self, spec: ClientSpec, path: str, start: int, end: int | None, version: str | None
    ) -> tuple[bytes, ObjectInfo]:
        if end is not None:
            try:
                return self._call(spec, "read_range", path, start, end, version)
            except RangeIgnoredError:
                pass
        info, chunks = self._begin(spec, path, 0 if end is not None else start, self.patience_s, version)
        data = b"".join(chunks)
        return data if end is None else data[start:end], info

    def _get_range(self, spec: ClientSpec, path: str, start: int, end: int) -> bytes:
        try:
            return self._call(spec, "get_range", path, start, end)
        except RangeError:
            return b""
        except RangeIgnoredError:
            return self._read_version(spec, path, 0, None, None)[0][start:end]

    def _begin(
        self, spec: ClientSpec, path: str, offset: int, stall_s: float, version: str | None
    ) -> tuple[ObjectInfo, Iterator[Any]]:
        """Begin to read an object at an offset, whatever the server makes of ranges."""
        try:
            info, chunks = _begun(spec, path, offset, stall_s, version)
        except RangeError:
            info = self._call(spec, "head", path)
            if info.bytes == offset:
                return info, iter(())
            raise ObjectChangedError(
                f"{spec.url}/{path} has {info.bytes} bytes, fewer than the {offset} that are there already. It has been "
                "replaced: fetch it again from the start."
            ) from None
        except RangeIgnoredError:
            info, chunks = _begun(spec, path, 0, stall_s, version)
            chunks = _after(chunks, offset)
        return info, self._all(info, chunks, offset)

    def _all(self, info: ObjectInfo, chunks: Iterator[Any], at: int) -> Iterator[Any]:
        for chunk in chunks:
            at += len(chunk)
            yield chunk
        if at != info.bytes:
            raise UnavailableError(f"{self!r}/{info.path}: the connection ended after {at} of {info.bytes} bytes.")


def _all_below(page: list[ObjectInfo], prefix: str, enters: Callable[[str], bool]) -> str | None:
    """Return the directory that is not wanted, if all of a page is in one."""
    path = page[0].path if page else ""
    at = path.find("/", len(prefix) + 1)
    while at >= 0 and page[-1].path.startswith(path[: at + 1]):
        if not enters(path[: at + 1]):
            return path[: at + 1]
        at = path.find("/", at + 1)
    return None


def _first_page(
    spec: ClientSpec, prefix: str, after: str | None, stall_s: float
) -> tuple[Iterator[list[ObjectInfo]], list[ObjectInfo]]:
    pages = executor().stream(spec, "list", prefix, after, stall_s=stall_s)
    return pages, next(pages, [])


def _begun(
    spec: ClientSpec, path: str, offset: int, stall_s: float, version: str | None
) -> tuple[ObjectInfo, Iterator[Any]]:
    """Send the request for an object from an offset on: its description, and its chunks to come."""
    chunk_bytes = min(_MAX_CHUNK, max(_MIN_CHUNK, int(stall_s * _SLOWEST)))
    items = executor().stream(spec, "read", path, offset, chunk_bytes, version, stall_s=stall_s)
    info: ObjectInfo = next(items)
    return info, items


def _after(chunks: Iterator[Any], offset: int) -> Iterator[Any]:
    for chunk in chunks:
        if offset < len(chunk):
            yield memoryview(chunk)[offset:]
        offset = max(0, offset - len(chunk))
