"""Get a stream's ``index.json``: from the remote, or from the local directory when it is the same or all there is."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress

from streaming.cache.lock import locked_part
from streaming.core.errors import EmptyDatasetError, ObjectNotFoundError, StorageError
from streaming.format.index import Index
from streaming.format.index_file import dump_parsed, map_parsed
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store

__all__ = ["INDEX_NAME", "load_index"]

logger = logging.getLogger(__name__)

INDEX_NAME = "index.json"
PARSED_NAME = ".streaming-index"
#: Indexes of fewer shards are parsed in less time than anybody notices.
_WORTH_KEEPING = 20_000


class IndexMissingError(EmptyDatasetError, FileNotFoundError):
    """There is no index where the dataset should be."""


def load_index(directory: str, store: Store | None, retries: int) -> tuple[Index, int]:
    """Read the index of a stream.

    A large index is left beside ``index.json`` in parsed form, which further processes map.

    With a remote, the remote's index counts: a local copy of another dataset, or of an older version, is replaced. If
    the remote cannot be reached and there is a local copy, that is used, with a warning.

    Args:
        directory: The stream's local directory.
        store: The stream's remote, or ``None``.
        retries: Further attempts after a failed one.

    Returns:
        The index, and the size of ``index.json`` in bytes.

    Raises:
        IndexMissingError: There is no index, locally or remotely.
        IndexFormatError: It is not a valid index.
        StorageError: The remote failed and there is no local copy.
    """
    path = os.path.join(directory, INDEX_NAME)
    if store is None:
        parsed = _map(path, "")
        if parsed is not None:
            return parsed
        data = _read(path)
        if data is None:
            raise IndexMissingError(
                f"No {INDEX_NAME} in {directory}, and no remote to get it from. Check the path (and `split`), or "
                "give `remote`."
            )
        return _keep(Index.parse(data, path), path, ""), len(data)
    version = None
    if os.path.exists(_parsed_path(path)):
        with suppress(StorageError):
            version = store.head(INDEX_NAME).etag
        parsed = _map(path, version) if version is not None else None
        if parsed is not None:
            return parsed
    local = _read(path)
    try:
        data = call_with_retries(lambda: store.get(INDEX_NAME), RetryPolicy(attempts=retries + 1), time.sleep)
    except StorageError as error:
        if local is not None:
            logger.warning("using the local %s, since the remote's cannot be read: %s", path, error)
            return Index.parse(local, path), len(local)
        if isinstance(error, ObjectNotFoundError):
            raise IndexMissingError(
                f"No {INDEX_NAME} at {store!r}: {error} Check `remote` and `split`; a dataset is complete only once "
                "its writer has finished."
            ) from error
        raise
    index = Index.parse(data, f"{INDEX_NAME} at {store!r}")
    if data != local:
        os.makedirs(directory, exist_ok=True)
        with locked_part(path + ".part") as part:
            with open(part, "wb") as file:
                file.write(data)
            os.replace(part, path)
    if index.num_shards >= _WORTH_KEEPING:
        with suppress(StorageError):
            info = store.head(INDEX_NAME)
            if info.etag is not None and info.bytes == len(data):
                index = _keep(index, path, info.etag)
    return index, len(data)


def _parsed_path(path: str) -> str:
    return os.path.join(os.path.dirname(path), PARSED_NAME)


def _key(path: str, version: str) -> str:
    """Return what identifies the index: this very file, and the version of it that the remote has."""
    status = os.stat(path)
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}:{status.st_size}:{version}"


def _map(path: str, version: str) -> tuple[Index, int] | None:
    """Map what an earlier process parsed."""
    try:
        index = map_parsed(_parsed_path(path), _key(path, version))
        return None if index is None else (index, os.path.getsize(path))
    except OSError:
        return None


def _keep(index: Index, path: str, version: str) -> Index:
    """Leave a large index for the next process, where that is possible, and map it like that one."""
    if index.num_shards < _WORTH_KEEPING:
        return index
    parsed = _parsed_path(path)
    try:
        key = _key(path, version)
        with locked_part(parsed + ".part") as part:
            with open(part, "wb") as file:
                file.writelines(dump_parsed(index, key))
            os.replace(part, parsed)
        return map_parsed(parsed, key) or index
    except OSError as error:  # read-only, full: parsing it again will do
        logger.debug("cannot write %s: %s", parsed, error)
        return index


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
