"""Look into every file of a source once, and keep what was found: a line of JSON a file, so that it can be continued.

What is kept of a file is used while it has the same size and version; a file that was changed is looked at again.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Lock
from typing import Any, Protocol, cast

from streaming.core.errors import SourceError, StreamingError
from streaming.core.process.lock import locked_part
from streaming.sources.file import NotArrivedError, SourceFile
from streaming.sources.pieces import Piece, Scan, Scanned
from streaming.storage.providers.local import LocalStore
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import ObjectInfo, Store

__all__ = ["Scanner", "blame", "scan_files"]

logger = logging.getLogger(__name__)

#: Files that are looked into at a time: where their ends are enough, that is waiting; all of one that is here is work.
_ENDS_AT_ONCE, _AT_ONCE, _HERE_AT_ONCE = 64, 32, 4
#: How long those who wait see nothing of who looks into files before they give up, and how often they are shown something.
_LOCK_S, _TELL_S = 600.0, 1.0
#: Of how many files the ends are asked for in one errand.
_ENDS = 512
_NAMED = 3


class Scanner(Protocol):
    """What looks at files."""

    def scan(self, file: SourceFile) -> Scan:
        """Look at a file."""
        ...


def scan_files(
    store: Store, files: Sequence[ObjectInfo], kind: Scanner, kept: str, retries: int, index: str | None = None
) -> Scanned:
    """Look into files, those that were not looked into before.

    Args:
        store: Where they are.
        files: The files.
        kind: Their format.
        kept: Local file that keeps what is found; one process at a time looks.
        retries: Further attempts after a failed one.
        index: Where what was found before was brought from, if it was.

    Raises:
        SourceError: A file is damaged.
        StorageError: A file cannot be read.
    """
    found = _read(kept)
    _warn_of_changes(repr(store), files, found, index)
    if not all(_key(info) in found for info in files):
        with locked_part(f"{kept}.part", _LOCK_S) as part:
            found = {**_read(kept), **_read(part)}
            missing = [info for info in files if _key(info) not in found]
            _look(store, missing, kind, part, retries, found)
            lines = "".join(json.dumps([key, *value]) + "\n" for key, value in found.items())
            with open(part, "w") as file:
                file.write(lines)
            os.replace(part, kept)
    return _scanned(list(files), found)


def blame(error: SourceError, store: Store, files: Sequence[ObjectInfo]) -> SourceError:
    """Return an error whose text begins with the whole place of the file that it begins with.

    Args:
        error: The error.
        store: Where the files are.
        files: They.
    """
    text = str(error)
    begins = any(text.startswith(info.path) for info in files)
    return SourceError(f"{store!r}/{text}") if begins else error


def _warn_of_changes(place: str, files: Sequence[ObjectInfo], found: Collection[str], index: str | None) -> None:
    """Warn of files that are not those that were looked into before."""
    before = {path: int(size) for path, size, _ in (key.rsplit("\n", 2) for key in found)}
    missing = [info for info in files if _key(info) not in found]
    odd = [
        f"{info.path} was written again ({before[info.path]:,} bytes before, {info.bytes:,} now)"
        for info in missing
        if info.path in before
    ]
    if index is not None:
        present = {info.path for info in files}
        odd += [f"{info.path} is new" for info in missing if info.path not in before]
        odd += [f"{path} is gone" for path in before if path not in present]
    if odd:
        more = f", and {len(odd) - _NAMED:,} more" if len(odd) > _NAMED else ""
        advice = "" if index is None else f" Make it again, or each machine does so: streaming index URL --out {index}"
        warnings.warn(
            f"Files at {place} are not those that were looked into before: {'; '.join(odd[:_NAMED])}{more}. What is there "
            f"now is served, and looked into again.{advice}",
            stacklevel=2,
        )


def _look(
    store: Store, files: Sequence[ObjectInfo], kind: Scanner, part: str, retries: int, found: dict[str, list[Any]]
) -> None:
    policy, lock = RetryPolicy(attempts=retries + 1), Lock()
    if len(files) >= 100:
        logger.info("looking into %d files at %r, once", len(files), store)

    told = time.monotonic()

    def on_bytes(count: int) -> None:
        """Let those who wait for the lock see that a file that takes long is read."""
        nonlocal told
        del count
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            os.utime(part)

    here = _HERE_AT_ONCE if isinstance(store, LocalStore) else _AT_ONCE
    at_once = _ENDS_AT_ONCE if getattr(kind, "counts_rows", False) else here
    with ThreadPoolExecutor(at_once, "streaming-scan") as threads, open(part, "a") as file:

        def look(info: ObjectInfo, arrived: dict[int, bytes], may_fetch: bool = True) -> None:
            source = SourceFile(store, info, on_bytes, arrived=arrived, may_fetch=may_fetch)
            scan = call_with_retries(lambda: kind.scan(source), policy, time.sleep)
            known = [_dumped(scan.schema), [list(piece) for piece in scan.pieces]]
            line = json.dumps([_key(info), *known]) + "\n"
            with lock:
                found[_key(info)] = known
                file.write(line)
                file.flush()

        try:
            left, coming = dict(enumerate(files)), list[Future[None]]()
            for number, begin, data in _ends(store, files, getattr(kind, "end_bytes", 0)):
                info = left.pop(number)
                try:
                    look(info, {begin: data}, may_fetch=False)
                except NotArrivedError:  # it takes another request: those that come meanwhile need not wait for that
                    coming.append(threads.submit(look, info, {begin: data}))
            coming += [threads.submit(look, info, {}) for info in left.values()]
            for future in as_completed(coming):
                future.result()
        except StreamingError as error:
            threads.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, SourceError):
                raise blame(error, store, files) from error
            raise


def _ends(store: Store, files: Sequence[ObjectInfo], size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the number of a file, where its last bytes begin, and these, as they come; not of all files.

    Args:
        store: Where they are.
        files: They.
        size: How many bytes; 0: none.
    """
    if not size or not isinstance(store, RemoteStore) or not store.takes_ranges:
        return
    for first in range(0, len(files), _ENDS):
        some = files[first : first + _ENDS]
        wanted = [(info.path, max(0, info.bytes - size), info.bytes, info.etag) for info in some]
        for number, data in store.read_several(wanted):
            yield first + number, wanted[number][1], data


def _key(info: ObjectInfo) -> str:
    return f"{info.path}\n{info.bytes}\n{info.etag if info.etag is not None else info.modified}"


def _dumped(schema: Any) -> str | dict[str, str]:
    if isinstance(schema, dict):
        return cast("dict[str, str]", schema)
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def _read(path: str) -> dict[str, list[Any]]:
    return {key: rest for key, *rest in _lines(path)}


def _lines(path: str) -> Iterator[list[Any]]:
    try:
        with open(path) as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:  # the last, of who was killed
                    return
    except FileNotFoundError:
        return


def _scanned(files: list[ObjectInfo], found: dict[str, list[Any]]) -> Scanned:
    ids: dict[str, int] = {}
    schemas: list[Any] = []
    schema_ids: list[int] = []
    pieces: list[list[Piece]] = []
    for info in files:
        schema, some = found[_key(info)]
        text = schema if isinstance(schema, str) else json.dumps(schema)
        if text not in ids:
            ids[text] = len(ids)
            schemas.append(_loaded(schema))
        schema_ids.append(ids[text])
        pieces.append([Piece(*piece) for piece in some])
    return Scanned(files, schemas, schema_ids, pieces)


def _loaded(schema: str | dict[str, str]) -> Any:
    if isinstance(schema, dict):
        return schema
    import pyarrow as pa

    return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(schema)))
