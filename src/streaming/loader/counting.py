"""How many samples a batch took of its dataset: counted where they are drawn, and carried beside the batch.

A collated batch does not tell: its samples may be packed, filtered, nested or objects of the user's own. So what collates is
wrapped, in the process where it collates, and every batch comes with its :class:`Counted`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils.data import default_collate
from torch.utils.data._utils.pin_memory import pin_memory

from streaming.core.process.ledger import COLLATE, DECODE, LEDGERS
from streaming.core.world import in_worker, worker_of_process
from streaming.dataset.epoch.epochs import Start
from streaming.dataset.epoch.interface import OrderedDataset
from streaming.loader.explain import collate
from streaming.loader.handover import Handover
from streaming.loader.packing import packed

__all__ = ["Consumed", "Counted", "CountingCollate"]

#: What there is to say of an ``__iter__`` that is the user's own: the epoch, and the samples that the worker's own
#: ``StreamingDataset.__iter__`` has given in it.
Drawn = tuple[int, int]


class Counted:
    """A batch, and what was drawn for it.

    Args:
        batch: The batch.
        items: What the dataset's iterator gave for it: samples, where that is ``StreamingDataset``'s own.
        worker: Which worker made it, 0 in a process that is none.
        drawn: What the dataset's own ``__iter__`` took of ``StreamingDataset``'s; ``None`` if there is no such method.
        spent: When it was made, and what that took, as the ledger has it.
    """

    __slots__ = ("batch", "drawn", "items", "spent", "worker")

    def __init__(
        self, batch: Any, items: int, worker: int, drawn: Drawn | None = None, spent: tuple[int, ...] = ()
    ) -> None:
        self.batch: Any = batch
        self.items: int = items
        self.worker: int = worker
        self.drawn = drawn
        self.spent = spent

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle in few bytes."""
        return Counted, (self.batch, self.items, self.worker, self.drawn, self.spent)

    def pin_memory(self, device: Any = None) -> Counted:
        """Return it with the batch in pinned memory; a ``DataLoader`` calls this in a thread of its own."""
        return Counted(pin_memory(self.batch, device), self.items, self.worker, self.drawn, self.spent)


class CountingCollate:
    """Collates, and says how much was drawn.

    Args:
        collate: Makes a batch of samples, or of one sample where there are no batches.
        dataset: What gives the samples, if that has an order of its own.
        is_batched: Whether ``collate`` gets a list of samples.
        handover: How batches that are collated as by default get from workers to the main process; ``None``: PyTorch's way.
        usual: What is done where the dataset does not say when it begins a batch, one of the ledger's causes.
    """

    #: What an ``__iter__`` has drawn that never came to ``StreamingDataset``'s.
    UNKNOWN: Drawn = (-1, -1)

    def __init__(
        self,
        collate: Callable[[Any], Any],
        dataset: OrderedDataset | None,
        is_batched: bool,
        handover: Handover | None = None,
        usual: int = DECODE,
    ) -> None:
        self._collate = collate
        self._is_batched = is_batched
        self._is_default = collate is default_collate and is_batched
        self._is_packed = self._is_default and dataset is not None
        self._handover = handover
        self._usual = usual
        self._dataset = dataset if dataset is not None and dataset.has_own_iter() else None
        self._before: Start | None = None if self._dataset is None else self._dataset.drawn_here()[0]

    def __call__(self, data: Any) -> Counted:
        """Return the batch of samples, or of one."""
        drawn = self._drawn()
        worker, _ = worker_of_process()
        LEDGERS.own.enter(COLLATE)
        batch = collate(data) if self._is_default else self._collate(data)
        if self._is_packed and type(batch) is dict and in_worker():
            batch = packed(batch, self._handover)
        items = len(data) if self._is_batched else 1
        return Counted(batch, items, worker, drawn, LEDGERS.own.take(items, self._usual))

    def _drawn(self) -> Drawn | None:
        if self._dataset is None:
            return None
        start, samples = self._dataset.drawn_here()
        return self.UNKNOWN if start is None or start is self._before else (start.epoch, samples)


class Consumed:
    """What training has taken of one iteration of a loader on this rank.

    Args:
        num_workers: Workers that draw: at least 1.
        batch_size: Samples that a worker draws in turn, by the dataset's order.
        is_regular: Whether batches are those of the dataset's order, in its order.
        before: Samples that each worker had drawn when the iteration began.

    Attributes:
        samples: Samples that were drawn since.
        workers: Samples that each worker has drawn, those of before included.
        is_known: Whether that is so: not after an ``__iter__`` that does not draw from ``StreamingDataset``'s once.
        is_even: Whether every rank has drawn as many: what was drawn for a batch depends on nothing that is in it.
    """

    def __init__(self, num_workers: int, batch_size: int | None, is_regular: bool, before: Sequence[int] = ()) -> None:
        self.workers: list[int] = list(before) or [0] * num_workers
        self.samples = 0
        self.is_known = True
        self.is_even = not before
        self._batch_size = batch_size
        self._is_regular = is_regular and not before
        self._epoch: int | None = None

    def add(self, counted: Counted) -> int:
        """Count a batch; return how many samples were drawn for it."""
        worker, samples = counted.worker, counted.items
        if counted.drawn is not None:
            samples = self._own(counted.drawn, worker, samples)
        self.workers[worker] += samples
        self.samples += samples
        return samples

    def _own(self, drawn: Drawn, worker: int, items: int) -> int:
        """Return how many samples an ``__iter__`` of the user's own has drawn for a batch."""
        epoch, total = drawn
        self._epoch = epoch if self._epoch is None else self._epoch
        if epoch != self._epoch or total < 0:
            self.is_known: bool = False
            return 0
        samples = total - self.workers[worker]
        if samples != self._batch_size:
            self.is_even: bool = self.is_even and samples == items
            self._is_regular = self._is_regular and samples == items
        return samples

    def position(self) -> int | None:
        """Return how many of this rank's samples make up what was drawn, if those are the first of its order."""
        total = sum(self.workers)
        if self._is_regular:
            return total
        size = self._batch_size or 1
        rounds, rest = divmod(total, size * len(self.workers))
        first = [rounds * size + min(max(rest - worker * size, 0), size) for worker in range(len(self.workers))]
        return total if first == self.workers else None
