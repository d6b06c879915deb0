"""A dataset that yields batches, made from one that yields samples."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from torch.autograd import _profiler_enabled  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
from torch.utils.data import _utils
from torch.utils.data.dataloader import (
    _MultiProcessingDataLoaderIter,  # pyright: ignore[reportPrivateUsage]
    _SingleProcessDataLoaderIter,  # pyright: ignore[reportPrivateUsage]
)

from streaming.core.process.interrupts import deferred_interrupts, redeliver_interrupt
from streaming.dataset.epoch.interface import OrderedDataset
from streaming.loader.collate import DefaultCollator

__all__ = ["BatchIterator", "WorkersIterator", "as_batches", "as_it_is", "may_batch"]


def may_batch(dataset: OrderedDataset) -> bool:
    """Say whether batches may be made without the dataset's own methods: no class has changed what a sample is."""
    return dataset.is_plain() and not dataset.has_own_iter() and dataset.on_error == "raise"


def as_batches(dataset: Any, collator: DefaultCollator) -> Any:
    """Return a dataset of the same class and state whose iterator yields batches."""
    view: Any = object.__new__(_batching(type(dataset)))
    view.__dict__ = dataset.__dict__
    view._made_of = dataset, collator
    return view


# A class is in cycles: one for each dataset would keep what it yields through until the garbage collector comes.
@lru_cache(maxsize=16)
def _batching(kind: type[Any]) -> type[Any]:
    """Return a class that differs in what its iterator yields."""

    def iterate(self: Any) -> Iterator[Any]:
        return self.iterate_batches(self._made_of[1])

    def reduce(self: Any, protocol: int) -> tuple[Any, ...]:
        del protocol
        return as_batches, self._made_of

    return type(kind.__name__, (kind,), {"__slots__": ("_made_of",), "__iter__": iterate, "__reduce_ex__": reduce})


def as_it_is(batch: Any) -> Any:
    """Collate nothing."""
    return batch


class BatchIterator(_SingleProcessDataLoaderIter):
    """What iterates batches in this process: PyTorch's own, which marks each batch for a profiler only if there is one.

    The mark costs as much as a fifth of a batch of 256 rows of 4 KiB.
    """

    def __next__(self) -> Any:
        if _profiler_enabled() or self._IterableDataset_len_called is not None:
            return super().__next__()
        batch = self._next_data()
        self._num_yielded += 1
        return batch


#: The queues of every iterator with workers, by its id.
_queues: dict[int, Any] = {}


class WorkersIterator(_MultiProcessingDataLoaderIter):
    """PyTorch's own, which ends its workers at once, and loses no interrupt, where an iteration was left half-way.

    An iterator that is in a cycle, as it is once an exception came out of it, is found by the garbage collector, in any
    thread. That would close the queues first, so that workers never hear of the end: five seconds for each are waited then.
    """

    def keep_queues(self) -> None:
        """Have the queues outlive this, which belongs to this process."""
        _queues[id(self)] = self._index_queues
        self._owner = os.getpid()

    def __next__(self) -> Any:
        before = sys.exc_info()[1]
        try:
            return super().__next__()
        except (KeyboardInterrupt, RuntimeError) as error:
            interrupt = _find_interrupt(error, before)
            if interrupt is None:
                raise
            # Ctrl-C ends workers too. One that had only begun counts as failed, which would be raised at any later moment.
            with suppress(ValueError):  # they have ended, as all was read
                _utils.signal_handling._remove_worker_pids(id(self))  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
            self._worker_pids_set = False
            if interrupt is error:
                raise
            raise interrupt from None

    def __del__(self) -> None:
        if _queues:  # nothing at the end of a program
            _queues.pop(id(self), None)
        if _utils is None or _utils.python_exit_status:  # what the rest needs may be gone
            super().__del__()
            return
        if getattr(self, "_owner", 0) not in (
            0,
            os.getpid(),
        ):  # what a fork has inherited: the workers are its parent's
            return
        try:
            with deferred_interrupts():
                super().__del__()
                # Queues, pipes and processes have finalizers of their own, in which an interrupt would be lost.
                self.__dict__.clear()
        except KeyboardInterrupt:
            redeliver_interrupt()


def _find_interrupt(error: BaseException | None, before: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that an error took the place of, unless it was being handled before."""
    while error is not None and error is not before:
        if isinstance(error, KeyboardInterrupt):
            return error
        error = error.__context__
    return None
