"""``StreamingDataLoader``: a ``DataLoader`` with exact checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from errno import ENOSPC, EROFS
from functools import partial
from os import PathLike
from time import monotonic_ns
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from streaming.core.arguments import as_flag
from streaming.core.errors import CheckpointError, ConfigError, SharedMemoryError, StreamingError
from streaming.core.process.interrupts import deferred_interrupts, redeliver_interrupt
from streaming.core.process.ledger import DECODE, LEDGERS, USER
from streaming.core.world import detect_ranks
from streaming.dataset.access import RandomAccess
from streaming.dataset.dataset import StreamingDataset
from streaming.dataset.epoch.interface import OrderedDataset
from streaming.dataset.epoch.progress import Reach
from streaming.dataset.wrappers import is_read_ahead, no_batch
from streaming.loader.arguments import OF_DATASET, as_ordered, begin_at, check_arguments
from streaming.loader.batched import BatchIterator, WorkersIterator, as_batches, as_it_is, may_batch
from streaming.loader.collate import DefaultCollator
from streaming.loader.counting import Consumed, CountingCollate
from streaming.loader.handover import Handover
from streaming.loader.packing import unpack
from streaming.loader.watching.files import ReportFile
from streaming.loader.watching.record import Record
from streaming.loader.watching.report import Report
from streaming.order.balance.options import Balance

__all__ = ["StreamingDataLoader"]


class StreamingDataLoader(DataLoader[Any]):
    """A ``torch.utils.data.DataLoader`` that knows how many samples it has yielded.

    Takes the arguments of ``DataLoader``, and yields what a ``DataLoader`` yields. Where samples are collated as by default,
    batches of columns come from workers in one block of shared memory: the tensors of a batch then share it. If no class of
    the user's own says what a sample is either, batches are made from the shards at once.

    With a :class:`StreamingDataset`, :meth:`state_dict` says where training is, and after :meth:`load_state_dict` the next
    iteration continues there.

    Args:
        dataset: Best a :class:`StreamingDataset`; for any other, this is a plain ``DataLoader``.
        batch_size: Samples of a batch; by default as many as the :class:`StreamingDataset` says, and never others. Of any
            other dataset by default 1.
        shuffle: Not for a :class:`StreamingDataset`, which shuffles by itself (``StreamingDataset(shuffle=True)``).
        sampler: Not for a :class:`StreamingDataset` either.
        batch_sampler: The same.
        num_workers: Processes that load batches; 0: this one.
        collate_fn: Makes a batch of a list of samples.
        pin_memory: Copy tensors to page-locked memory, for faster copies to a GPU.
        drop_last: Leave out a last batch of fewer samples.
        timeout: Seconds to wait for a batch of a worker; 0: without limit.
        worker_init_fn: Called in each worker with its number.
        multiprocessing_context: How workers are started: ``'fork'``, ``'spawn'``, ``'forkserver'``, or a context.
        generator: Makes the workers' seeds.
        prefetch_factor: Batches that each worker loads ahead; ``None``: 2.
        persistent_workers: Keep workers from one epoch to the next.
        pin_memory_device: The device to pin memory for.
        in_order: Whether batches of several workers come in turn.
        balance: Deal samples over the ranks so that each has as much to do: which cost alike come in the same batch. Give it
            on every rank; the dataset keeps it until it is given another one. ``None`` changes nothing.
        report_to: A folder in which each rank keeps its :meth:`report` as a file, written anew every few seconds.

    Raises:
        ConfigError: The dataset has another ``batch_size``, or what its samples cost is not known.
        ValueError: PyTorch refuses an argument, or two together.

    Attributes:
        num_samples_yielded: Samples yielded in this iteration on this rank.

    Example:
        >>> def loader():
        ...     return StreamingDataLoader(StreamingDataset(local='data', shuffle=True, batch_size=16), batch_size=16)
        >>> batches = loader()
        >>> for batch in batches:
        ...     checkpoint = batches.state_dict()
        ...     break
        >>> resumed = loader()
        >>> resumed.load_state_dict(checkpoint)
        >>> len(list(resumed))
        3
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = OF_DATASET,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        balance: Balance | None = None,
        report_to: str | PathLike[str] | None = None,
    ) -> None:
        given = check_arguments(
            dataset,
            batch_size,
            shuffle,
            sampler,
            batch_sampler,
            num_workers,
            collate_fn,
            pin_memory,
            drop_last,
            timeout,
            worker_init_fn,
            multiprocessing_context,
            generator,
            prefetch_factor=prefetch_factor,
            persistent_workers=persistent_workers,
            pin_memory_device=pin_memory_device,
            **({} if as_flag("in_order", in_order) else {"in_order": False}),  # PyTorch has it from 2.6 on
        )
        super().__init__(**given)
        self.balance = balance
        if balance is not None:
            if self._ordered is None:
                raise ConfigError("balance is for a StreamingDataset, whose order is known.")
            self._ordered.set_balance(balance)
        self.num_samples_yielded = 0
        self._consumed: Consumed | None = None
        self._served: tuple[Any, int] = None, 0
        self._present = object()
        self._record = Record()
        self._report_file = None if report_to is None else ReportFile(report_to)
        if self._ordered is not None:
            # Trainers that resume at the end of an epoch load no checkpoint of data, but tell the sampler which epoch it is.
            vars(self.sampler)["set_epoch"] = partial(begin_at, self._ordered, self._least)
        # Accelerate leaves what is marked so as it is: the dataset is split over ranks already.
        self._is_accelerate_prepared = self._ordered is not None

    @property
    def _ordered(self) -> OrderedDataset | None:
        return as_ordered(self.dataset)

    @property
    def _least(self) -> int:
        """Samples that must be left for a batch."""
        return self.batch_size or 1 if self.drop_last else 1

    def skip_epoch_over(self) -> None:
        """Go on with the next epoch if nothing is left of that which a checkpoint continues; for what wants batches."""
        over = None if self._ordered is None else self._ordered.epoch_over(self._least)
        if over is not None and self._ordered is not None:
            self._ordered.set_epoch(over + 1)

    def __iter__(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Yield batches; each is counted before it is handed out, or once it is used where a trainer reads ahead."""
        self.num_samples_yielded = count = drawn = 0
        self._consumed = consumed = None
        self._hand_out(0)
        self._present = present = object()
        has_hook = self._brings_batch_size()
        late, reach = is_read_ahead(), None
        record, is_here = self._record, not self.num_workers
        record.begin()
        if is_here:
            LEDGERS.own.begin(is_first=True)
            if self._ordered is None:
                LEDGERS.own.enter(DECODE)
        asked, is_finalizing = monotonic_ns(), sys.is_finalizing
        try:
            for counted in super().__iter__():
                if consumed is None:
                    consumed, reach = self._begin_counting(), self._reach()
                if reach is not None:
                    reach.batches += 1
                batch = unpack(counted.batch)
                record.add(asked, monotonic_ns(), counted.items, counted.worker, counted.spent)
                if self._report_file is not None and self._report_file.is_due:
                    self._report_file.write(self.report(), True)
                if late:
                    yield batch
                samples = consumed.add(counted)
                drawn += samples
                self._hand_out(drawn)
                count += self._ask_hook(batch, samples) if has_hook else samples
                self._note(present, count, consumed)
                if not late:
                    yield batch
                if is_here:
                    LEDGERS.own.begin()
                asked = monotonic_ns()
        finally:
            if not is_finalizing():  # of modules nothing may be left
                self._end_record()
        if consumed is None:
            self._warn_of_no_batches()

    def _hand_out(self, samples: int) -> None:
        if self._ordered is not None:
            self._ordered.hand_out(samples, self._least)

    def _note(self, iteration: object, count: int, consumed: Consumed) -> None:
        """Take what an iteration has handed out for a checkpoint's, if none was begun after it."""
        if iteration is self._present:
            self.num_samples_yielded, self._consumed = count, consumed

    def _warn_of_no_batches(self) -> None:
        """Say that an epoch that began at its beginning gave nothing."""
        dataset = self._ordered
        if dataset is None:
            return
        start = dataset.present_start()
        if not start.sample_in_epoch and not start.workers:
            dataset.warn_once("no batch", no_batch(dataset.length, dataset.batch_size if self.drop_last else None))

    def report(self) -> Report:
        """Return what training waited for on this rank since this loader was made; ``str()`` makes a line of it.

        Costs some tenths of a millisecond. Any thread may ask.

        Example:
            >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
            >>> batches = list(loader)
            >>> report = loader.report()
            >>> report.batches, report.samples, report.stragglers
            (4, 64, ())
        """
        stats = self.dataset.stats() if isinstance(self.dataset, StreamingDataset) else {}
        return self._record.report(stats, detect_ranks())

    def _end_record(self) -> None:
        self._record.end()
        LEDGERS.own.rest()
        if self._report_file is not None:
            self._report_file.write(self.report(), False)

    def _begin_counting(self) -> Consumed:
        workers, data = max(1, self.num_workers), self._ordered
        if data is None:
            return Consumed(workers, self.batch_size, True)
        is_regular = self.batch_size == data.batch_size and getattr(self, "in_order", True)
        return Consumed(workers, data.batch_size, is_regular, data.present_start().workers)

    def _reach(self) -> Reach | None:
        """Return where to note how many batches were received, if their number says how far the workers are."""
        data = self._ordered
        if (
            data is None
            or data.has_own_iter()
            or data.batch_size != self.batch_size
            or not getattr(self, "in_order", True)
        ):
            return None
        return data.reach(self.num_workers * (self.prefetch_factor or 0))

    def _brings_batch_size(self) -> bool:
        kind = type(self)._get_batch_size
        return kind is not StreamingDataLoader._get_batch_size or "_get_batch_size" in self.__dict__

    def _ask_hook(self, batch: Any, samples: int) -> int:
        self._served = batch, samples
        try:
            return self._get_batch_size(batch)
        finally:
            self._served = None, 0  # the batch's memory is the caller's

    def _get_batch_size(self, batch: Any) -> int:
        """Return the number of samples that were drawn for a batch.

        A subclass may bring its own, which is then believed: what it returns for every batch is what a checkpoint counts.
        """
        served, samples = self._served
        return samples if batch is served else batch_length(batch)

    def _get_iterator(self) -> Any:
        """Begin an iteration, whose workers are started here."""
        if not self.num_workers:
            return self._begin()
        if self._ordered is not None:
            self._ordered.number_iteration()
        try:
            with deferred_interrupts():
                iterator = self._begin()
        except OSError as error:
            if isinstance(error, StreamingError) or error.errno not in (ENOSPC, EROFS):
                raise
            raise SharedMemoryError(
                f"Cannot start {self.num_workers} workers: {error}. What they share lies in /dev/shm: it must be writable "
                "and have room (`docker run --shm-size`), or pass num_workers=0."
            ) from error
        iterator.__class__ = WorkersIterator
        iterator.keep_queues()
        return iterator

    def _begin(self) -> Any:
        """Begin an iteration: of batches, if the samples are as they are stored and collated as by default."""
        dataset = self._ordered
        if (
            dataset is None
            or not may_batch(dataset)
            or self.batch_size is None
            or dataset.batch_size != self.batch_size
            or self.collate_fn is not default_collate
        ):
            return self._begin_samples(dataset)
        return self._begin_batches(dataset)

    def _begin_samples(self, dataset: OrderedDataset | None) -> Any:
        counting, handover = copy(self), Handover.for_workers(self.num_workers)
        usual = USER if dataset is None and not isinstance(self.dataset, RandomAccess) else DECODE
        collate = CountingCollate(self.collate_fn, dataset, self._auto_collation, handover, usual)
        counting.__dict__.update(collate_fn=collate)
        return self._started(counting, handover)

    def _begin_batches(self, dataset: OrderedDataset) -> Any:
        if self.num_workers:
            # PyTorch seeds it in each worker: imported here, it takes its time and memory once.
            import numpy.random  # noqa: F401  # pyright: ignore[reportUnusedImport]
        batches, handover = copy(self), Handover.for_workers(self.num_workers)
        batches.__dict__.update(
            dataset=as_batches(dataset, DefaultCollator(self.drop_last, handover)),
            batch_size=None,
            batch_sampler=None,
            drop_last=False,
            collate_fn=as_it_is,
        )
        return self._started(batches, handover) if self.num_workers else BatchIterator(batches)

    def _started(self, loader: StreamingDataLoader, handover: Handover | None) -> Any:
        """Begin PyTorch's own iteration, and let go of what its workers have inherited."""
        iterator = super(StreamingDataLoader, loader)._get_iterator()
        if handover is not None:
            handover.close_workers()
        return iterator

    def state_dict(self) -> dict[str, Any] | None:
        """Return a checkpoint of the dataset at the batch that was yielded last, or ``None`` for other datasets.

        What counts is what was drawn for the batches, whatever they look like. The dict is the same on every rank, and any
        number of ranks and workers may continue it. An exception is a dataset with an ``__iter__`` of its own that leaves
        samples out or multiplies them, or ``batch_size=None`` with several workers: where what was drawn is not the
        beginning of the epoch's order, the dict has ``workers``, and is for this rank alone, with as many workers. A sample
        of which a part was yielded, or that such an ``__iter__`` holds back, counts as drawn.

        Raises:
            CheckpointError: The dataset's own ``__iter__`` does not iterate ``super().__iter__()`` once.
        """
        dataset, consumed = self._ordered, self._consumed
        if dataset is None:
            return None
        if consumed is None or self._brings_batch_size():
            return dataset.state_dict(self.num_samples_yielded * dataset.num_data_ranks, False)
        if not consumed.is_known:
            raise CheckpointError(
                f"{type(dataset).__name__}.__iter__ does not take its samples from one StreamingDataset.__iter__ an epoch, "
                "so that what training has consumed cannot be counted. Iterate `super().__iter__()` once, or override "
                "`__getitem__` or `get_item` instead."
            )
        num_ranks = dataset.num_data_ranks
        position = consumed.position() if consumed.is_even or num_ranks == 1 else None
        if position is None and num_ranks > 1:
            dataset.warn_once(
                "own checkpoint",
                f"The checkpoint is this rank's own, since each of {num_ranks} ranks draws another number of samples for "
                "its batches. Save and load the state of every rank.",
            )
        return dataset.state_of_workers(consumed.workers, position)

    def load_state_dict(self, obj: Mapping[str, Any] | None) -> None:
        """Have the next iteration continue where :meth:`state_dict` was taken.

        Raises:
            CheckpointError: The checkpoint does not fit the dataset.
        """
        dataset = self._ordered
        if obj is not None and dataset is not None:
            dataset.load_state_dict(obj)

    def __del__(self) -> None:
        """End persistent workers now rather than when the garbage collector gets to them."""
        iterator = getattr(self, "_iterator", None)
        shutdown = getattr(iterator, "_shutdown_workers", None)
        if shutdown is not None:
            try:
                shutdown()
            except KeyboardInterrupt:
                redeliver_interrupt()


def batch_length(batch: Any) -> int:
    """Guess the number of samples of a collated batch: for those who ask of one that no loader has just served.

    Args:
        batch: A tensor, a mapping of columns, or a sequence of columns.

    Raises:
        ConfigError: A mapping without columns.
    """
    # transformers' BatchEncoding and BatchFeature are UserDicts, which are mappings too.
    if isinstance(batch, Mapping):
        for column in batch.values():
            return len(column)
        raise ConfigError("The batch is a dict without columns, so its samples cannot be counted.")
    return len(batch) if isinstance(batch, Tensor) else len(batch[0])
