"""Hashes of shard files, by name: those of ``hashlib`` with a fixed length, and xxhash."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from streaming.core.errors import UnknownNameError

__all__ = ["Hash", "get_hash", "get_hashes", "is_hash", "new_hash"]

_XXHASHES = frozenset(("xxh32", "xxh64", "xxh128", "xxh3_64", "xxh3_128"))


class Hash(Protocol):
    """A hash that is computed as the bytes come in."""

    def update(self, data: Any, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the hash of all bytes added so far, in lower-case hexadecimal."""
        ...


def get_hashes() -> set[str]:
    """Return the names of all hash algorithms that this machine has."""
    builtin = {
        name for name in hashlib.algorithms_available if hasattr(hashlib, name) and not name.startswith("shake_")
    }
    return builtin | _XXHASHES


def is_hash(algo: Any) -> bool:
    """Tell whether ``algo`` is the name of a hash algorithm."""
    return isinstance(algo, str) and algo in get_hashes()


def new_hash(algo: str) -> Hash:
    """Start a hash that takes its bytes in pieces.

    Args:
        algo: Name of the algorithm, such as ``'sha1'`` or ``'xxh64'``.

    Returns:
        An object with ``update(data)`` and ``hexdigest()``.

    Raises:
        UnknownNameError: There is no such algorithm.
    """
    if not is_hash(algo):
        known = ", ".join(sorted(get_hashes()))
        raise UnknownNameError(f"Unknown hash algorithm {algo!r}. Known: {known}.")
    if algo in _XXHASHES:
        import xxhash

        return getattr(xxhash, algo)()
    # The hashes guard against damage; a machine in FIPS mode refuses md5 and sha1 without this.
    return hashlib.new(algo, usedforsecurity=False)


def get_hash(algo: str, data: bytes) -> str:
    """Hash ``data``.

    Args:
        algo: Name of the algorithm.
        data: The bytes.

    Returns:
        The hash in lower-case hexadecimal.

    Raises:
        UnknownNameError: There is no such algorithm.
    """
    state = new_hash(algo)
    state.update(data)
    return state.hexdigest()
