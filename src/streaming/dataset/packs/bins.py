"""Bins, and what ``default_collate`` makes of a batch of them.

A worker of a ``DataLoader`` makes shared memory for every tensor of a batch, and the main process fetches each over a
connection of its own, which takes longer than to make the bins. So their columns lie in one block, which goes as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import _utils, default_collate

from streaming.core.world import in_worker

__all__ = ["Bin", "Borders", "Longest"]

_ALIGN = 64


class Bin(dict[str, Any]):
    """A sample: columns, and what ``emit`` names."""


class Borders(np.ndarray[Any, np.dtype[np.int32]]):
    """``int32[k + 1]``, where pieces begin and end; those of a batch are laid end to end when it is collated."""


class Longest(int):
    """A number of tokens; of those of a batch, the largest counts."""


class _Batch(dict[str, Any]):
    """A batch in a worker. It arrives as a plain dict.

    Args:
        columns: The columns.
        block: Holds some of the tensors.
    """

    def __init__(self, columns: dict[str, Any], block: Tensor) -> None:
        super().__init__(columns)
        self._block = block

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the block once, and, as the columns are now, where its tensors are."""
        held = self._block.untyped_storage().data_ptr()
        places = {
            name: (value.dtype, value.storage_offset(), value.shape, value.stride())
            for name, value in self.items()
            if type(value) is Tensor and value.untyped_storage().data_ptr() == held
        }
        return _arrived, (self._block, {name: places.get(name, value) for name, value in self.items()}, list(places))


def _arrived(block: Tensor, columns: dict[str, Any], inside: list[str]) -> dict[str, Any]:
    for name in inside:
        dtype, *place = columns[name]
        columns[name] = torch.empty(0, dtype=dtype).set_(block.untyped_storage(), *place)
    return columns


def _of_bins(bins: Sequence[Bin], *, collate_fn_map: Any = None) -> dict[str, Any]:
    """Return the batch, arrays and borders in one block; what else was added is collated as ever."""
    del collate_fn_map
    columns: dict[str, list[Any]] = {name: [each[name] for each in bins] for name in bins[0]}
    stacked = {name: torch.from_numpy(values[0]) for name, values in columns.items() if _are_alike(values)}
    batch: dict[str, Any] = {
        name: stacked[name].expand(len(bins), *stacked[name].shape) if name in stacked else default_collate(values)
        for name, values in columns.items()
    }
    made = {name: batch[name] for name in batch if name in stacked or type(bins[0][name]) is Borders}
    sizes = [value.numel() * value.itemsize for value in made.values()]
    ends = np.cumsum([-(-size // _ALIGN) * _ALIGN for size in sizes], dtype=np.int64).tolist()
    block = _block(ends[-1] if ends else 0)
    for (name, value), begin, size in zip(made.items(), [0, *ends], sizes, strict=False):
        batch[name] = whole = block[begin : begin + size].view(value.dtype).view(value.shape)
        if name in stacked:
            np.stack(columns[name], out=whole.numpy())
        else:
            whole.copy_(value)
    return _Batch(batch, block) if in_worker() else batch


def _are_alike(values: list[Any]) -> bool:
    """Say whether values are arrays of numbers of one shape and type."""
    kinds = {(value.shape, value.dtype) if type(value) is np.ndarray else None for value in values}
    return len(kinds) == 1 and None not in kinds and values[0].dtype.kind in "iufb"


def _block(size: int) -> Tensor:
    """Return memory, ``uint8[size]``, shared in a worker."""
    if not in_worker():
        return torch.empty(size, dtype=torch.uint8)
    storage: Any = torch.UntypedStorage._new_shared(size)  # pyright: ignore[reportPrivateUsage]
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _end_to_end(batch: Sequence[Borders], *, collate_fn_map: Any = None) -> Tensor:
    del collate_fn_map
    offset, parts = 0, [np.zeros(1, np.int32)]
    for borders in batch:
        parts.append(np.asarray(borders)[1:] + offset)
        offset += int(borders[-1])
    return torch.from_numpy(np.concatenate(parts).astype(np.int32))


def _largest(batch: Sequence[Longest], *, collate_fn_map: Any = None) -> int:
    del collate_fn_map
    return int(max(batch))


# What torch's default_collate looks types up in.
_utils.collate.default_collate_fn_map.update({Bin: _of_bins, Borders: _end_to_end, Longest: _largest})
