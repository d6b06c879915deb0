"""Get a stream's ``index.json``: from the remote, or from the local directory when it is the same or all there is."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from streaming.cache.bookkeeping.identity import Identity, digest, identify, is_proved
from streaming.cache.files.ownership import known_facts, open_table, set_aside
from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    EmptyDatasetError,
    LockedError,
    ObjectNotFoundError,
    StorageError,
)
from streaming.core.process.lock import locked_part, no_wait
from streaming.format.formats import empty_bytes
from streaming.format.index import Index, digest_of
from streaming.format.index.mapped import dump_parsed, map_parsed
from streaming.format.unfinished import why_unfinished
from streaming.storage import versions
from streaming.storage.providers.local import LocalStore
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import ObjectInfo, Store

__all__ = ["INDEX_NAME", "LoadedIndex", "load_index"]

logger = logging.getLogger(__name__)

INDEX_NAME = "index.json"
PARSED_NAME = ".streaming-index"
#: Indexes of fewer shards are parsed in less time than anybody notices.
_WORTH_KEEPING = 20_000
_warned: set[str] = set()


class IndexMissingError(EmptyDatasetError, FileNotFoundError):
    """There is no index where the dataset should be."""


@dataclass(frozen=True)
class LoadedIndex:
    """An index, and what it is known by.

    Attributes:
        index: The index.
        bytes: Size of ``index.json``.
        identity: The dataset that it is of, at the version that was opened.
    """

    index: Index
    bytes: int
    identity: Identity


def load_index(directory: str, store: Store | None, retries: int, origin: str = "") -> LoadedIndex:
    """Read the index of a stream.

    A large index is left beside ``index.json`` in parsed form, which further processes map.

    With a remote, the remote's index counts: a local copy of another dataset, or of an older version, is replaced. If
    the remote cannot be reached, a local copy that came from it is used, with a warning; one from elsewhere is not.

    Args:
        directory: The stream's local directory.
        store: The stream's remote, or ``None``.
        retries: Further attempts after a failed one.
        origin: Where the remote is, without secrets.

    Returns:
        The index, and what it is known by.

    Raises:
        IndexMissingError: There is no index, locally or remotely.
        IndexFormatError: It is not a valid index.
        StorageError: The remote failed and there is no local copy of its index.
    """
    loaded = _load(directory, store, retries, origin)
    _warn_of_lost(loaded.index, directory if store is None else repr(store))
    return loaded


def _load(directory: str, store: Store | None, retries: int, origin: str) -> LoadedIndex:
    path = os.path.join(directory, INDEX_NAME)
    opened = time.time()
    if store is None:
        return _load_local(directory, path, opened)
    parsed = _map_current(path, store, origin, opened)
    if parsed is not None:
        return parsed
    policy = RetryPolicy(attempts=retries + 1)
    try:
        data, info = call_with_retries(lambda: _read_remote(store), policy, time.sleep)
        index = Index.parse(data, f"{INDEX_NAME} at {store!r}")
        if info is None and not is_proved(index):
            data, info = call_with_retries(lambda: versions.read(store, INDEX_NAME), policy, time.sleep)
            index = Index.parse(data, f"{INDEX_NAME} at {store!r}")
    except StorageError as error:
        return _load_of_old(directory, path, origin, opened, store, error)
    identity = identify(index, origin, info, opened)
    if info is not None and not identity.has_version and not is_proved(index):
        _warn_of_no_versions(store, origin)
    _write(directory, path, data, index, identity)
    if index.num_shards >= _WORTH_KEEPING:
        with suppress(StorageError):
            info = info or store.head(INDEX_NAME)
            if info.etag is not None and info.bytes == len(data):
                index = _keep(index, path, _version(origin, info))
    return LoadedIndex(index, len(data), identity)


def _load_local(directory: str, path: str, opened: float) -> LoadedIndex:
    parsed = _map(path, "")
    if parsed is not None:
        index, size = parsed
    else:
        data = _read(path)
        if data is None:
            advice = why_unfinished(directory) or "Check the path (and `split`), or give `remote`."
            raise IndexMissingError(f"No {INDEX_NAME} in {directory}, and no remote to get it from. {advice}")
        index, size = _keep(Index.parse(data, path), path, ""), len(data)
    modified = None
    with suppress(OSError):
        modified = os.stat(path).st_mtime
    return LoadedIndex(index, size, Identity(digest(directory), index.digest, opened=opened, modified=modified))


def _read_remote(store: Store) -> tuple[bytes, ObjectInfo | None]:
    """Return the index, and its version if that costs no further request."""
    if getattr(store, "reads_in_one", False):
        return versions.read(store, INDEX_NAME)
    return store.get(INDEX_NAME), None


def _warn_of_no_versions(store: Store, origin: str) -> None:
    if origin not in _warned:
        _warned.add(origin)
        logger.warning(
            "the dataset at %r has no recorded hashes, and its store tells no versions: if it is written again with the "
            "same sizes, that cannot be noticed, and cached shards are served. Write it with hashes=['xxh64'].",
            store,
        )


def _warn_of_lost(index: Index, where: str) -> None:
    """Warn of a shard that has no samples by the index, but more bytes than that takes: nobody would open it."""
    for shard_id in np.flatnonzero(index.samples == 0).tolist():
        info = index.shard(shard_id)
        size, empty = int(index.raw_bytes[shard_id]), 0
        with suppress(ConfigError):  # nothing here writes such shards
            empty = empty_bytes(info.schema)
        if 0 < empty < size:
            logger.warning(
                "the index of %s says that shard %d (%s) has no samples, but it has %d bytes, of which %d would be enough: "
                "what is in it is not served. Run `streaming verify`, and write the dataset again.",
                *(where, shard_id, info.raw[-1].basename, size, empty),
            )
            return


def _load_of_old(
    directory: str, path: str, origin: str, opened: float, store: Store, error: StorageError
) -> LoadedIndex:
    """Load what was fetched before from a remote that is away now.

    Raises:
        IndexMissingError: The remote has no index, and had none.
        StorageError: There is no local copy that is known to come from this remote.
    """
    local = _read(path)
    if local is not None:
        where, which = digest(origin), digest_of(local)
        for facts in known_facts(directory):
            if facts.startswith(where + which):
                logger.warning("using the local %s, since the remote's cannot be read: %s", path, error)
                identity = Identity(where, which, facts[32:], opened, is_seen=False)
                return LoadedIndex(Index.parse(local, path), len(local), identity)
    hint = "" if local is None else f" (What is in {directory} is not known to be from there, so it is not used.)"
    if isinstance(error, ObjectNotFoundError):
        advice = why_unfinished(store.root) if isinstance(store, LocalStore) else ""
        advice = advice or "Check `remote` and `split`; a dataset is complete only once its writer has finished."
        raise IndexMissingError(f"No {INDEX_NAME} at {store!r}: {error} {advice}{hint}") from error
    if hint:
        raise type(error)(f"{error}{hint}") from error
    raise error


def _write(directory: str, path: str, data: bytes, index: Index, identity: Identity) -> None:
    """Keep a copy of the remote's index. A local one that this cache did not write gets another name."""
    os.makedirs(directory, exist_ok=True)
    # First of all note what the copy is: it is used when the remote is away, and replaced only if it is known to be ours.
    open_table(directory, index, identity)
    if _read(path) == data:
        return
    try:
        _replace(directory, path, data)
    except LockedError as error:  # it is needed only when the remote is away
        logger.warning("%s is not kept. %s", path, error)
    except OSError as error:
        raise AccessDeniedError(
            f"Could not write {path}: {error}. Check free space and permissions of {directory}, or choose another `local`."
        ) from error


