"""Columns of NumPy arrays.

Layout, each part left out where the encoding's name already states it::

    u8 dtype code | u8 (ndim << 2) + log2(width) | ndim x uint(8 * width) | values

Values are in C order; all numbers are little-endian.
"""

from __future__ import annotations

from math import prod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import is_tensor, tensor_to_numpy
from streaming.core.errors import ColumnTypeError, ColumnValueError, ConfigError
from streaming.format.encodings.base import Encoding, unmasked

__all__ = ["NDArrayEncoding", "decode_shape", "encode_shape"]

_DTYPE_CODES = {
    "bool": 7,  # not known to the original library
    "uint8": 8,
    "int8": 9,
    "uint16": 16,
    "int16": 17,
    "float16": 18,
    "uint32": 32,
    "int32": 33,
    "float32": 34,
    "uint64": 64,
    "int64": 65,
    "float64": 66,
}


def _dtype(name: str, order: str) -> np.dtype[Any]:
    dtype: Any = np.dtype(name)
    return dtype.newbyteorder(order)


_DTYPES = {name: _dtype(name, "<") for name in _DTYPE_CODES}
_DTYPES_BY_CODE = {code: _DTYPES[name] for name, code in _DTYPE_CODES.items()}
_CODES = {dtype: code for code, dtype in _DTYPES_BY_CODE.items()}
# Found by the dtype itself, in either byte order: making its name takes a microsecond.
_CANONICAL = {_dtype(name, order): _DTYPES[name] for name in _DTYPE_CODES for order in "<>"}
_WIDTHS = tuple(np.dtype(f"<u{1 << k}") for k in range(4))
_MAX_AXES = 63


class NDArrayConfigError(ConfigError, AssertionError):
    """The part of an ``ndarray`` encoding after the first colon is wrong."""


