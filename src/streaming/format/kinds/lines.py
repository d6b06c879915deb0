"""What the line-based formats share: a data file of lines and a meta file of their offsets.

The meta file is ``u32 n | u32 offset[n + 1] | config, JSON``, little-endian; the offsets are those
of the data file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streaming.core.errors import ColumnTypeError, ColumnValueError, ConfigError
from streaming.format.kinds.layout import encode_offsets
from streaming.format.samples.options import dump_config

__all__ = [
    "VALUE_TYPES",
    "LinesShardEncoder",
    "check_newline",
    "check_type",
    "encode_line",
    "is_line_encoding",
    "text_of",
]

#: Types of values, by encoding.
VALUE_TYPES: dict[str, type] = {"float": float, "int": int, "str": str}


def is_line_encoding(encoding: Any) -> bool:
    """Tell whether ``encoding`` is one of a line-based format."""
    return isinstance(encoding, str) and encoding in VALUE_TYPES


def check_newline(newline: str) -> str:
    """Return ``newline``.

    Raises:
        ConfigError: It is not text.
    """
    if not isinstance(newline, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"newline must be text such as '\\n', got {newline!r}.")
    return newline


def text_of(encoding: str, value: Any) -> str:
    """Return the text of a value of the type of its encoding: of what it is, whatever a subclass makes of ``str()``.

    A member of an enumeration is its value, and a bool is 0 or 1.
    """
    return str.__str__(value) if encoding == "str" else str(VALUE_TYPES[encoding](value))


def check_type(column: str, encoding: str, value: Any) -> None:
    """Raise ``ColumnTypeError`` unless a value has the type of its encoding."""
    if not isinstance(value, VALUE_TYPES[encoding]):
        raise ColumnTypeError(
            f"Column {column!r} ({encoding}): expected {encoding}, got {type(value).__name__}: {value!r:.60}"
        )


def encode_line(line: str) -> bytes:
    """Return a line's UTF-8, or raise ``ColumnValueError``."""
    try:
        return line.encode()
    except UnicodeEncodeError as error:
        raise ColumnValueError(f"A value is not valid Unicode: {error}") from error


class LinesShardEncoder:
    """Lays out shards of lines.

    Args:
        fields: What the index says of every shard alike.
        header: What the data file begins with.
    """

    roles = ("data", "meta")
    # Lines alone count towards a size limit: shards are cut where they always were.
    base_bytes = 0
    extra_bytes_per_sample = 0

    def __init__(self, fields: Mapping[str, Any], header: bytes = b"") -> None:
        self._fields = dict(fields)
        self._header = header
        self.format: str = self._fields["format"]
        self.config: bytes = dump_config(self._fields)

    def index_fields(self) -> dict[str, Any]:
        """Return what the index says of every shard alike."""
        return dict(self._fields)

    def encode_shard(self, samples: Sequence[bytes]) -> dict[str, bytes]:
        """Lay out a shard.

        Args:
            samples: What ``encode_sample`` returned, in order.

        Returns:
            The contents of the file of each role.

        Raises:
            ShardTooLargeError: It would pass 4 GiB, which its offsets cannot address.
        """
        offsets = encode_offsets(samples, len(self._header))
        return {"data": b"".join([self._header, *samples]), "meta": offsets + self.config}
