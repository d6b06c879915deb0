"""Indexes of WebDataset's ``wids``: JSON that lists archives wherever they are, and how many samples each has."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, cast

from streaming.core.errors import ConfigError, ObjectNotFoundError, SourceError, StorageError
from streaming.sources.lakes.found import Found
from streaming.sources.listing import is_pattern, list_named
from streaming.storage.location import Location
from streaming.storage.registry import open_store

__all__ = ["find_wids", "is_wids"]

_NAME = "index.json"
#: In how many bytes at its begin a file tells that it is one, and how large none is.
_BEGIN_BYTES, _MOST_BYTES = 1 << 16, 1 << 28
_MARK = b'"wids_version"'

Entry = tuple[str, int | None, int | None]


def is_wids(place: Location) -> bool:
    """Say whether a place is such an index, or a directory that has one for its ``index.json``."""
    try:
        return _read(place) is not None
    except StorageError:
        return False


def find_wids(place: Location) -> Found | None:
    """Return the archives that an index lists; ``None`` if a place is none, nor a directory whose ``index.json`` is one.

    Args:
        place: The index, or its directory.

    Raises:
        ConfigError: It names archives that cannot be read together.
        SourceError: It is no such index, or an archive is not of the size that it says.
        StorageError: An archive cannot be found.
    """
    place = place.absolute(os.getcwd())
    read = _read(place)
    if read is None:
        return None
    directory, document = read
    entries = list(_entries(document, str(place), directory, True))
    if not entries:
        raise SourceError(f"The index {place} lists no archives (shardlist).")
    urls = [url for url, _, _ in entries]
    twice = next((url for url, count in Counter(urls).items() if count > 1), None)
    if twice is not None:
        raise ConfigError(
            f"The index {place} lists {twice} twice. List it once; repeat a stream by repeat= or proportion=."
        )
    same = takewhile(lambda some: len(set(some)) == 1, zip(*(url.split("/")[:-1] for url in urls), strict=False))
    root = "/".join(some[0] for some in same)
    is_one = root.partition("://")[2] if "://" in urls[0] else "://" not in urls[-1]
    if not is_one or any("?" in url for url in urls):
        raise ConfigError(
            f"The index {place} lists archives that are not below one directory of one store, or by URLs with settings "
            f"(such as {urls[0]} and {urls[-1]}). Give each place its own stream."
        )
    own = Location.parse(root or "/")
    store = open_store(replace(place, base=own.base) if own.scheme == place.scheme else own)
    infos = list_named(store, [url[len(root) + 1 :] for url in urls], own.scheme)
    if len(infos) != len(urls):
        raise SourceError(f"The index {place} lists directories. It is to list archives.")
    for info, (url, _, size) in zip(infos, entries, strict=True):
        if size is not None and size != info.bytes:
            raise SourceError(
                f"{url} has {info.bytes:,} bytes, and the index {place} says {size:,}: one was written again without the "
                "other. Write the index again."
            )
    counts = [count for _, count, _ in entries]
    return Found(store, "webdataset", infos, counts=None if None in counts else cast("list[int]", counts))


def _read(place: Location) -> tuple[str, Mapping[str, Any]] | None:
    """Return the directory of an index, and what it says."""
    if is_pattern(place):
        return None
    directory, _, name = place.base.rpartition("/")
    if not name.endswith(".json"):
        directory, name = place.base.rstrip("/"), _NAME
    store = open_store(replace(place, base=directory or ("/" if place.base.startswith("/") else ".")))
    try:
        info = store.head(name)
        begin = store.get_range(name, 0, min(_BEGIN_BYTES, info.bytes)) if info.bytes else b""
    except ObjectNotFoundError:
        return None
    if info.bytes > _MOST_BYTES or _MARK not in begin or begin.lstrip()[:1] != b"{":
        return None
    try:
        found: Any = json.loads(begin if len(begin) == info.bytes else store.get(name))
    except (ValueError, RecursionError):  # lines, of which one has a column of that name
        return None
    return directory, cast("Mapping[str, Any]", found)


def _entries(document: Mapping[str, Any], place: str, directory: str, is_first: bool) -> Iterator[Entry]:
    """Yield URL, number of samples and size of each archive."""
    if document.get("wids_version") != 1:
        raise SourceError(f"The index {place} has wids_version {document.get('wids_version')!r}; only 1 can be read.")
    yield from _listed(document, place, directory)
    for each in cast("Sequence[Mapping[str, Any]]", document.get("datasets") or ()):
        url = each.get("source_url")
        if url is None:
            yield from _listed(each, place, directory)
            continue
        other = _read(Location.parse(_joined(directory, str(url)))) if is_first else None
        if other is None:
            raise SourceError(f"The index {place} names {url}, which is no index of wids, or names others in turn.")
        yield from _entries(other[1], str(url), other[0], False)


def _listed(document: Mapping[str, Any], place: str, directory: str) -> Iterator[Entry]:
    base = str(document.get("base") or directory)
    for entry in cast("Sequence[Any]", document.get("shardlist") or ()):
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
            raise SourceError(f"The index {place} has an entry without a url: {json.dumps(entry):.80}.")
        counts = [entry.get(name) if isinstance(entry.get(name), int) else None for name in ("nsamples", "filesize")]
        yield _joined(base, entry["url"]), counts[0], counts[1]


def _joined(base: str, url: str) -> str:
    """Return a URL or path that is relative to another."""
    if url.startswith("pipe:"):
        raise ConfigError(f"{url!r} is a command, and none is run. Name the archive by its URL.")
    if "://" in url:
        return url
    scheme, mark, rest = base.rpartition("://")
    host, slash, path = rest.partition("/") if mark and scheme != "file" else ("", "", rest)
    joined = os.path.normpath(os.path.join("/" if mark else "", path, url))
    return f"{scheme}{mark}{host}{slash or '/'}{joined.lstrip('/')}" if host else f"{scheme}{mark}{joined}"
