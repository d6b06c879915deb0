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

from streaming.loader.handover import Handover, Lent, Ticket, receive

__all__ = ["Packed", "Packer", "packed", "unpack"]

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

    def tensor(self, block: Tensor, first: int) -> Tensor:
        """Return it, of a block whose memory begins at ``first``."""
        begin = self.begin - first
        return block[begin : begin + self.nbytes].view(_torch_dtype(self.dtype)).view(self.shape)


@dataclass(frozen=True)
class _List:
    """A list of ``bytes`` or ``str`` of the batch: lengths, and all bytes in a row."""

    begin: int
    lengths: tuple[int, ...]
    is_text: bool

    def items(self, block: Tensor) -> list[Any]:
        """Return it, of a block."""
        found: list[Any] = []
        raw: Any = block.numpy()
        begin, view = self.begin, memoryview(raw)
        for length in self.lengths:
            part = view[begin : begin + length]
            found.append(str(part, "utf-8", "surrogatepass") if self.is_text else bytes(part))
            begin += length
        return found


class Packed:
    """A batch in one block.

    Args:
        columns: What is in the block, or a value that is not, by column.
        block: ``uint8[n]``, in shared memory.
        lent: That memory, if it goes to the main process ahead of the batch; ``None``: it goes PyTorch's way.
    """

    def __init__(self, columns: dict[str, Any], block: Tensor, lent: Lent | None = None) -> None:
        self.columns = columns
        self.block = block
        self._lent = lent

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the block ahead."""
        ticket = None if self._lent is None else self._lent.send()
        if ticket is not None:
            return _received, (self.columns, ticket)
        return Packed, (self.columns, self.block)

    def array(self, place: _Array) -> NDArray[Any]:
        """Return a tensor's elements, to be filled."""
        data: Any = self.block.numpy()[place.begin : place.begin + place.nbytes]
        return data.view(place.dtype).reshape(place.shape)

    def pin_memory(self, device: Any = None) -> dict[str, Any]:
        """Return the batch, its tensors in pinned memory; a ``DataLoader`` calls this in a thread of its own."""
        del device  # of the current accelerator
        places = [value for value in self.columns.values() if isinstance(value, _Array)]
        begin = min((place.begin for place in places), default=0)
        end = max((place.begin + place.nbytes for place in places), default=0)
        pinned = self.block[begin:end].pin_memory() if places else self.block
        batch = self._unpacked(pinned, begin)
        return {
            name: value.pin_memory() if self.columns[name] is value and isinstance(value, Tensor) else value
            for name, value in batch.items()
        }

    def unpack(self) -> dict[str, Any]:
        """Return the batch. Its tensors share the block."""
        return self._unpacked(self.block, 0)

    def _unpacked(self, block: Tensor, first: int) -> dict[str, Any]:
        """Return the batch, its tensors of a block whose memory begins at ``first``."""
        batch: dict[str, Any] = {}
        for name, value in self.columns.items():
            if isinstance(value, _Array):
                batch[name] = value.tensor(block, first)
            else:
                batch[name] = value.items(self.block) if isinstance(value, _List) else value
        return batch


def _received(columns: dict[str, Any], ticket: Ticket) -> Packed:
    return Packed(columns, torch.from_numpy(receive(ticket)))


class Packer:
    """Lays out a block.

    Args:
        handover: Where shared memory comes from; ``None``: a block of its own for the batch.
    """

    def __init__(self, handover: Handover | None = None) -> None:
        self._handover = handover
        self._size = 0
        self._tensors: list[tuple[_Array, NDArray[Any]]] = []
        self._lists: list[tuple[int, list[bytes]]] = []

    def add_array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _Array:
        """Make room for a tensor."""
        place = _Array(self._size, dtype.str, shape)
        self._grow(max(1, place.nbytes))
        return place

    def add_tensor(self, value: Tensor) -> _Array | Tensor:
        """Make room for a tensor that there is already; return it as it is, if NumPy has no such elements."""
        try:
            array: Any = value.numpy()
        except (TypeError, RuntimeError):
            return value
        place = self.add_array(array.dtype, array.shape)
        self._tensors.append((place, array))
        return place

    def add_columns(self, columns: dict[str, Any]) -> dict[str, Any]:
        """Make room for tensors, and for lists that are worth it; what else there is goes as it is."""
        batch: dict[str, Any] = {}
        for name, value in columns.items():
            if type(value) is Tensor:
                batch[name] = self.add_tensor(value)
            elif type(value) is list and value and type(value[0]) in (bytes, str) and self.takes(value):
                batch[name] = self.add_list(value)
            else:
                batch[name] = value
        return batch

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
        varies = bool(self._lists or self._tensors)
        lent = self._handover.lend(self._size, self._size // 8 * varies) if self._handover is not None else None
        block = lent.data if lent is not None else _new_block(self._size)
        raw: Any = block.numpy()
        view = memoryview(raw)
        for begin, data in self._lists:
            for value in data:
                end = begin + len(value)
                view[begin:end] = value
                begin = end
        packed = Packed(columns, block, lent)
        for place, array in self._tensors:
            np.copyto(packed.array(place), array)
        return packed

    def _grow(self, nbytes: int) -> None:
        self._size += -(-nbytes // _ALIGN) * _ALIGN


def _new_block(size: int) -> Tensor:
    storage: Any = torch.UntypedStorage._new_shared(size)  # pyright: ignore[reportPrivateUsage]
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def packed(batch: dict[str, Any], handover: Handover | None) -> Any:
    """Return a batch's columns in one block, in a worker."""
    packer = Packer(handover)
    return packer.finish(packer.add_columns(batch))


def unpack(batch: Any) -> Any:
    """Return a batch as it is given to the user."""
    return batch.unpack() if type(batch) is Packed else batch


def _torch_dtype(dtype: str) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype
