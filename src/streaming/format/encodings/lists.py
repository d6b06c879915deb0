"""Columns of lists whose values have another encoding: ``'list:float32'``, ``'list:str'``.

Of numbers (not ``int``): the values, one after the other; read as an array. Of anything else::

    u32 n | u32 bytes of each value | values

Followed by a question mark, the list may be missing, and so may values in it: the byte 0; or 1 and the list; or, if a value
is missing, 2 and the list of values of an encoding with a question mark. The original library knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from streaming.core.arrays import is_tensor, tensor_to_numpy
from streaming.core.errors import ColumnTypeError, ColumnValueError, ConfigError
from streaming.format.encodings.base import Encoding, unmasked
from streaming.format.encodings.nullable import Nullable
from streaming.format.encodings.packed import pack_list, unpack_list

__all__ = ["List", "NullableList"]

_GAPS = b"\2"


class List(Encoding):
    """``'list:<encoding>'``: any number of values, also none.

    Args:
        item: Their encoding.
        dtype: Their dtype if they are kept as an array, else ``None``.

    Attributes:
        dtype: The same, little-endian.
    """

    def __init__(self, item: Encoding, dtype: str | None) -> None:
        self.item = item
        self.safe: bool = getattr(item, "safe", True)
        self.dtype = None if dtype is None else np.dtype(dtype).newbyteorder("<")
        self._takes_bytes = getattr(item, "passes_bytes", True)

    def encode(self, obj: Any) -> bytes:
        """Return the bytes of a list, tuple or array.

        Raises:
            SampleError: It is none, or a value does not fit.
        """
        if is_tensor(obj):
            obj = tensor_to_numpy(obj)
        if not isinstance(obj, (list, tuple, np.ndarray)):
            raise ColumnTypeError(f"expected a list or an array, got {type(obj).__name__}")
        if isinstance(obj, np.ndarray) and obj.ndim != 1:
            raise ColumnValueError(f"expected one axis, got an array of shape {obj.shape}; use the encoding 'ndarray'")
        values = cast("list[Any]", obj)
        if self.dtype is None:
            return pack_list([self._encode(value) for value in values])
        if isinstance(obj, np.ndarray) and obj.dtype == self.dtype:
            return unmasked(cast("Any", obj)).astype(self.dtype).tobytes()
        return b"".join(self.item.encode(value) for value in values)

    def _encode(self, value: Any) -> bytes:
        return value if self._takes_bytes and isinstance(value, bytes) else self.item.encode(value)

    def decode(self, data: bytes) -> Any:
        """Return a list; of numbers a read-only array over ``data``.

        Raises:
            ColumnValueError: The bytes are those of no list.
        """
        if self.dtype is None:
            return [self.item.decode(part) for part in unpack_list(data)]
        if len(data) % self.dtype.itemsize:
            raise ColumnValueError(f"no list: {len(data)} bytes are not whole values of {self.dtype}")
        return np.frombuffer(data, self.dtype)

    @staticmethod
    def nullable(item: List, name: str) -> NullableList:
        """Return the encoding of such lists that may be missing, as may their values."""
        return NullableList(item, name)

    @classmethod
    def of_encoding(cls, name: str, get: Callable[[str], Encoding]) -> List:
        """Return the encoding of lists of another.

        Args:
            name: The other.
            get: Returns an encoding by its name.

        Raises:
            ConfigError: There is none.
        """
        if not name:
            raise ConfigError("'list' needs the encoding of its values, such as 'list:str' or 'list:float32'.")
        item = get(name)
        return cls(item, name if name in _NUMBERS else None)


class NullableList(Nullable):
    """``'list:<encoding>?'``: a list, or ``None``; values in it may be ``None``, too.

    Args:
        item: The encoding of lists.
        name: Its name, for error texts.
    """

    def __init__(self, item: List, name: str) -> None:
        super().__init__(item, name)
        self._with_gaps = List(Nullable(item.item, name.partition(":")[2]), None)

    def encode(self, obj: Any) -> bytes:
        """Return the byte 0 for ``None``, or a byte and the bytes of the list.

        Raises:
            SampleError: The list cannot be stored.
        """
        if isinstance(obj, (list, tuple)) and any(value is None for value in cast("list[Any]", obj)):
            return _GAPS + self._with_gaps.encode(obj)
        return super().encode(obj)

    def decode(self, data: bytes) -> Any:
        """Return a list or array, or ``None``; a list if values in it are missing.

        Raises:
            ColumnValueError: The bytes are not those of such a column.
        """
        return self._with_gaps.decode(data[1:]) if data[:1] == _GAPS else super().decode(data)


_NUMBERS = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)} | {
    "float16",
    "float32",
    "float64",
}
