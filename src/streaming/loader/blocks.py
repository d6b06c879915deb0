"""Blocks of shared memory that are used again.

A new block costs more than filling it: the kernel clears its pages, and maps each of them in two processes. So a worker
keeps its blocks, and the main process says of each when nothing there holds it any more.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from weakref import ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streaming.core.errors import SharedMemoryError
from streaming.core.process.allocate import allocate

__all__ = ["Block", "Blocks", "Borrowed"]

Bytes = NDArray[np.uint8]

#: Blocks that a worker keeps. As many are on their way, or with the user, at a time; others are used once.
_MOST_BLOCKS = 16


class _Forks:
    """How often this process has been forked."""

    number = 0

    @classmethod
    def add(cls) -> None:
        """Count one more."""
        cls.number += 1


os.register_at_fork(before=_Forks.add)


class Block:
    """Shared memory of a worker.

    Args:
        number: Tells it from the worker's other blocks, the ones before too.
        size: Its bytes.

    Raises:
        SharedMemoryError: The system has no room for it.
    """

    def __init__(self, number: int, size: int) -> None:
        try:
            storage = torch.UntypedStorage._new_using_fd_cpu(size)  # pyright: ignore
            # Its pages may be taken at the first access only, which is a signal then if there are none.
            allocate(storage._share_fd_cpu_()[0], size)  # pyright: ignore
        except (OSError, RuntimeError) as error:
            raise SharedMemoryError(
                f"There is no shared memory for a batch of {size} bytes: {error}. Give the machine or the container more "
                "(/dev/shm; `docker run --shm-size`), or pass a smaller batch_size, num_workers or prefetch_factor."
            ) from error
        self.number = number
        self.data: Tensor = torch.empty(0, dtype=torch.uint8).set_(storage)
        self.is_known = False

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.data)


class Blocks:
    """A worker's blocks: those that are free, and those that the main process has or will have."""

    def __init__(self) -> None:
        self._free: list[Block] = []
        self._lent: dict[int, Block] = {}
        self._num_made = 0

    def take(self, size: int, spare: int) -> tuple[Block, list[int]]:
        """Lend a block of at least ``size`` bytes.

        Args:
            size: Bytes that are needed.
            spare: Bytes more that a new block has, since the next may need more.

        Returns:
            The block, and the numbers of those that will not be lent again.
        """
        large_enough = [block for block in self._free if block.size >= size]
        if large_enough:
            # Of equal ones the one that was given back last, as it may still be in a cache.
            block = min(reversed(large_enough), key=lambda block: block.size)
            self._free.remove(block)
            dropped: list[int] = []
        else:
            dropped = self._drop()
            self._num_made += 1
            block = Block(self._num_made, size + spare)
        self._lent[block.number] = block
        return block, dropped

    def give_back(self, numbers: Iterable[int]) -> None:
        """Note that blocks can be lent again."""
        for number in numbers:
            block = self._lent.pop(number, None)
            if block is not None:
                self._free.append(block)

    def _drop(self) -> list[int]:
        """Make room for a new block: a small one goes, or one that has been away for long, which may never come back."""
        if self._free:
            block = min(self._free, key=lambda block: block.size)
            self._free.remove(block)
            return [block.number]
        if len(self._lent) < _MOST_BLOCKS:
            return []
        number = next(iter(self._lent))
        del self._lent[number]
        return [number]


class _Use(ref[Bytes]):
    """Tells when the array of a block is gone."""

    __slots__ = ("number", "process")

    number: int
    process: tuple[int, int]


class Borrowed:
    """What the main process has of one worker's blocks.

    Args:
        give_back: Tells the worker that nothing holds a block any more, by its number.
    """

    def __init__(self, give_back: Callable[[int], None]) -> None:
        self._give_back = give_back
        self._mapped: dict[int, Bytes] = {}
        self._uses: dict[int, _Use] = {}
        self._ended: deque[_Use] = deque()

    def add(self, number: int, data: Bytes) -> None:
        """Note where a block is in this process."""
        self._mapped[number] = data

    def use(self, number: int, size: int) -> Bytes:
        """Return the first bytes of a block.

        When the array is gone, and all that shares its memory, the block is given back, by the next call.
        """
        self._give_back_ended()
        array = self._mapped[number][:size]
        # Nothing of Python's runs as an array goes: an interrupt that came just then would be lost.
        use = self._uses[number] = _Use(array, self._ended.append)
        use.number, use.process = number, (os.getpid(), _Forks.number)
        return array

    def _give_back_ended(self) -> None:
        while self._ended:
            use = self._ended.popleft()
            # Not if a process that was forked meanwhile may have the array still.
            if use.process == (os.getpid(), _Forks.number):
                self._give_back(use.number)

    def forget(self, numbers: Iterable[int]) -> None:
        """Let go of blocks that will not come again."""
        for number in numbers:
            self._mapped.pop(number, None)
            self._uses.pop(number, None)