def _replace(directory: str, path: str, data: bytes) -> None:
    with locked_part(path + ".part") as part:
        local = _read(path)
        if os.path.lexists(path):
            known = {facts[16:32] for facts in known_facts(directory)}
            if local is None or os.path.islink(path) or digest_of(local) not in known:
                set_aside(path)
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)


def _parsed_path(path: str) -> str:
    return os.path.join(os.path.dirname(path), PARSED_NAME)


def _version(origin: str, info: ObjectInfo) -> str:
    return f"{digest(origin).hex()}:{info.etag}"


def _key(path: str, version: str) -> str:
    """Return what identifies the index: this very file, and the version of it that the remote has."""
    status = os.stat(path)
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}:{status.st_size}:{version}"


def _map_current(path: str, store: Store, origin: str, opened: float) -> LoadedIndex | None:
    """Map what an earlier process parsed, if it is what the remote has."""
    if not os.path.exists(_parsed_path(path)):
        return None
    try:
        info = store.head(INDEX_NAME)
    except StorageError:
        return None
    parsed = _map(path, _version(origin, info)) if info.etag is not None else None
    if parsed is None:
        return None
    return LoadedIndex(*parsed, identify(parsed[0], origin, info, opened))


def _map(path: str, version: str) -> tuple[Index, int] | None:
    """Map what an earlier process parsed."""
    try:
        status = os.stat(path)
        # Who may write a local dataset's index may write what was parsed from it.
        index = map_parsed(_parsed_path(path), _key(path, version), () if version else (status.st_uid,))
        return None if index is None else (index, status.st_size)
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
        with open(path, "rb", opener=no_wait) as file:
            return file.read()
    except IsADirectoryError:
        raise AccessDeniedError(f"{path} is a directory, and the index has to have that name. Remove it.") from None
    except (FileNotFoundError, NotADirectoryError):
        return None
