"""Small operations on arrays that every layer needs."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["distinct", "is_tensor", "tensor_to_numpy"]


def is_tensor(value: Any) -> bool:
    """Tell whether a value is a torch tensor, without importing torch: nobody has a tensor who has not."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(value, getattr(torch, "Tensor", ()))


def tensor_to_numpy(tensor: Any) -> NDArray[Any]:
    """Return a tensor's values as an array, wherever it lies; those of one on the CPU are shared.

    Raises:
        TypeError: NumPy has no such dtype (``bfloat16``, 8-bit floats, quantised).
    """
    try:
        return tensor.numpy(force=True)
    except (TypeError, RuntimeError) as error:
        if str(tensor.layout) != "torch.strided":
            raise TypeError("a sparse tensor is no array; convert it first, such as by .to_dense()") from error
        if tensor.is_meta:
            raise TypeError("a tensor on the device 'meta' has no values") from error
        raise TypeError(f"NumPy has no {tensor.dtype}; convert the tensor first, such as by .float()") from error


def distinct(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the different values in ascending order, and where each comes first.

    The same as :func:`numpy.unique` with ``return_index``, which imports masked arrays on first use; a program that
    starts would wait for them.

    Args:
        values: ``int64[n]``.

    Returns:
        ``int64[m]`` values, and ``int64[m]`` indexes.
    """
    order = values.argsort(kind="stable")
    ordered = values[order]
    is_first = np.ones(len(values), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first], order[is_first]
