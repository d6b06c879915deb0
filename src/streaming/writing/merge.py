"""Merging: one index for the shards of several, which stay where they are."""

from __future__ import annotations

import inspect
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, overload

from streaming.columns.parquet import COLUMNS_NAME
from streaming.core.errors import ConfigError, IndexFormatError, ObjectNotFoundError, StorageError, UploadError
from streaming.core.names import Where
from streaming.format.index import dump_index
from streaming.format.metadata import METADATA_NAME, agreed_metadata, dump_metadata, parse_metadata
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store
from streaming.writing.partitions import by_numbers, directory_of_index, find_partitions, parse_place, paths_below
from streaming.writing.publish.entries import INDEX_NAME, check_columns, file_names, map_names, read_entries
from streaming.writing.publish.places import Place
from streaming.writing.publish.stored import check_stored

__all__ = [
    "IndexMissingError",
    "IndexUnavailableError",
    "find_places",
    "merge_index",
    "merge_list",
    "merge_places",
    "merge_root",
]

logger = logging.getLogger(__name__)

_THREADS = 16
_ATTEMPTS = 3


class IndexUnavailableError(StorageError, RuntimeError):
    """The index of a partition could not be read."""


class IndexMissingError(IndexUnavailableError, ObjectNotFoundError):
    """A partition has no index where it should be."""


@overload
def merge_index(
    index_file_urls: list[Any],
    out: Where | tuple[Where, Where],
    keep_local: bool = True,
    download_timeout: float = 60,
    *,
    storage_options: StorageOptions | None = None,
) -> None: ...


@overload
def merge_index(
    out: Where | tuple[Where, Where],
    keep_local: bool = True,
    download_timeout: float = 60,
    *,
    storage_options: StorageOptions | None = None,
) -> None: ...


def merge_index(*args: Any, **kwargs: Any) -> None:  # noqa: D417 (the names are those of the forms)
    """Write one ``index.json`` for the shards of several datasets below one root.

    Shards are not touched: the merged index names each by its path below the root. There are two forms::

        merge_index(index_file_urls, out, keep_local=True, download_timeout=60)
        merge_index(out, keep_local=True, download_timeout=60)

    The first takes the indexes in the order given; the second finds every ``index.json`` in the directories below
    ``out``, and takes them in the order of their paths, numbers by their value (``2`` before ``10``). Merging again
    replaces the merged index. A shard that two of the indexes list is listed once. Metadata of the datasets goes along, but
    for what they contradict each other in.

    Args:
        index_file_urls: Paths or URLs of the partitions or of their index files, or pairs ``(local, remote)`` whose local
            file is read where it exists. A list.
        out: The root: a directory, a URL, or a pair ``(local, remote)``.
        keep_local: Whether to write the merged index into the local directory of a pair too, besides uploading it. Nothing
            else local is ever changed.
        download_timeout: Longest time in seconds without a byte while an index is fetched.
        storage_options: Settings of the stores, as for :class:`streaming.Stream`.

    Raises:
        ConfigError: The arguments fit neither form, a partition is not below ``out`` or has other columns than the
            first, or two would get the same place.
        FileExistsError: The ``index.json`` at ``out`` is none, or lists shards of its own that would be left out.
        IndexMissingError: (a ``FileNotFoundError``) A partition has no index.
        IndexUnavailableError: (a ``RuntimeError``) An index could not be fetched.
        IndexFormatError: An index is not valid.
        UploadError: The merged index could not be uploaded, or shards that it would list are not there.

    Example:
        >>> for part in ('0', '1'):  # by two processes, say
        ...     with MDSWriter(columns={'text': 'str'}, out=f'parts/{part}') as out:
        ...         out.write({'text': part})
        >>> merge_index('parts')
        >>> StreamingDataset(local='parts')[:]
        [{'text': '0'}, {'text': '1'}]
    """
    # The first argument decides the form, and in the second form `keep_local` follows it directly.
    first = args[0] if args else kwargs.get("index_file_urls")
    form: Callable[..., None] = merge_list if isinstance(first, list) else merge_root
    try:
        bound = inspect.signature(form).bind(*args, **kwargs)
    except TypeError as error:
        raise ConfigError(
            f"merge_index: {error}. Call merge_index(index_file_urls, out, keep_local, download_timeout) with a list, "
            "or merge_index(out, keep_local, download_timeout) with a path, a URL or a pair."
        ) from None
    form(*bound.args, **bound.kwargs)


def merge_list(
    index_file_urls: list[Any],
    out: Any,
    keep_local: bool = True,
    download_timeout: float = 60,
    *,
    storage_options: StorageOptions | None = None,
) -> None:
    """Merge the datasets of a list; see :func:`merge_index`."""
    if not index_file_urls or not out:
        logger.warning("merge_index: index_file_urls or out is empty; nothing was merged")
        return
    partitions = list(
        dict.fromkeys(directory_of_index(parse_place(given, storage_options)) for given in index_file_urls)
    )
    merge_places(partitions, parse_place(out, storage_options), keep_local, download_timeout)


# What an editor or `help` shows, which see but the function that takes both forms.
merge_index.__dict__["__signature__"] = inspect.signature(merge_list)


def merge_root(
    out: Any,
    keep_local: bool = True,
    download_timeout: float = 60,
    *,
    storage_options: StorageOptions | None = None,
) -> None:
    """Merge the datasets in the directories below a root; see :func:`merge_index`."""
    if not out:
        logger.warning("merge_index: out is empty; nothing was merged")
        return
    root = parse_place(out, storage_options)
    partitions = find_places(root)
    if partitions:
        merge_places(partitions, root, keep_local, download_timeout)
    else:
        logger.warning("merge_index: no %s in the directories below %s; nothing was merged", INDEX_NAME, root)