class NDArrayEncoding(Encoding):
    """``ndarray``, ``ndarray:<dtype>`` or ``ndarray:<dtype>:<d0>,<d1>,...``.

    Args:
        dtype: Name of the element type that every array has; ``None``: each array states its own.
        shape: Shape that every array has; ``None``: each array states its own. Needs ``dtype``.
    """

    def __init__(self, dtype: str | None = None, shape: tuple[int, ...] | None = None) -> None:
        if dtype is not None and dtype not in _DTYPES:
            raise NDArrayConfigError(f"ndarray of dtype {dtype!r} is not supported. Known: {', '.join(_DTYPES)}.")
        if shape is not None and (dtype is None or len(shape) > _MAX_AXES or min(shape) < 1):
            raise NDArrayConfigError(
                f"ndarray of shape {shape} is not supported: it needs a dtype, at most "
                f"{_MAX_AXES} axes, and every axis at least 1 long."
            )
        self.dtype: np.dtype[Any] | None = None if dtype is None else _DTYPES[dtype]
        self.shape = shape
        if self.dtype is not None and shape is not None:
            self.size: int | None = prod(shape) * self.dtype.itemsize
        self._flat = shape is not None and len(shape) == 1

    @classmethod
    def from_str(cls, config: str) -> NDArrayEncoding:
        """Read ``'<dtype>'`` or ``'<dtype>:<d0>,<d1>,...'``.

        Raises:
            ConfigError: It is neither.
        """
        if not config:
            return cls()
        dtype, colon, dims = config.partition(":")
        try:
            shape = tuple(int(dim) for dim in dims.split(",")) if colon else None
        except ValueError:
            raise NDArrayConfigError(
                f"ndarray of shape {dims!r} is not supported: expected lengths joined by commas, such as '3,224,224'."
            ) from None
        return cls(dtype, shape)

    def encode(self, obj: Any) -> bytes:
        """Return the bytes of an array, or of a torch tensor as an array.

        Raises:
            ColumnTypeError: It is not an array.
            ColumnValueError: Its dtype or shape is not that of the column, or cannot be stored; or it is masked.
        """
        if not isinstance(obj, (np.ndarray, np.generic)):
            obj = _from_tensor(obj)
        if not isinstance(obj, (np.ndarray, np.generic)):
            raise ColumnTypeError(f"expected ndarray, got {type(obj).__name__}")
        dtype = _CANONICAL.get(obj.dtype)
        if dtype is None:
            raise ColumnValueError(f"unsupported dtype {obj.dtype}. Known: {', '.join(_DTYPES)}")
        if self.dtype is not None and dtype != self.dtype:
            raise ColumnValueError(f"expected dtype {self.dtype}, got {obj.dtype}")
        if self.shape is not None and obj.shape != self.shape:
            raise ColumnValueError(f"expected shape {self.shape}, got {obj.shape}")
        obj = unmasked(cast("NDArray[Any]", obj))
        header = b"" if self.shape is not None else encode_shape(obj.shape)
        if self.dtype is None:
            header = bytes((_CODES[dtype],)) + header
        data = obj.tobytes() if obj.dtype == dtype else obj.astype(dtype).tobytes()
        return header + data if header else data

    def decode(self, data: bytes) -> NDArray[Any]:
        """Return a read-only array over ``data``.

        Raises:
            ColumnValueError: The bytes are not those of an array.
        """
        dtype, shape = self.dtype, self.shape
        if dtype is not None and shape is not None:
            flat: Any = np.frombuffer(data, dtype)
            return flat if self._flat and len(flat) == shape[0] else flat.reshape(shape)
        begin = 0
        if dtype is None:
            begin = 1
            dtype = _DTYPES_BY_CODE.get(data[0]) if data else None
            if dtype is None:
                raise ColumnValueError(f"no ndarray: bad dtype code in {bytes(data[:1])!r}")
        head = data[begin] if len(data) > begin else 0
        if head >> 2 == 1:  # of one axis, without what is to be known of more
            first = begin + 1 + (1 << (head & 3))
            count = int.from_bytes(data[begin + 1 : first], "little")
            if count and count * dtype.itemsize == len(data) - first:
                return np.frombuffer(data, dtype, offset=first)
        shape, begin = decode_shape(data, begin)
        if prod(shape) * dtype.itemsize != len(data) - begin:
            raise ColumnValueError(f"no ndarray: shape {shape} of {dtype} disagrees with {len(data)} bytes")
        values: Any = np.frombuffer(data, dtype, offset=begin)
        return values.reshape(shape)

    @property
    def element(self) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
        """Dtype and shape of every value, ``None`` where each states its own."""
        return None if self.dtype is None or self.shape is None else (self.dtype, self.shape)

    def decode_many(self, rows: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Return the read-only array of each row; they share one block of memory."""
        dtype, shape = self.dtype, self.shape
        if dtype is None or shape is None:
            raise TypeError("Only arrays of a fixed shape are decoded by the row.")
        values = cast("Any", rows).view(dtype).reshape(len(rows), *shape)
        values.flags.writeable = False
        return list(values)


def _from_tensor(obj: Any) -> Any:
    if not is_tensor(obj):
        return obj
    try:
        return tensor_to_numpy(obj)
    except TypeError as error:
        raise ColumnTypeError(str(error)) from error


def encode_shape(shape: tuple[int, ...], least_axes: int = 1) -> bytes:
    """Return the bytes of a shape.

    Raises:
        ColumnValueError: It has too many axes or too few, or no elements where there must be an axis.
    """
    if len(shape) < least_axes:
        raise ColumnValueError("a 0-d array; use a scalar encoding instead, such as 'float32'")
    if len(shape) > _MAX_AXES:
        raise ColumnValueError(f"an array of {len(shape)} axes; at most {_MAX_AXES} can be stored")
    if least_axes and not prod(shape):
        raise ColumnValueError(f"an array without elements, of shape {shape}, cannot be stored")
    longest = max(shape, default=0)
    k = next(k for k in range(4) if longest < 1 << (8 << k))
    return bytes((len(shape) << 2 | k,)) + np.array(shape, _WIDTHS[k]).tobytes()


def decode_shape(data: bytes, begin: int, least_axes: int = 1) -> tuple[tuple[int, ...], int]:
    """Return the shape that begins somewhere, and where it ends.

    Raises:
        ColumnValueError: It cannot be one.
    """
    if len(data) <= begin:
        raise ColumnValueError(f"no ndarray: {len(data)} bytes have no room for a shape")
    ndim, k = data[begin] >> 2, data[begin] & 3
    begin += 1
    end = begin + (ndim << k)
    if ndim < least_axes or end > len(data):
        raise ColumnValueError(f"no ndarray: {len(data)} bytes cannot hold a shape of {ndim} axes")
    if not k:
        shape = tuple(data[begin:end])
    else:
        shape = tuple(np.frombuffer(data, _WIDTHS[k], ndim, begin).tolist())
    if least_axes and 0 in shape:
        raise ColumnValueError(f"no ndarray: shape {shape} has no elements")
    return shape, end
