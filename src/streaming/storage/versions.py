"""Reading of one version, from stores that know versions and from those that do not.

Where a store cannot be asked for one version alone, its version is looked at before and after.
"""

from __future__ import annotations

from typing import Any

from streaming.core.errors import ObjectChangedError
from streaming.storage.store import ObjectInfo, OnInfo, Sink, Store

__all__ = ["download", "read"]


def read(
    store: Store, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
) -> tuple[bytes, ObjectInfo]:
    """Return bytes ``[start, end)`` of an object, and which version they are of; see ``Store.read``.

    Raises:
        ObjectChangedError: The object has another version, or was replaced meanwhile.
    """
    if getattr(store, "takes_versions", False):
        return store.read(path, start, end, version=version)
    info = _expect(store, path, version)
    data = store.get(path) if start == 0 and end is None else store.get_range(path, start, end or info.bytes)
    _expect(store, path, info.etag)
    return data, info


def download(
    store: Store,
    path: str,
    target: str,
    *,
    offset: int = 0,
    sink: Sink | None = None,
    version: str | None = None,
    on_info: OnInfo | None = None,
    **limits: Any,
) -> int:
    """Write an object to a local file; see ``Store.download``.

    Raises:
        ObjectChangedError: The object has another version, or was replaced meanwhile.
    """
    if getattr(store, "takes_versions", False):
        return store.download(path, target, offset=offset, sink=sink, version=version, on_info=on_info, **limits)
    if version is None and on_info is None:
        return store.download(path, target, offset=offset, sink=sink, **limits)
    info = _expect(store, path, version)
    if on_info is not None:
        on_info(info)
    size = store.download(path, target, offset=offset, sink=sink, **limits)
    _expect(store, path, info.etag)
    return size


def _expect(store: Store, path: str, version: str | None) -> ObjectInfo:
    info = store.head(path)
    if version is not None and info.etag != version:
        raise ObjectChangedError(f"{store!r}/{path} was replaced: it is {info.etag} now, {version} was asked for.")
    return info
