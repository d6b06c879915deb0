"""What a writer is told about its columns and shards, checked once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streaming.core.errors import ConfigError, UnknownNameError
from streaming.core.units import bytes_to_int
from streaming.format.codecs.compression import get_compression_extension
from streaming.format.codecs.hashing import is_hash, new_hash

__all__ = [
    "MAX_SHARD_BYTES",
    "ColumnNameError",
    "UnknownEncodingError",
    "WriteOptions",
    "check_columns",
    "dump_config",
]

#: Offsets in a shard have 32 bits.
MAX_SHARD_BYTES = (1 << 32) - 1


class UnknownEncodingError(UnknownNameError, TypeError, AssertionError):
    """A column's encoding is not one of the format's."""


class ColumnNameError(ConfigError, AssertionError):
    """A column's name cannot be written in the format."""


@dataclass(frozen=True)
class WriteOptions:
    """How shards are written, whatever their format. Made by :meth:`check`.

    Args:
        compression: ``'family'`` or ``'family:level'``; ``None``: shards are not compressed.
        hashes: Names of the hash algorithms to record, sorted.
        size_limit: Largest size of a shard in bytes; ``None``: no limit.
    """

    compression: str | None
    hashes: tuple[str, ...]
    size_limit: int | None

    @classmethod
    def check(
        cls,
        compression: str | None,
        hashes: Sequence[str] | None,
        size_limit: int | str | None,
    ) -> WriteOptions:
        """Check what a user gave.

        Raises:
            ConfigError: It is wrong.
        """
        if compression:
            get_compression_extension(compression)
        names = tuple(hashes or ())
        for name in names:
            if not is_hash(name):
                new_hash(name)  # raises, with the names that exist
        if names != tuple(sorted(set(names))):
            raise ConfigError(f"hashes must be sorted and unique, got {list(names)}; expected {sorted(set(names))}.")
        limit = bytes_to_int(size_limit) if size_limit else 0
        if not 0 <= limit <= MAX_SHARD_BYTES:
            raise ConfigError(f"size_limit must be from 0 (no limit) to {MAX_SHARD_BYTES} bytes, got {size_limit!r}.")
        return cls(compression or None, names, limit or None)

    def fields(self) -> dict[str, Any]:
        """Return the options as a shard's entry in the index has them."""
        return {
            "compression": self.compression,
            "hashes": list(self.hashes),
            "size_limit": self.size_limit,
        }


def check_columns(
    columns: Mapping[str, str], is_encoding: Callable[[Any], bool], known: Sequence[str]
) -> dict[str, str]:
    """Check and sort columns.

    Args:
        columns: Encoding of each column by its name.
        is_encoding: Tells whether an encoding exists.
        known: Names of the encodings, for the error text.

    Returns:
        The columns, sorted by name.

    Raises:
        ColumnNameError: A name is not text.
        UnknownEncodingError: An encoding does not exist.
    """
    for name, encoding in columns.items():
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ColumnNameError(f"Names of columns are text, got {name!r}.")
        if not is_encoding(encoding):
            raise UnknownEncodingError(
                f"Column {name!r} has the unsupported encoding {encoding!r}. Known: {', '.join(sorted(known))}."
            )
    return dict(sorted(columns.items()))


def dump_config(fields: Mapping[str, Any]) -> bytes:
    """Return the static fields of a shard's index entry as they stand in the shard itself."""
    return json.dumps(dict(fields), sort_keys=True).encode()
