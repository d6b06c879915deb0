"""A batch on its way from a worker to the main process: one block of shared memory, whatever it holds.

What a ``DataLoader`` does by itself costs a file descriptor and two threads' attention for every tensor, and four copies
through a pipe for every string.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Packed", "Packer", "unpack"]

_ALIGN = 64
#: Lists with fewer bytes go through the pipe faster.
_MIN_LIST_BYTES = 1 << 16


@dataclass(frozen=True)
class _Array:
    """A tensor of the batch."""

    begin: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class _List:
    """A list of ``bytes`` or ``str`` of the batch: lengths, and all bytes in a row."""

    begin: int
    lengths: tuple[int, ...]
    is_text: bool


class Packed:
    """A batch in one block.

    Args:
        columns: What is in the block, or a value that is not, by column.
        block: ``uint8[n]``, in shared memory.
    """

    def __init__(self, columns: dict[str, Any], block: Tensor) -> None:
        self.columns = columns
        self.block = block

    def array(self, name: str) -> NDArray[Any]:
        """Return a tensor's elements, to be filled."""
        place: _Array = self.columns[name]
        data: Any = self.block.numpy()[place.begin : place.begin + place.nbytes]
        return data.view(place.dtype).reshape(place.shape)

    def pin_memory(self, device: Any = None) -> Packed:
        """Return the same in pinned memory; a ``DataLoader`` calls this."""
        columns = {
            name: value.pin_memory() if isinstance(value, Tensor) else value for name, value in self.columns.items()
        }
        return Packed(columns, self.block.pin_memory())

    def unpack(self) -> dict[str, Any]:
        """Return the batch. Its tensors share the block."""
        data = self.block.numpy()
        return {name: self._value(data, value) for name, value in self.columns.items()}

    def _value(self, data: NDArray[np.uint8], place: Any) -> Any:
        if isinstance(place, _Array):
            part = self.block[place.begin : place.begin + place.nbytes]
            return part.view(_torch_dtype(place.dtype)).view(place.shape)
        if not isinstance(place, _List):
            return place
        found: list[Any] = []
        raw: Any = data
        begin, view = place.begin, memoryview(raw)
        for length in place.lengths:
            part = view[begin : begin + length]
            found.append(str(part, "utf-8", "surrogatepass") if place.is_text else bytes(part))
            begin += length
        return found


class Packer:
    """Lays out a block."""

    def __init__(self) -> None:
        self._size = 0
        self._lists: list[tuple[int, list[bytes]]] = []

    def add_array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _Array:
        """Make room for a tensor."""
        place = _Array(self._size, dtype.str, shape)
        self._grow(place.nbytes)
        return place

    @staticmethod
    def takes(values: list[Any]) -> bool:
        """Say whether a list had better be packed."""
        kind = type(values[0])
        return all(type(value) is kind for value in values) and sum(map(len, values)) >= _MIN_LIST_BYTES

    def add_list(self, values: list[Any]) -> _List:
        """Make room for a list of ``bytes``, or of ``str``."""
        is_text = type(values[0]) is str
        data: list[bytes] = [value.encode("utf-8", "surrogatepass") for value in values] if is_text else values
        place = _List(self._size, tuple(map(len, data)), is_text)
        self._lists.append((self._size, data))
        self._grow(sum(place.lengths))
        return place

    def finish(self, columns: dict[str, Any]) -> Any:
        """Return the batch: packed, if there is anything in the block. Arrays are yet to be filled."""
        if not self._size:
            return columns
        storage: Any = torch.UntypedStorage._new_shared(self._size)  # pyright: ignore[reportPrivateUsage]
        block = torch.empty(0, dtype=torch.uint8).set_(storage)
        raw: Any = block.numpy()
        view = memoryview(raw)
        for begin, data in self._lists:
            for value in data:
                end = begin + len(value)
                view[begin:end] = value
                begin = end
        return Packed(columns, block)

    def _grow(self, nbytes: int) -> None:
        self._size += -(-nbytes // _ALIGN) * _ALIGN


def unpack(batch: Any) -> Any:
    """Return a batch as it is given to the user."""
    return batch.unpack() if type(batch) is Packed else batch


def _torch_dtype(dtype: str) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype
