"""Columns whose values may be missing: any other encoding, followed by a question mark.

Layout: the one byte 0 for a missing value (``None``); else the byte 1, and then the value as the other encoding has it.
The original library does not know these encodings.
"""

from __future__ import annotations

from typing import Any

from streaming.core.errors import ColumnSizeError, ColumnValueError, ConfigError
from streaming.format.encodings.base import Encoding

__all__ = ["Nullable"]

_MISSING, _PRESENT = b"\0", b"\1"


class Nullable(Encoding):
    """``'int32?'``, ``'str?'``, ``'ndarray:uint8?'``: the values of another encoding, or ``None``.

    Args:
        item: The other encoding.
        name: Its name, for error texts.

    Raises:
        ConfigError: The other encoding takes ``None`` already.
    """

    passes_bytes = False  # they are marked as present first

    def __init__(self, item: Encoding, name: str) -> None:
        if isinstance(item, Nullable):
            raise ConfigError(f"The encoding {name + '?'!r} has more than one question mark; use {name!r}.")
        self.item = item
        self.safe: bool = getattr(item, "safe", True)
        self._size = getattr(item, "size", None)
        self._takes_bytes = getattr(item, "passes_bytes", True)

    def encode(self, obj: Any) -> bytes:
        """Return the byte 0 for ``None``, or the byte 1 and the bytes of the value.

        Raises:
            SampleError: The other encoding cannot store the value.
        """
        if obj is None:
            return _MISSING
        data = obj if self._takes_bytes and isinstance(obj, bytes) else self.item.encode(obj)
        if self._size is not None and len(data) != self._size:
            raise ColumnSizeError(f"expected a value of {self._size} bytes or None, got {len(data)} bytes")
        return _PRESENT + data

    def decode(self, data: bytes) -> Any:
        """Return the value, or ``None``.

        Raises:
            ColumnValueError: The bytes are not those of such a column.
        """
        mark = bytes(data[:1])
        if mark == _PRESENT:
            return self.item.decode(data[1:])
        if mark == _MISSING and len(data) == 1:
            return None
        raise ColumnValueError(f"no value that may be missing: {len(data)} bytes that begin with {mark!r}")
