"""Whether what a store gives is still what was opened, where no recorded hash proves it."""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import Any

from streaming.cache.bookkeeping.identity import Identity, version_digest
from streaming.core.errors import ObjectChangedError
from streaming.format.index import Index
from streaming.storage import versions
from streaming.storage.store import ObjectInfo, Store

__all__ = ["Witness", "version_number"]

_INDEX = "index.json"


class Witness:
    """Sees versions of a dataset's objects, and objects to those that are later than its opening.

    Args:
        store: Where they are; ``None`` for a dataset that is only local.
        identity: The dataset, as it was opened.
        origin: Where it is, for error texts.
        index: Its index.
    """

    def __init__(self, store: Store | None, identity: Identity, origin: str, index: Index) -> None:
        self._store = store
        self._identity = identity
        self._index = index
        self._version = identity.version
        self._origin = origin
        self._seen: dict[str, str] = {}
        self._index_is_seen = identity.is_seen

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what was opened, not what this process saw."""
        return {**self.__dict__, "_seen": {}}

    def see(self, info: ObjectInfo) -> None:
        """Note the version of an object.

        Raises:
            ObjectChangedError: It was written after the dataset was opened, or is not what this process saw before.
        """
        if info.modified is not None and self._identity.is_later(info.modified):
            written, opened = _time(info.modified), _time(self._identity.opened)
            raise self._changed(f"{info.path} was written at {written}, and the dataset opened at {opened}")
        if info.etag is not None and self._seen.setdefault(info.path, info.etag) != info.etag:
            raise self._changed(f"{info.path} is another version than what was read of it before")

    @property
    def has_seen(self) -> bool:
        """Whether this process has seen any object."""
        return bool(self._seen)

    def expect(self, path: str, size: int, number: int) -> None:
        """Check that what another process may have fetched is of the version that this one has seen, if it has.

        Args:
            path: The object.
            size: Its size in bytes.
            number: The version's; see :func:`version_number`.

        Raises:
            ObjectChangedError: It is not.
        """
        seen = self._seen.get(path)
        if seen is not None and number and version_number(ObjectInfo(path, size, seen)) != number:
            raise self._changed(f"{path} is another version than what was read of it before")

    def version_of(self, path: str) -> str | None:
        """Return the version of an object that this process has seen, if it has."""
        return self._seen.get(path)

    def before(self) -> None:
        """Look at the index before anything is fetched for a dataset whose remote was away when it was opened.

        Raises:
            ObjectChangedError: It is not the index that was opened.
            StorageError: It cannot be looked at.
        """
        if not self._index_is_seen:
            self._check_index()
            self._index_is_seen = True

    def after(self, info: ObjectInfo | None) -> None:
        """Look at the index again after something was fetched, where times do not tell, or telling costs nothing.

        Raises:
            ObjectChangedError: It is not the index that was opened.
            StorageError: It cannot be looked at.
        """
        modified = None if info is None else info.modified
        if modified is None or self._identity.is_close(modified) or getattr(self._store, "heads_are_cheap", False):
            self._check_index()

    def _check_index(self) -> None:
        if self._store is None or not self._identity.has_version:
            return
        if version_digest(self._store.head(_INDEX)) == self._version:
            return
        data, info = versions.read(self._store, _INDEX)
        # What was appended to is what it was, and more; whether a shard was written anew, its own time tells.
        new = Index.parse(data, f"{_INDEX} at {self._origin}")
        if new.num_shards <= self._index.num_shards or not new.begins_with(self._index):
            raise self._changed(f"its {_INDEX} is another one now")
        self._version = version_digest(info)

    def _changed(self, how: str) -> ObjectChangedError:
        return ObjectChangedError(
            f"The dataset at {self._origin} was changed after it was opened: {how}. It has no recorded hashes, so old and "
            "new cannot be told apart later. Open it again, and write new versions of a dataset elsewhere."
        )


def version_number(info: ObjectInfo) -> int:
    """Return a number for the version of an object; 0 if the store tells none."""
    if info.etag is None:
        return 0
    digest = blake2b(f"{info.path}\n{info.bytes}\n{info.etag}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 2) + 1


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) + f"{seconds % 1:.3f}".removeprefix("0") + " UTC"