def find_places(root: Place) -> list[Place]:
    """Return the directories below a root that hold an index, in the order of their paths."""
    local = find_partitions(root.local) if root.local else []
    # Readers go by the remote, so what it lacks cannot be in the merged index.
    found = find_partitions(root.remote) if root.remote else local
    if root.remote and set(local) - set(found):
        logger.warning("merge_index: not at %s, so left out: %s", root, ", ".join(sorted(set(local) - set(found))))
    return [
        Place(
            root.local.join(path) if root.local and path in local else None,
            root.remote.join(path) if root.remote else None,
        )
        for path in sorted(found, key=by_numbers)
    ]


def merge_places(
    partitions: Sequence[Place], root: Place, keep_local: bool = True, download_timeout: float = 60
) -> None:
    """Write one index for datasets below a root; see :func:`merge_index`."""
    prefixes = paths_below(partitions, root)
    with ThreadPoolExecutor(min(_THREADS, len(partitions))) as pool:
        entries = list(pool.map(partial(_read, timeout_s=download_timeout), partitions))
        metadata, contradictions = agreed_metadata(pool.map(_read_metadata, partitions))
    seen: set[str] = set()
    merged: list[dict[str, Any]] = []
    for prefix, part in zip(prefixes, entries, strict=True):
        for entry in part:
            moved = map_names(entry, prefix)
            names = file_names(moved)
            # An index that was itself merged lists shards that its partitions list too.
            if not seen.intersection(names):
                merged.append(moved)
            seen.update(names)
    check_columns(list(zip(map(str, partitions), entries, strict=True)))
    if contradictions:
        logger.warning("merge_index: the parts contradict each other, so it is left out: %s", ", ".join(contradictions))
    _publish(merged, metadata, root, keep_local)
    if partitions and _has_side_columns(partitions[0]):
        logger.warning(
            "merge_index: the parts have side columns (%s), the merged dataset has not. Make them for all of it: "
            "streaming index %s --columns ... --beside",
            COLUMNS_NAME,
            root,
        )


def _has_side_columns(partition: Place) -> bool:
    try:
        open_store(partition.where).head(COLUMNS_NAME)
    except StorageError:
        return False
    return True


def _publish(entries: Sequence[dict[str, Any]], metadata: dict[str, Any], root: Place, keep_local: bool) -> None:
    """Write an index where it belongs, if it may replace what is there, and says what is so."""
    stores = [open_store(root.local)] if root.local is not None and (keep_local or root.remote is None) else []
    if root.remote is not None:
        stores.insert(0, open_store(root.remote))
    for store in stores:
        _check_replaceable(store, entries)
    check_stored(stores[0], entries)
    data = dump_index(entries)
    files = {METADATA_NAME: dump_metadata(metadata)} if metadata else {}
    for store in stores:
        for name, content in {**files, INDEX_NAME: data}.items():
            try:
                call_with_retries(partial(store.put, name, content), RetryPolicy(_ATTEMPTS), time.sleep)
            except StorageError as error:
                raise UploadError(f"Could not upload the merged {name} to {store!r}: {error}") from error


def _check_replaceable(store: Store, entries: Sequence[dict[str, Any]]) -> None:
    """Refuse to replace what is no index, and an index of shards that then nobody would find."""
    try:
        data = call_with_retries(lambda: store.get(INDEX_NAME), RetryPolicy(_ATTEMPTS), time.sleep)
    except ObjectNotFoundError:
        return
    try:
        there = read_entries(data, f"{INDEX_NAME} of {store!r}")
    except IndexFormatError as error:
        raise FileExistsError(
            f"{INDEX_NAME} at {store!r} is no index of a dataset, so it is not replaced. Move it away. ({error})"
        ) from error
    listed = {name for entry in entries for name in file_names(entry)}
    own = [name for entry in there for name in file_names(entry) if "/" not in name and name not in listed]
    if own:
        raise FileExistsError(
            f"There is a dataset at {store!r} itself, besides those below it: its index lists {own[0]!r} and {len(own) - 1} "
            "more files that the merged index would not. Give it in the list of what is merged, or move it to a directory."
        )


def _read_metadata(partition: Place) -> dict[str, Any]:
    """Return what is known of a part. What cannot be read is told: stores may refuse what is not there."""
    store = open_store(partition.where)
    try:
        data = call_with_retries(lambda: store.get(METADATA_NAME), RetryPolicy(_ATTEMPTS), time.sleep)
    except ObjectNotFoundError:
        return {}
    except StorageError as error:
        logger.warning(
            "merge_index: %s of %s could not be read, so what it says is left out of the merged dataset: %s",
            METADATA_NAME,
            partition,
            error,
        )
        return {}
    return parse_metadata(data, f"{METADATA_NAME} of {partition}")


def _read(partition: Place, timeout_s: float) -> list[dict[str, Any]]:
    where = partition.where
    if partition.local and os.path.isfile(partition.local.join(INDEX_NAME).path):
        where = partition.local
    store = open_store(where)
    source = str(where.join(INDEX_NAME))
    with tempfile.TemporaryDirectory(prefix="streaming-merge-") as directory:
        path = os.path.join(directory, INDEX_NAME)

        def fetch() -> bytes:
            store.download(INDEX_NAME, path, stall_timeout=timeout_s)
            with open(path, "rb") as file:
                return file.read()

        try:
            data = call_with_retries(fetch, RetryPolicy(_ATTEMPTS), time.sleep)
        except ObjectNotFoundError as error:
            raise IndexMissingError(f"There is no index at {source}. Check the path. ({error})") from error
        except StorageError as error:
            raise IndexUnavailableError(f"Could not fetch {source}: {error}") from error
    return read_entries(data, source)
