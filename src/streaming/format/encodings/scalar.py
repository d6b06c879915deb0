"""Columns of one fixed-width number, little-endian."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ColumnTypeError, ColumnValueError
from streaming.format.encodings.base import ColumnOverflowError, Encoding, unmasked

__all__ = [
    "Bool",
    "Float16",
    "Float32",
    "Float64",
    "Int",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Scalar",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "number_of",
]

_INT64 = Struct("<q")


def number_of(coder: Encoding) -> tuple[str, Callable[[Any], Any]] | None:
    """Return the ``struct`` code of every value of ``coder`` and the type that it is given, if it is a number or a truth."""
    if type(coder) is Int:
        return "q", int
    if type(coder) is Bool:
        return "B", bool
    if type(coder) in (Float16, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64):
        return _STRUCT_CODES[coder.dtype], np.dtype(coder.dtype).type  # pyright: ignore[reportAttributeAccessIssue]
    return None


class Int(Encoding):
    """``int`` of 64 bits."""

    size = 8

    def encode(self, obj: int) -> bytes:
        """Return eight bytes."""
        self._validate(obj, (int, np.integer))
        value = int(obj)
        if not -(1 << 63) <= value < 1 << 63:
            raise ColumnOverflowError(f"{value} does not fit 64 bits; use the encoding 'str_int'")
        return _INT64.pack(value)

    def decode(self, data: bytes) -> int:
        """Return a Python ``int``."""
        return _INT64.unpack(data)[0]

    @property
    def element(self) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Dtype and shape of a value."""
        return np.dtype("<i8"), ()

    def decode_many(self, rows: NDArray[np.uint8]) -> list[int]:
        """Return the Python ``int`` of each row."""
        return cast("Any", rows).view("<i8")[:, 0].tolist()


class Bool(Encoding):
    """``bool``, as one byte."""

    size = 1

    def encode(self, obj: bool | np.bool_) -> bytes:
        """Return the byte 0 or 1."""
        self._validate(obj, (bool, np.bool_))
        return b"\1" if obj else b"\0"

    def decode(self, data: bytes) -> bool:
        """Return a Python ``bool``."""
        return data[0] != 0

    @property
    def element(self) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Dtype and shape of a value's byte, which is no more than that: any but 0 is true."""
        return np.dtype("u1"), ()

    def decode_many(self, rows: NDArray[np.uint8]) -> list[bool]:
        """Return the Python ``bool`` of each row."""
        return (rows[:, 0] != 0).tolist()


class Scalar(Encoding):
    """A NumPy scalar. Other numbers, bools and numeric text are converted, if the value stays the same.

    Integers are stored exactly or refused, in columns of floats too. Floats are rounded to the nearest of their column;
    what would become infinite is refused.
    """

    dtype: ClassVar[str]
    size: int | None = None

    def __init__(self) -> None:
        dtype: np.dtype[Any] = np.dtype(f"<{self.dtype}")
        code = Struct(f"<{_STRUCT_CODES[self.dtype]}")
        self._name = dtype.type.__name__
        self._pack = code.pack
        self._unpack = code.unpack
        self._type: Callable[[Any], Any] = dtype.type
        self._little_endian = dtype
        self._bounds = None
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            self._bounds = int(limits.min), int(limits.max)

    def encode(self, obj: Any) -> bytes:
        """Return the number's bytes.

        Raises:
            ColumnTypeError: It is not a number.
            ColumnValueError: It cannot be converted without loss, is out of range, or masked.
        """
        if obj is None:  # NumPy would make it a number that is not one
            raise ColumnTypeError(f"expected a number for {self._name}, got None")
        if isinstance(obj, np.ndarray):
            obj = unmasked(cast("NDArray[Any]", obj))
            obj = obj.item() if obj.size == 1 else obj.tolist()
        if type(obj) is self._type:
            return cast("np.generic", obj).astype(self._little_endian).tobytes()
        if isinstance(obj, (complex, np.complexfloating)):
            raise ColumnTypeError(f"{obj!r} as {self._name}: a complex number; store its two parts as columns")
        try:
            return self._pack_int(obj) if self._bounds else self._pack_float(obj)
        except ColumnValueError:
            raise
        except OverflowError as error:
            raise ColumnOverflowError(f"{obj!r} as {self._name}: {error}") from error
        except ValueError as error:
            raise ColumnValueError(f"{obj!r} as {self._name}: {error}") from error
        except TypeError as error:
            raise ColumnTypeError(f"{obj!r} as {self._name}: {error}") from error

    def _pack_int(self, obj: Any) -> bytes:
        # NumPy wraps some numbers that are out of range, depending on their type and on its own
        # version, so the range is checked here.
        value = int(obj)
        low, high = cast("tuple[int, int]", self._bounds)
        if not low <= value <= high:
            raise ColumnOverflowError(f"{obj!r} is out of range for {self._name}, which holds {low} to {high}")
        if value != obj and not isinstance(obj, (str, bytes, bytearray)):
            raise ColumnValueError(
                f"{obj!r} is no integer, and {self._name} would hold {value}; round it, or use the encoding 'float64'"
            )
        return self._pack(value)

    def _pack_float(self, obj: Any) -> bytes:
        if type(obj) is float:
            return self._pack(obj)  # too large a one is an OverflowError
        with np.errstate(over="ignore"):
            value = np.asarray(self._type(obj)).astype(self._little_endian)
        if value.ndim:
            raise TypeError("expected one number")
        if isinstance(obj, (int, np.integer)) and (np.isinf(value) or int(value) != int(obj)):
            raise ValueError(f"it would be stored as {value!s}; use the encoding 'int', or 'str_int' for any size")
        if np.isinf(value) and not _is_infinite(obj):
            raise OverflowError("too large; use the encoding 'float64', or 'str_float'")
        return value.tobytes()

    def decode(self, data: bytes) -> Any:
        """Return the NumPy scalar."""
        return self._type(self._unpack(data)[0])

    @property
    def element(self) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Dtype and shape of a value."""
        return self._little_endian, ()

    def decode_many(self, rows: NDArray[np.uint8]) -> list[Any]:
        """Return the NumPy scalar of each row."""
        return list(cast("Any", rows).view(self._little_endian)[:, 0])


def _is_infinite(obj: Any) -> bool:
    if isinstance(obj, (bytes, bytearray)):
        obj = obj.decode()
    return "inf" in obj.lower() if isinstance(obj, str) else obj in (float("inf"), -float("inf"))


_STRUCT_CODES = {
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}


class UInt8(Scalar):
    """``numpy.uint8``."""

    dtype, size = "u1", 1


class UInt16(Scalar):
    """``numpy.uint16``."""

    dtype, size = "u2", 2


class UInt32(Scalar):
    """``numpy.uint32``."""

    dtype, size = "u4", 4


class UInt64(Scalar):
    """``numpy.uint64``."""

    dtype, size = "u8", 8


class Int8(Scalar):
    """``numpy.int8``."""

    dtype, size = "i1", 1


class Int16(Scalar):
    """``numpy.int16``."""

    dtype, size = "i2", 2


class Int32(Scalar):
    """``numpy.int32``."""

    dtype, size = "i4", 4


class Int64(Scalar):
    """``numpy.int64``."""

    dtype, size = "i8", 8


class Float16(Scalar):
    """``numpy.float16``."""

    dtype, size = "f2", 2


class Float32(Scalar):
    """``numpy.float32``."""

    dtype, size = "f4", 4


class Float64(Scalar):
    """``numpy.float64``."""

    dtype, size = "f8", 8
