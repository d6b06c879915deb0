"""A dataset that a command reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from streaming.core.errors import ObjectNotFoundError
from streaming.format.index import Index
from streaming.storage.registry import open_store, options_for
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store
from streaming.storage.url import join, redact

__all__ = ["INDEX_NAME", "Source", "read_source", "with_retries"]

INDEX_NAME = "index.json"

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A dataset.

    Attributes:
        name: Its path or URL, without secrets.
        store: What it is read from.
        data: Contents of its ``index.json``.
        index: The same, parsed.
    """

    name: str
    store: Store
    data: bytes
    index: Index


def read_source(url: str, options: Mapping[str, Any]) -> Source:
    """Read the index of a dataset.

    Args:
        url: Its directory or URL, or that of its index.
        options: Of its store.

    Raises:
        ObjectNotFoundError: There is no index.
        IndexFormatError: It is not valid.
        StorageError: It cannot be read.
    """
    root, mark, query = url.partition("?") if "://" in url else (url, "", "")
    if root.rpartition("/")[2] == INDEX_NAME:
        root = root[: -len(INDEX_NAME)] or "."
    root += mark + query
    store = open_store(root, options_for(root, options))
    name = redact(root)
    try:
        data = with_retries(lambda: store.get(INDEX_NAME))
    except ObjectNotFoundError as error:
        raise ObjectNotFoundError(f"There is no dataset at {name}: it has no {INDEX_NAME}. Check the path.") from error
    return Source(name, store, data, Index.parse(data, redact(join(root, INDEX_NAME))))


def with_retries(call: Callable[[], T]) -> T:
    """Call, and try again after a failure of the store that may pass."""
    return call_with_retries(call, RetryPolicy(), time.sleep)
