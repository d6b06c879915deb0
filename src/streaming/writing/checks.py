"""Checks of the arguments that all writers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from streaming.core.errors import ConfigError
from streaming.core.names import Compression, HashName
from streaming.core.units import bytes_to_int
from streaming.format.codecs.compression import is_compression
from streaming.format.codecs.hashing import get_hashes, is_hash

__all__ = [
    "checked_columns",
    "checked_compression",
    "checked_hashes",
    "checked_retry",
    "checked_size_limit",
    "checked_workers",
]

NoneType = type(None)


def checked_compression(compression: Compression | None) -> Compression | None:
    """Return the compression, ``None`` for none.

    Raises:
        ConfigError: There is no such compression.
    """
    if compression and not (isinstance(compression, str) and is_compression(compression)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"compression={compression!r} is not known. Use br, bz2, gz, snappy or zstd, with a level such as "
            "'zstd:7' where the algorithm has levels."
        )
    return compression or None


def checked_hashes(hashes: Sequence[HashName] | None) -> list[HashName]:
    """Return the names of the hash algorithms.

    Raises:
        ConfigError: One is unknown, or they are not in ascending order.
    """
    given: Any = hashes
    single = isinstance(given, str)
    names: list[Any] = list(given or ()) if isinstance(given, (Iterable, NoneType)) and not single else [None]
    if not all(isinstance(name, str) for name in names):
        example = [given] if single else ["sha1", "xxh64"]
        raise ConfigError(f"hashes must be a list of names such as {example}, got {given!r}.")
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
    if isinstance(size_limit, bool) or not isinstance(size_limit, (int, str, np.integer, NoneType)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"size_limit must be a number of bytes, text such as '64mb', or None; got {size_limit!r}.")
    if not size_limit:
        return None
    limit = bytes_to_int(size_limit if isinstance(size_limit, str) else int(size_limit))
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
    return _checked_count("retry", retry, 0)


def checked_workers(workers: int | None, name: str = "workers", least: int = 0) -> int | None:
    """Return a number of workers, or ``None`` if none is given.

    Raises:
        ConfigError: It is no such number.
    """
    return None if workers is None else _checked_count(name, workers, least)


def checked_columns(columns: Mapping[str, str]) -> Mapping[str, str]:
    """Return the encodings of columns.

    Raises:
        ConfigError: They are not given by name.
    """
    if not isinstance(columns, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"columns must be a dict of encodings by name, such as {{'text': 'str'}}; got {columns!r:.200}."
        )
    return columns


def _checked_count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigError(f"{name} must be an integer of at least {least}, got {value!r}.")
    return int(value)
