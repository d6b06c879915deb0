"""Columns of bytes, text, and numbers written as decimal text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.core.errors import ColumnValueError
from streaming.format.encodings.base import Encoding

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Bytes", "Str", "StrDecimal", "StrFloat", "StrInt"]


class Bytes(Encoding):
    """``bytes``, as they are."""

    def encode(self, obj: bytes) -> bytes:
        """Return ``obj``."""
        self._validate(obj, bytes)
        return obj

    def decode(self, data: bytes) -> bytes:
        """Return a copy that owns its bytes."""
        return bytes(data)


class Str(Encoding):
    """``str``, as UTF-8."""

    def encode(self, obj: str) -> bytes:
        """Return the text's UTF-8."""
        self._validate(obj, str)
        try:
            return obj.encode()
        except UnicodeEncodeError as error:
            raise ColumnValueError(f"text is not valid Unicode: {error}") from error

    def decode(self, data: bytes) -> str:
        """Return the text."""
        return str(data, "utf-8")


class StrInt(Encoding):
    """``int`` of any size, as decimal text."""

    def encode(self, obj: int) -> bytes:
        """Return the decimal digits."""
        self._validate(obj, (int, np.integer))
        return str(int(obj)).encode()

    def decode(self, data: bytes) -> int:
        """Return the number."""
        return int(bytes(data))


class StrFloat(Encoding):
    """``float``, as the shortest decimal text that gives it back."""

    def encode(self, obj: float) -> bytes:
        """Return the decimal text."""
        self._validate(obj, (float, np.floating))
        return str(float(obj)).encode()

    def decode(self, data: bytes) -> float:
        """Return the number."""
        return float(bytes(data))


class StrDecimal(Encoding):
    """``decimal.Decimal``, as its text."""

    def encode(self, obj: Decimal) -> bytes:
        """Return the text."""
        from decimal import Decimal

        self._validate(obj, Decimal)
        return str(obj).encode()

    def decode(self, data: bytes) -> Decimal:
        """Return the number."""
        from decimal import Decimal

        return Decimal(str(data, "utf-8"))
