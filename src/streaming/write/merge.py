"""Merging: one index for the shards of several, which stay where they are."""

from __future__ import annotations

import inspect
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

from streaming.core.errors import ConfigError, ObjectNotFoundError, StorageError, UploadError
from streaming.format.index import dump_index
from streaming.storage.registry import open_store
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.url import is_local, join, redact
from streaming.write.entries import INDEX_NAME, file_names, map_names, read_entries

__all__ = ["IndexMissingError", "IndexUnavailableError", "merge_index"]

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
    out: str | tuple[str, str],
    keep_local: bool = True,
    download_timeout: float = 60,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> None: ...


@overload
def merge_index(
    out: str | tuple[str, str],
    keep_local: bool = True,
    download_timeout: float = 60,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> None: ...


def merge_index(*args: Any, **kwargs: Any) -> None:
    """Write one ``index.json`` for the shards of several datasets below one root.

    Shards are not touched: the merged index names each by its path below the root. There are two forms::

        merge_index(index_file_urls, out, keep_local=True, download_timeout=60)
        merge_index(out, keep_local=True, download_timeout=60)

    The first takes the indexes in the order given; the second finds every ``index.json`` in the directories below
    ``out``, and takes them in the order of their paths, numbers by their value (``2`` before ``10``). Merging again
    replaces the merged index. A shard that two of the indexes list is listed once.

    Args:
        args: ``index_file_urls`` (a list) and ``out``, or ``out`` alone.
        kwargs: The arguments by name: ``index_file_urls``, paths or URLs of the partitions or of their index files, or
            pairs ``(local, remote)`` whose local file is read where it exists; ``out``, the root: a directory, a URL,
            or a pair of both; ``keep_local``, whether to write the merged index into the local directory of a pair
            too, besides uploading it (nothing else local is ever changed); ``download_timeout``, the longest time in
            seconds without a byte while an index is fetched; ``storage_options`` of the stores (see
            :func:`streaming.storage.registry.open_store`).

    Raises:
        ConfigError: The arguments fit neither form, or two partitions would get the same place below ``out``.
        IndexMissingError: (a ``FileNotFoundError``) A partition has no index.
        IndexUnavailableError: (a ``RuntimeError``) An index could not be fetched.
        IndexFormatError: An index is not valid.
        UploadError: The merged index could not be uploaded.

    Example:
        >>> merge_index("s3://bucket/data")  # has data/0/index.json, data/1/index.json, ...
    """
    # The first argument decides the form, and in the second form `keep_local` follows it directly.
    first = args[0] if args else kwargs.get("index_file_urls")
    form: Callable[..., None] = _merge_list if isinstance(first, list) else _merge_root
    try:
        bound = inspect.signature(form).bind(*args, **kwargs)
    except TypeError as error:
        raise ConfigError(
            f"merge_index: {error}. Call merge_index(index_file_urls, out, keep_local, download_timeout) with a list, "
            "or merge_index(out, keep_local, download_timeout) with a path, a URL or a pair."
        ) from None
    form(*bound.args, **bound.kwargs)


@dataclass(frozen=True)
class _Place:
    """A directory by its local path, its URL, or both; the same contents in either."""

    local: str | None
    remote: str | None

    def __str__(self) -> str:
        return redact(self.remote) if self.remote else self.local or ""

    def below(self, root: _Place) -> str | None:
        """Path below a root, ``None`` if it is elsewhere."""
        for mine, other in ((self.remote, root.remote), (self.local, root.local)):
            if mine and other:
                path, top = _plain(mine), _plain(other)
                if path == top:
                    return ""
                if path.startswith(top.rstrip("/") + "/"):
                    return path[len(top.rstrip("/")) + 1 :]
        return None


def _merge_list(
    index_file_urls: list[Any],
    out: Any,
    keep_local: bool = True,
    download_timeout: float = 60,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    if not index_file_urls or not out:
        logger.warning("merge_index: index_file_urls or out is empty; nothing was merged")
        return
    partitions = list(dict.fromkeys(_partition(given) for given in index_file_urls))
    _merge(partitions, _place(out), keep_local, download_timeout, storage_options)


def _merge_root(
    out: Any,
    keep_local: bool = True,
    download_timeout: float = 60,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    if not out:
        logger.warning("merge_index: out is empty; nothing was merged")
        return
    root = _place(out)
    local = _find(root.local, None) if root.local else []
    # Readers go by the remote, so what it lacks cannot be in the merged index.
    found = _find(root.remote, storage_options) if root.remote else local
    if root.remote and set(local) - set(found):
        logger.warning("merge_index: not at %s, so left out: %s", root, ", ".join(sorted(set(local) - set(found))))
    if not found:
        logger.warning("merge_index: no %s in the directories below %s; nothing was merged", INDEX_NAME, root)
        return
    partitions = [
        _Place(
            os.path.join(root.local, path) if root.local and path in local else None,
            join(root.remote, path) if root.remote else None,
        )
        for path in sorted(found, key=_by_numbers)
    ]
    _merge(partitions, root, keep_local, download_timeout, storage_options)


def _merge(
    partitions: Sequence[_Place],
    root: _Place,
    keep_local: bool,
    download_timeout: float,
    storage_options: Mapping[str, Any] | None,
) -> None:
    prefixes = _prefixes(partitions, root)
    with ThreadPoolExecutor(min(_THREADS, len(partitions))) as pool:
        entries = list(pool.map(partial(_read, timeout_s=download_timeout, options=storage_options), partitions))
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
    data = dump_index(merged)
    if root.remote is not None:
        store = open_store(root.remote, storage_options)
        try:
            call_with_retries(lambda: store.put(INDEX_NAME, data), RetryPolicy(_ATTEMPTS), time.sleep)
        except StorageError as error:
            raise UploadError(f"Could not upload the merged {INDEX_NAME} to {store!r}: {error}") from error
    if root.local is not None and (keep_local or root.remote is None):
        open_store(root.local).put(INDEX_NAME, data)


def _prefixes(partitions: Sequence[_Place], root: _Place) -> list[str]:
    """Return the path of each partition below the root."""
    known = [partition.below(root) for partition in partitions]
    paths = [_plain(partition.remote or partition.local or "") for partition in partitions]
    elsewhere = [path for path, prefix in zip(paths, known, strict=True) if prefix is None]
    if elsewhere:
        top = _common_parent(elsewhere)
        logger.warning(
            "merge_index: %d of the partitions are not below %s. The merged index expects them there under the paths "
            "they have below %s: copy their shards.",
            len(elsewhere),
            root,
            top,
        )
        known = [path[len(top) + 1 :] if prefix is None else prefix for path, prefix in zip(paths, known, strict=True)]
    prefixes = [prefix or "" for prefix in known]
    if len(set(prefixes)) < len(prefixes):
        twice = sorted({prefix for prefix in prefixes if prefixes.count(prefix) > 1})
        raise ConfigError(
            f"Several partitions would be {', '.join(twice)!r} below {root}. Move them to different directories there."
        )
    return prefixes


def _common_parent(paths: Iterable[str]) -> str:
    split = [path.split("/")[:-1] for path in paths]
    common = split[0]
    for parts in split[1:]:
        same = [a == b for a, b in zip(common, parts, strict=False)]
        common = common[: same.index(False) if False in same else len(same)]
    return "/".join(common)


def _read(partition: _Place, timeout_s: float, options: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    url = partition.remote or partition.local or ""
    if partition.local and os.path.isfile(os.path.join(partition.local, INDEX_NAME)):
        url = partition.local
    store = open_store(url, None if is_local(url) else options)
    source = redact(join(url, INDEX_NAME))
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


def _find(root: str, storage_options: Mapping[str, Any] | None) -> list[str]:
    """Return the directories below a root, not the root itself, that hold an index."""
    store = open_store(root, None if is_local(root) else storage_options)
    end = "/" + INDEX_NAME
    return [info.path[: -len(end)] for info in store.list() if info.path.endswith(end)]


def _place(given: Any) -> _Place:
    if isinstance(given, (tuple, list)):
        if len(given) != 2:
            raise ConfigError(f"Expected a path, a URL, or a pair (local, remote); got {given!r}.")
        local, remote = (os.fspath(part) if part else None for part in given)
        if local and not is_local(local):
            raise ConfigError(f"The first of (local, remote) must be a local path, got {redact(local)!r}.")
        if not (local or remote):
            raise ConfigError("Both parts of a pair (local, remote) are empty; give at least one.")
        return _Place(os.path.expanduser(local) if local else None, remote)
    if not isinstance(given, (str, os.PathLike)):
        raise ConfigError(f"Expected a path, a URL, or a pair (local, remote); got {given!r}.")
    text = os.fspath(given)
    if isinstance(text, bytes):
        raise ConfigError(f"A path must be text, got {text!r}.")
    return _Place(os.path.expanduser(text), None) if "://" not in text and is_local(text) else _Place(None, text)


def _partition(given: Any) -> _Place:
    """Return the directory of an index that is given by its file or by the directory itself."""
    place = _place(given)
    return _Place(_directory(place.local), _directory(place.remote))


def _directory(url: str | None) -> str | None:
    if url is None:
        return None
    base, mark, query = url.partition("?") if "://" in url else (url, "", "")
    base = base.rstrip("/")
    if base.rpartition("/")[2] == INDEX_NAME:
        base = base.rpartition("/")[0] if "/" in base else "."
    return base + mark + query


def _plain(url: str) -> str:
    """Return a path or URL in the form in which two of them can be compared."""
    if is_local(url):
        path = getattr(open_store(url), "root", url)
        return os.path.realpath(path)
    return url.partition("?")[0].rstrip("/")


def _by_numbers(path: str) -> list[list[tuple[bool, int, str]]]:
    return [
        [
            (not piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece)
            for piece in re.split(r"(\d+)", part)
            if piece
        ]
        for part in path.split("/")
    ]
