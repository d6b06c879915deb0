"""Checks of the arguments that all writers share."""

from __future__ import annotations

from collections.abc import Sequence

from streaming.core.errors import ConfigError
from streaming.core.units import bytes_to_int
from streaming.format.compression import is_compression
from streaming.format.hashing import get_hashes, is_hash

__all__ = ["checked_compression", "checked_hashes", "checked_retry", "checked_size_limit"]


def checked_compression(compression: str | None) -> str | None:
    """Return the compression, ``None`` for none.

    Raises:
        ConfigError: There is no such compression.
    """
    if compression and not is_compression(compression):
        raise ConfigError(
            f"compression={compression!r} is not known. Use br, bz2, gz, snappy or zstd, with a level such as "
            "'zstd:7' where the algorithm has levels."
        )
    return compression or None


def checked_hashes(hashes: Sequence[str] | None) -> list[str]:
    """Return the names of the hash algorithms.

    Raises:
        ConfigError: One is unknown, or they are not in ascending order.
    """
    names = list(hashes or ())
    if names != sorted(set(names)):
        raise ConfigError(f"hashes must be in ascending order without repeats, got {names}.")
    for name in names:
        if not is_hash(name):
            raise ConfigError(f"Unknown hash {name!r}. Known: {', '.join(sorted(get_hashes()))}.")
    return names


def checked_size_limit(size_limit: int | str | None) -> int | None:
    """Return a size limit in bytes, ``None`` for none.

    Raises:
        ConfigError: It is no number of bytes, or more than a shard can hold.
    """
    if not size_limit:
        return None
    limit = bytes_to_int(size_limit)
    if limit < 0:
        raise ConfigError(f"size_limit must not be negative, got {size_limit!r}.")
    if limit >= 1 << 32:
        raise ConfigError(
            f"size_limit must be below 4 GiB, which is what a shard's offsets can address; got {size_limit!r}."
        )
    return limit or None


def checked_retry(retry: int) -> int:
    """Return the number of further attempts after a failed upload.

    Raises:
        ConfigError: It is no such number.
    """
    if not isinstance(retry, int) or retry < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"retry must be an integer of at least 0, got {retry!r}.")
    return retry
