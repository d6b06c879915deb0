"""Batches' memory from workers to the process that reads from them.

PyTorch has a worker keep a thread from which the main process asks for every descriptor by a connection of its own, which
waits for the worker's interpreter several times. Here a worker sends the descriptor along, before the batch; and only
once for each block of memory, since blocks come back.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, multiprocessing
from torch.utils.data import get_worker_info

from streaming.loader.blocks import Block, Blocks, Borrowed

__all__ = ["Handover", "Lent", "Ticket", "receive"]

_MOST_WORKERS = 64  # a process that is started by a server gets at most 256 descriptors
_WAIT_S = 60.0
_NUMBER_BYTES = 8
_MOST_BYTES = 512 * _NUMBER_BYTES
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)  # where a program has SIGPIPE kill it

_ours: WeakValueDictionary[str, Handover] = WeakValueDictionary()


@dataclass(frozen=True)
class Ticket:
    """Where the main process finds a batch's memory.

    Attributes:
        token: The handover.
        worker: Who made the batch.
        number: The block's number.
        size: Bytes of it that are the batch's.
        capacity: Bytes of it, if its descriptor has been sent along, else 0: it came before.
        dropped: Numbers of blocks that will not come again.
    """

    token: str
    worker: int
    number: int
    size: int
    capacity: int
    dropped: tuple[int, ...]


class Handover:
    """A socket for each worker. Made by :meth:`for_workers` in the main process, and inherited by workers.

    Args:
        num_workers: Number of workers.
    """

    def __init__(self, num_workers: int) -> None:
        self._token = os.urandom(8).hex()
        pairs = [socket.socketpair() for _ in range(num_workers)]
        self._mains = [_MainEnd(main) for main, _ in pairs]
        self._workers = [_WorkerEnd(worker) for _, worker in pairs]
        _ours[self._token] = self
        finalize(self, _close, [one for pair in pairs for one in pair]).atexit = False

    @classmethod
    def for_workers(cls, num_workers: int) -> Handover | None:
        """Return a new one, or ``None`` where shared memory has no descriptors to hand over, or not for so many."""
        is_used = hasattr(socket, "send_fds") and multiprocessing.get_sharing_strategy() == "file_descriptor"
        return cls(num_workers) if is_used and 0 < num_workers <= _MOST_WORKERS else None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the workers' ends, for a worker that is not forked."""
        return {"_token": self._token, "_mains": [], "_workers": self._workers}

    def close_workers(self) -> None:
        """Close the workers' ends, now that they have them."""
        _close([end.socket for end in self._workers])

    def lend(self, size: int, spare: int = 0) -> Lent | None:
        """Return shared memory for a batch, in a worker; ``None`` in a process that is none.

        Args:
            size: Its bytes.
            spare: Bytes more that new memory has, since the next batch may need more.
        """
        worker = get_worker_info()
        if worker is None or worker.id >= len(self._workers):
            return None
        end = self._workers[worker.id]
        end.blocks.give_back(end.returned())
        block, dropped = end.blocks.take(size, spare)
        return Lent(self._token, worker.id, end, block, size, tuple(dropped))

    def receive(self, ticket: Ticket) -> NDArray[np.uint8]:
        """Return a batch's memory, in the main process. The worker has it back when nothing shares it any more."""
        end = self._mains[ticket.worker]
        end.borrowed.forget(ticket.dropped)
        if ticket.capacity:
            end.borrowed.add(ticket.number, _map(end.take(ticket.number), ticket.capacity))
        return end.borrowed.use(ticket.number, ticket.size)


class Lent:
    """A worker's memory for one batch.

    Args:
        token: The handover.
        worker: The worker.
        end: Its end.
        block: Where the memory is.
        size: Bytes of it that are the batch's.
        dropped: Numbers of blocks that the main process need not keep.
    """

    def __init__(
        self, token: str, worker: int, end: _WorkerEnd, block: Block, size: int, dropped: tuple[int, ...]
    ) -> None:
        self._token = token
        self._worker = worker
        self._end = end
        self._block = block
        self._size = size
        self._dropped = dropped

    @property
    def data(self) -> Tensor:
        """The memory, ``uint8[size]``."""
        return self._block.data[: self._size]

    def send(self) -> Ticket | None:
        """Send the memory ahead of its batch; ``None`` if that cannot be done."""
        block = self._block
        capacity = 0
        if not block.is_known:
            descriptor, capacity = block.data.untyped_storage()._share_fd_cpu_()  # pyright: ignore[reportPrivateUsage]
            try:
                self._end.send(block.number, descriptor)
            except OSError:
                return None
            block.is_known = True
        return Ticket(self._token, self._worker, block.number, self._size, capacity, self._dropped)


class _WorkerEnd:
    """A worker's socket and memory."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.blocks: Blocks = Blocks()

    def __getstate__(self) -> dict[str, Any]:
        return {"socket": self.socket, "blocks": Blocks()}

    def send(self, number: int, descriptor: int) -> None:
        """Send a block's descriptor."""
        socket.send_fds(self.socket, [_to_bytes(number)], [descriptor])

    def returned(self) -> Iterator[int]:
        """Yield the numbers of blocks that have come back."""
        with suppress(OSError):  # there are none
            while data := self.socket.recv(_MOST_BYTES, socket.MSG_DONTWAIT):
                for begin in range(0, len(data), _NUMBER_BYTES):
                    yield _from_bytes(data[begin : begin + _NUMBER_BYTES])


class _MainEnd:
    """The main process's socket to a worker, and what it has of its memory."""

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(_WAIT_S)

        def give_back(number: int) -> None:
            with suppress(OSError):  # the worker has ended
                end.send(_to_bytes(number), _NO_SIGNAL)

        self._socket = end
        self.borrowed = Borrowed(give_back)

    def take(self, number: int) -> int:
        """Return the descriptor of a block, and close those before it: nobody came for them."""
        while True:
            message, found, _, _ = socket.recv_fds(self._socket, _NUMBER_BYTES, 1)
            if not message:
                raise EOFError("A DataLoader worker ended before its batch came.")
            is_it = _from_bytes(message) == number
            if is_it and not found:  # there was no room for one more
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if is_it:
                return found[0]
            for descriptor in found:
                os.close(descriptor)


def receive(ticket: Ticket) -> NDArray[np.uint8]:
    """Return the memory that :meth:`Lent.send` has sent."""
    return _ours[ticket.token].receive(ticket)


def _map(descriptor: int, size: int) -> NDArray[np.uint8]:
    """Return shared memory, ``uint8[size]``. The descriptor is closed."""
    kind: Any = torch.UntypedStorage
    try:
        storage = kind._new_shared_fd_cpu(descriptor, size)
    finally:
        os.close(descriptor)
    data: Any = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
    return data


def _to_bytes(number: int) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "little")


def _from_bytes(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()
