"""Which store serves which URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, cast

from streaming.core.errors import ConfigError, UnknownNameError
from streaming.core.registry import Registry
from streaming.storage.location import Location
from streaming.storage.options import Sealed, StorageOptions, is_client, seal
from streaming.storage.ranged import RangedStore
from streaming.storage.store import Store

__all__ = ["StoreFactory", "open_store", "stores"]

StoreFactory = Callable[[str, Mapping[str, Any]], Store]
"""Makes a store of a URL and the options of :func:`open_store`."""

stores: Registry[StoreFactory] = Registry(
    "storage scheme",
    {
        "file": "streaming.storage.providers.local:open_local",
        "s3": "streaming.storage.providers.s3:open_s3",
        "s3a": "streaming.storage.providers.s3:open_s3",
        "gs": "streaming.storage.providers.gcs:open_gcs",
        "gcs": "streaming.storage.providers.gcs:open_gcs",
        "az": "streaming.storage.providers.azure:open_azure",
        "azure": "streaming.storage.providers.azure:open_azure",
        "azure-dl": "streaming.storage.providers.azure:open_azure",
        "abfs": "streaming.storage.providers.azure:open_azure",
        "abfss": "streaming.storage.providers.azure:open_azure",
        "oci": "streaming.storage.providers.oci:open_oci",
        "dbfs": "streaming.storage.providers.vendors.databricks:open_databricks",
        "hf": "streaming.storage.providers.vendors.hf:open_hf",
        "sftp": "streaming.storage.providers.sftp.store:open_sftp",
        "http": "streaming.storage.providers.http:open_http",
        "https": "streaming.storage.providers.http:open_http",
    },
    group="streaming.stores",
)


def open_store(url: str | Location, storage_options: StorageOptions | Sealed | None = None) -> Store:
    """Return the store of a URL. Nothing is contacted yet.

    Args:
        url: A URL, or a path of a mounted file system (``~`` is expanded); or the same taken apart, with its options.
        storage_options: Settings of the store, by the names that its family documents, which go before the environment;
            or a function without arguments that returns them, called on first use in each process, and again when the
            store refuses what it returned; or a store object of ``obstore``, which stands for the URL's bucket.

    Returns:
        The store whose root is the URL. Its ``repr`` and its pickle hold no options (see ``options.Sealed``).

    Raises:
        UnknownNameError: No store serves the URL's scheme; the text lists those that are served.
        ConfigError: The URL lacks a part that its scheme needs, or an option is unknown.

    Example:
        >>> open_store("/data/train")
        /data/train
        >>> open_store("s3://bucket/train", {"region": "eu-west-1"})
        s3://bucket/train
    """
    if isinstance(url, Location):
        location = url
    else:
        location = Location.parse(url, storage_options)
        if location.is_local:  # options of this place alone are refused, not left out
            location = replace(location, options=seal(storage_options))
    store = _opened(location)
    if isinstance(store, RangedStore):
        store.patience_s = location.patience_s
    return store


def _opened(location: Location) -> Store:
    given = location.options.reveal()
    factory = _factory_of(location.scheme or "file")
    if isinstance(given, Mapping):
        return factory(location.url, dict(cast("Mapping[str, Any]", given)))
    if location.is_local:
        raise ConfigError(f"A local directory takes no storage options, got a {type(given).__name__}.")
    if is_client(given):
        from streaming.storage.providers.ready import open_ready

        return open_ready(location.url, given)
    from streaming.storage.renewing import RenewingStore

    return RenewingStore(location, open_store)


def _factory_of(scheme: str) -> StoreFactory:
    """Return what opens the URLs of a scheme: the store registered for it, else fsspec's if it has one.

    Raises:
        UnknownNameError: There is none; the text lists those that there are.
    """
    if scheme in stores:
        return stores[scheme]
    from streaming.storage.providers.fsspec.store import open_fsspec, serves

    if serves(scheme):
        return open_fsspec
    close = get_close_matches(scheme, stores, 1, 0.5)
    if close:
        hint = f"Did you mean {close[0]}://?"
    elif find_spec("fsspec") is None:
        hint = "If fsspec has a file system for it, pip install 'streaming-dataset[fsspec]'."
    else:
        hint = "fsspec has no file system for it either; install the package that brings one, if there is one."
    raise UnknownNameError(
        f"No store serves the scheme {scheme!r}. {hint} Known: {', '.join(sorted(stores))}, and those of fsspec."
    )
