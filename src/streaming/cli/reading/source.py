"""A dataset that a command reads."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from glob import escape, glob

from streaming.columns.shards import with_retries
from streaming.core.errors import ObjectNotFoundError
from streaming.format.index import Index
from streaming.format.unfinished import why_unfinished
from streaming.storage.location import Location
from streaming.storage.providers.local import LocalStore
from streaming.storage.registry import open_store
from streaming.storage.store import Store

__all__ = ["INDEX_NAME", "Source", "read_source"]

INDEX_NAME = "index.json"

_MAX_NAMES = 5
_ONE_SLASH = re.compile(r"([a-z][a-z0-9+-]+):/([^/].*)")


@dataclass(frozen=True)
class Source:
    """A dataset.

    Attributes:
        place: Where it is.
        store: What it is read from.
        data: Contents of its ``index.json``.
        index: The same, parsed.
    """

    place: Location
    store: Store
    data: bytes
    index: Index

    @property
    def name(self) -> str:
        """Its path or URL, without secrets."""
        return str(self.place)


def read_source(place: Location) -> Source:
    """Read the index of a dataset.

    Args:
        place: Where it or its index is.

    Raises:
        ObjectNotFoundError: There is no index.
        IndexFormatError: It is not valid.
        StorageError: It cannot be read.
    """
    root = place.above(INDEX_NAME)
    store = open_store(root)
    try:
        data = with_retries(lambda: store.get(INDEX_NAME))
    except ObjectNotFoundError as error:
        raise ObjectNotFoundError(f"There is no dataset at {root}: {_why_not(store)}") from error
    return Source(root, store, data, Index.parse(data, str(root.join(INDEX_NAME))))


def _why_not(store: Store) -> str:
    text = f"it has no {INDEX_NAME}."
    if not isinstance(store, LocalStore):
        return f"{text} Check the path; `streaming ls` shows what is there."
    if os.path.isfile(store.root):
        return f"it is a file. Give the directory that holds {INDEX_NAME}."
    single = _ONE_SLASH.match(store.root)
    if single:
        return f"that is a path, and not there. Did you mean {single[1]}://{single[2]}?"
    if not store.exists_root():
        return f"there is no such directory, and so no {INDEX_NAME}. Check the path."
    below = sorted(glob(f"{escape(store.root)}/*/{INDEX_NAME}"))
    if not below:
        return f"{text} {why_unfinished(store.root) or 'Check the path; `streaming ls` shows what is there.'}"
    names = [path.split(os.sep)[-2] for path in below]
    shown = ", ".join(names[:_MAX_NAMES]) + (", ..." if len(names) > _MAX_NAMES else "")
    return f"{text} There are datasets in directories below it: {shown}."
