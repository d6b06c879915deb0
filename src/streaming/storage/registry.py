"""Which store serves which URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streaming.core.registry import Registry
from streaming.storage.store import Store
from streaming.storage.url import scheme_of

__all__ = ["open_store", "stores"]

StoreFactory = Callable[..., Store]

stores: Registry[StoreFactory] = Registry(
    "storage scheme",
    {
        "": "streaming.storage.local:LocalStore",
        "file": "streaming.storage.local:LocalStore",
    },
    group="streaming.stores",
)


def open_store(url: str, options: Mapping[str, Any] | None = None) -> Store:
    """Return the store of a URL. Nothing is contacted yet.

    Args:
        url: A URL, or a path of a mounted file system.
        options: Settings of the store, by the name its family documents.

    Raises:
        UnknownNameError: No store serves the URL's scheme.
    """
    factory = stores[scheme_of(url)]
    return factory(url, **dict(options or {}))
