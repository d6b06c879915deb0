"""Get a stream's ``index.json``: from the remote, or from the local directory when it is the same or all there is."""

from __future__ import annotations

import logging
import os
import time

from streaming.cache.lock import locked_part
from streaming.core.errors import EmptyDatasetError, ObjectNotFoundError, StorageError
from streaming.format.index import Index
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store

__all__ = ["INDEX_NAME", "load_index"]

logger = logging.getLogger(__name__)

INDEX_NAME = "index.json"


class IndexMissingError(EmptyDatasetError, FileNotFoundError):
    """There is no index where the dataset should be."""


def load_index(directory: str, store: Store | None, retries: int) -> tuple[Index, int]:
    """Read the index of a stream.

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
        data = _read(path)
        if data is None:
            raise IndexMissingError(
                f"No {INDEX_NAME} in {directory}, and no remote to get it from. Check the path (and `split`), or "
                "give `remote`."
            )
        return Index.parse(data, path), len(data)
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
    return index, len(data)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
