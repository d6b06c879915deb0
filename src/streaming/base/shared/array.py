"""An array that the processes of a node share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.base.shared.memory import SharedMemory

__all__ = ["SharedArray"]


class SharedArray:
    """An array, zero at first.

    Args:
        shape: Its shape.
        dtype: Type of its items.
        name: Name by which processes find it. Whoever comes first makes it.

    Example:
        >>> array = SharedArray(3, np.int64, 'example_array')
        >>> array[1] = 5
        >>> SharedArray(3, np.int64, 'example_array').numpy()
        array([0, 5, 0])
        >>> array.shm.cleanup()
    """

    def __init__(self, shape: int | tuple[int, ...], dtype: Any, name: str) -> None:
        self.shape: tuple[int, ...] = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = dtype
        self.name = name
        self.shm: SharedMemory = SharedMemory(name, None, max(1, int(np.prod(self.shape)) * np.dtype(dtype).itemsize))

    def numpy(self) -> NDArray[Any]:
        """Return the array itself."""
        return np.ndarray(self.shape, self.dtype, self.shm.buf)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        return self.numpy()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self.numpy()[index] = value
