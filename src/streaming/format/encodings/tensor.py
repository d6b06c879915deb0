"""Columns of torch tensors, of dtypes that NumPy has not: ``bfloat16`` and floats of 8 bits.

Layout, the shape left out where the encoding's name states it::

    u8 (ndim << 2) + log2(width) | ndim x uint(8 * width) | values in C order, little-endian

The original library does not know these encodings.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streaming.core.arrays import is_tensor
from streaming.core.errors import ColumnTypeError, ColumnValueError, ConfigError
from streaming.core.imports import optional_import
from streaming.format.encodings.array import decode_shape, encode_shape
from streaming.format.encodings.base import Encoding

__all__ = ["TENSOR_DTYPES", "Tensor"]

#: Bytes of each.
TENSOR_DTYPES = {"bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1}


class Tensor(Encoding):
    """``'tensor:bfloat16'``, ``'tensor:bfloat16:<d0>,<d1>,...'``: read as a torch tensor.

    Args:
        config: Dtype, and shape if all have the same.

    Raises:
        ConfigError: It is none.
    """

    def __init__(self, config: str = "") -> None:
        self._dtype, colon, dims = config.partition(":")
        if self._dtype not in TENSOR_DTYPES:
            raise ConfigError(f"tensor of dtype {self._dtype!r} is not supported. Known: {', '.join(TENSOR_DTYPES)}.")
        try:
            self._shape = tuple(int(dim) for dim in dims.split(",")) if colon else None
        except ValueError:
            raise ConfigError(
                f"tensor of shape {dims!r}: expected lengths joined by commas, such as '3,224'."
            ) from None
        if self._shape is not None and min(self._shape) < 1:
            raise ConfigError(f"tensor of shape {dims!r}: every axis must be at least 1 long.")
        self._itemsize = TENSOR_DTYPES[self._dtype]
        if self._shape is not None:
            self.size: int | None = int(np.prod(self._shape)) * self._itemsize

    def encode(self, obj: Any) -> bytes:
        """Return the bytes of a tensor, or of an array of ``ml_dtypes``.

        Raises:
            ColumnTypeError: It is none.
            ColumnValueError: It has another dtype or shape.
        """
        if not is_tensor(obj) and not isinstance(obj, (np.ndarray, np.generic)):
            raise ColumnTypeError(f"expected a tensor, got {type(obj).__name__}")
        name = str(obj.dtype).removeprefix("torch.")
        if name != self._dtype:
            raise ColumnValueError(f"expected dtype {self._dtype}, got {name}")
        shape = tuple(obj.shape)
        if self._shape is not None and shape != self._shape:
            raise ColumnValueError(f"expected shape {self._shape}, got {shape}")
        header = b"" if self._shape is not None else encode_shape(shape, least_axes=0)
        if not is_tensor(obj):
            return header + obj.tobytes()
        torch = _torch()
        width = torch.int16 if self._itemsize == 2 else torch.uint8
        values: Any = obj
        return header + values.detach().cpu().contiguous().view(width).numpy().tobytes()

    def decode(self, data: bytes) -> Any:
        """Return a tensor that owns its values.

        Raises:
            ColumnValueError: The bytes are not those of one.
        """
        shape, begin = (self._shape, 0) if self._shape is not None else decode_shape(data, 0, least_axes=0)
        if int(np.prod(shape)) * self._itemsize != len(data) - begin:
            raise ColumnValueError(f"no tensor: shape {shape} of {self._dtype} disagrees with {len(data)} bytes")
        torch = _torch()
        dtype = getattr(torch, self._dtype)
        if not len(data) - begin:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(bytearray(data[begin:]), dtype=dtype).reshape(shape)


def _torch() -> Any:
    return optional_import("torch", "all", "A column of tensors")
