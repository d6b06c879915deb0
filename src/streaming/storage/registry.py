"""Which store serves which URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streaming.core.registry import Registry
from streaming.storage.store import Store
from streaming.storage.url import scheme_of

__all__ = ["StoreFactory", "open_store", "stores"]

StoreFactory = Callable[[str, Mapping[str, Any]], Store]
"""Makes a store of a URL and the options of :func:`open_store`."""

stores: Registry[StoreFactory] = Registry(
    "storage scheme",
    {
        "file": "streaming.storage.local:open_local",
        "s3": "streaming.storage.s3:open_s3",
        "s3a": "streaming.storage.s3:open_s3",
        "http": "streaming.storage.http:open_http",
        "https": "streaming.storage.http:open_http",
    },
    group="streaming.stores",
)


def open_store(url: str, options: Mapping[str, Any] | None = None) -> Store:
    """Return the store of a URL. Nothing is contacted yet.

    Args:
        url: A URL, or a path of a mounted file system (``~`` is expanded).
        options: Settings of the store, by the names that its family documents; they go before the environment.

    Returns:
        The store whose root is the URL.

    Raises:
        UnknownNameError: No store serves the URL's scheme; the text lists those that are served.
        ConfigError: The URL lacks a part that its scheme needs, or an option is unknown.

    Example:
        >>> open_store("/data/train")
        /data/train
        >>> open_store("s3://bucket/train", {"region": "eu-west-1"})
        s3://bucket/train
    """
    return stores[scheme_of(url) or "file"](url, dict(options or {}))
