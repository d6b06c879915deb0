"""A number that the processes of a node share."""

from __future__ import annotations

from typing import Any

from streaming.base.shared.array import SharedArray

__all__ = ["SharedScalar"]


class SharedScalar:
    """A number, zero at first.

    Args:
        dtype: Its type.
        name: Name by which processes find it. Whoever comes first makes it.

    Example:
        >>> count = SharedScalar(np.int64, 'example_scalar')
        >>> count.set(5)
        >>> int(SharedScalar(np.int64, 'example_scalar').get())
        5
        >>> count.arr.shm.cleanup()
    """

    def __init__(self, dtype: Any, name: str) -> None:
        self.arr: SharedArray = SharedArray(1, dtype, name)

    def get(self) -> Any:
        """Return it."""
        return self.arr[0]

    def set(self, value: Any) -> None:
        """Set it."""
        self.arr[0] = value
