"""NumPy-style indexing for anything that has a size and an item for every integer.

One base class serves the datasets, so that all of them take the same index expressions.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, overload

import numpy as np
from typing_extensions import TypeVar

from streaming.core.errors import ConfigError

__all__ = ["Array", "ArrayLike", "resolve_index"]

#: What an item is: a subclass that makes something of its own of a sample says so, as in ``Array[torch.Tensor]``.
T_co = TypeVar("T_co", covariant=True, default=Any)


class ArrayLike(Protocol):
    """An array of NumPy's, or a tensor."""

    def __array__(self) -> np.ndarray[Any, Any]:
        """Return it as NumPy's."""
        ...


def resolve_index(at: int | np.integer[Any], size: int) -> int:
    """Turn a possibly negative index into one in ``[0, size)``.

    Raises:
        IndexError: It is outside ``[-size, size)``.
    """
    index = int(at)
    resolved = index + size if index < 0 else index
    if not 0 <= resolved < size:
        raise IndexError(f"Index {index} is out of range for {size} samples.")
    return resolved


class Array(Generic[T_co]):
    """Indexing by integer, slice, list, array or tensor of integers, or boolean mask."""

    @property
    def size(self) -> int:
        """Number of items."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.size

    def get_item(self, sample_id: int) -> T_co:
        """Return the item at an index in ``[0, size)``."""
        raise NotImplementedError

    def get_items(self, sample_ids: np.ndarray[Any, Any]) -> list[T_co]:
        """Return the items at an array of indexes in ``[0, size)``, in that order."""
        get = self.get_item
        return [get(i) for i in sample_ids.tolist()]

    @overload
    def __getitem__(self, at: int | np.integer[Any]) -> T_co: ...

    @overload
    def __getitem__(self, at: slice | list[int] | list[bool] | ArrayLike) -> list[T_co]: ...

    @overload
    def __getitem__(self, at: list[list[int]]) -> list[list[T_co]]: ...

    def __getitem__(self, at: Any) -> Any:
        """Return one item, or a list of items.

        Args:
            at: An integer, negative from the end; a slice, with the meaning it has for a list (``[::-1]``
                reverses); a list or an integer array (or tensor), nested as deep as the result; or a boolean mask as
                long as the dataset.

        Returns:
            The item, or a list (of lists, for nested indexes).

        Raises:
            IndexError: An index is outside ``[-size, size)``, or a mask has another length.
            ConfigError: (a ``ValueError``) The index is of another type.

        Example:
            >>> dataset = StreamingDataset(local='data')
            >>> dataset[-1]['text'], [sample['label'] for sample in dataset[10:16:2]]
            ('text 63', [0, 2, 4])
            >>> len(dataset[np.arange(dataset.size) % 2 == 0])
            32
        """
        if isinstance(at, (int, np.integer)):
            return self.get_item(resolve_index(at, self.size))
        if isinstance(at, slice):
            return self.get_items(np.arange(*at.indices(self.size), dtype=np.int64))
        if isinstance(at, list):
            kinds = set(map(type, at))
            if kinds and kinds <= {bool, np.bool_}:
                return self[np.asarray(at, np.bool_)]
            if all(issubclass(kind, (int, np.integer)) for kind in kinds):
                return self.get_items(self._resolved(np.array(at, np.int64)))
            return [self[i] for i in at]
        if hasattr(at, "__array__"):
            return self._by_array(np.asarray(at))
        raise ConfigError(
            f"Cannot index by {type(at).__name__} ({at!r}); use an integer, a slice, a list, an integer array or a "
            "boolean mask."
        )

    def _by_array(self, at: np.ndarray[Any, Any]) -> Any:
        if at.dtype == np.bool_:
            if at.shape != (self.size,):
                raise IndexError(f"A boolean mask must have shape ({self.size},), not {at.shape}.")
            return self.get_items(np.flatnonzero(at))
        if not np.issubdtype(at.dtype, np.integer):
            if at.size:
                raise ConfigError(f"Cannot index by an array of {at.dtype}; use integers or booleans.")
            at = at.astype(np.int64)
        if at.ndim == 0:
            return self[int(at)]
        if at.ndim > 1:
            return [self._by_array(row) for row in at]
        return self.get_items(self._resolved(at.astype(np.int64)))

    def _resolved(self, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        size = self.size
        if not len(at):
            return at
        low, high = at.min(), at.max()
        if low < -size or high >= size:
            raise IndexError(f"Index {low if low < -size else high} is out of range for {size} samples.")
        return at if low >= 0 else np.where(at < 0, at + size, at)
