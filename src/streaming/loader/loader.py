"""``StreamingDataLoader``: a ``DataLoader`` with exact checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from streaming.core.errors import ConfigError
from streaming.dataset.dataset import StreamingDataset
from streaming.dataset.wrappers import is_read_ahead
from streaming.loader.batched import BatchIterator, as_batches, as_it_is, may_batch
from streaming.loader.collate import DefaultCollator
from streaming.loader.handover import Handover
from streaming.loader.packing import unpack

__all__ = ["StreamingDataLoader"]


class StreamingDataLoader(DataLoader[Any]):
    """A ``torch.utils.data.DataLoader`` that knows how many samples it has yielded.

    Takes the arguments of ``DataLoader``, and yields what a ``DataLoader`` yields. Where samples are collated as by default,
    and no class of the user's own says what a sample is, batches are made from the shards at once, and come from workers in
    one block of shared memory: the tensors of a batch then share it.

    With a :class:`StreamingDataset`, :meth:`state_dict` says where training is, and after :meth:`load_state_dict` the next
    iteration continues there.

    Args:
        dataset: Best a :class:`StreamingDataset`; for any other, this is a plain ``DataLoader``.
        batch_size: Samples of a batch; the same as the dataset's.
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

    Raises:
        ConfigError: The dataset has another ``batch_size``.
        ValueError: PyTorch refuses an argument, or two together.

    Attributes:
        num_samples_yielded: Samples yielded in this iteration on this rank.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = 1,
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
    ) -> None:
        super().__init__(
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
            **({} if in_order else {"in_order": False}),  # PyTorch has it from 2.6 on
        )
        self.num_samples_yielded = 0
        dataset = self.dataset
        # Accelerate leaves what is marked so as it is: the dataset is split over ranks already.
        self._is_accelerate_prepared = isinstance(dataset, StreamingDataset)
        if (
            isinstance(dataset, StreamingDataset)
            and dataset.batch_size is not None
            and self.batch_size is not None
            and dataset.batch_size != self.batch_size
        ):
            raise ConfigError(
                f"The dataset has batch_size={dataset.batch_size}, its DataLoader batch_size={self.batch_size}. They must "
                "be equal: the order of samples, and what a checkpoint counts, depend on it."
            )

    def __iter__(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Yield batches; each is counted before it is handed out, or once it is used where a trainer reads ahead."""
        self.num_samples_yielded = count = 0
        late = is_read_ahead()
        for packed in super().__iter__():
            batch = unpack(packed)
            count += batch_length(batch)
            if late:
                yield batch
            self.num_samples_yielded = count
            if not late:
                yield batch

    def _get_iterator(self) -> Any:
        """Begin an iteration: of batches, if the samples are as they are stored and collated as by default."""
        dataset = self.dataset
        if (
            not isinstance(dataset, StreamingDataset)
            or not may_batch(dataset)
            or self.batch_size is None
            or dataset.batch_size != self.batch_size
            or self.collate_fn is not default_collate
        ):
            return super()._get_iterator()
        if self.num_workers:
            # PyTorch seeds it in each worker: imported here, it takes its time and memory once.
            import numpy.random  # noqa: F401  # pyright: ignore[reportUnusedImport]
        handover = Handover.for_workers(self.num_workers)
        batches = copy(self)
        batches.__dict__.update(
            dataset=as_batches(dataset, DefaultCollator(self.drop_last, handover)),
            batch_size=None,
            batch_sampler=None,
            drop_last=False,
            collate_fn=as_it_is,
        )
        if self.num_workers == 0:
            return BatchIterator(batches)
        iterator = super(StreamingDataLoader, batches)._get_iterator()
        if handover is not None:
            handover.close_workers()
        return iterator

    def state_dict(self) -> dict[str, Any] | None:
        """Return a checkpoint of the dataset at the batch that was yielded last, or ``None`` for other datasets.

        Samples of every rank are counted: the same dict on every rank.
        """
        dataset = self.dataset
        if not isinstance(dataset, StreamingDataset):
            return None
        return dataset.state_dict(self.num_samples_yielded * dataset.num_data_ranks, False)

    def load_state_dict(self, obj: Mapping[str, Any] | None) -> None:
        """Have the next iteration continue where :meth:`state_dict` was taken.

        Raises:
            CheckpointError: The checkpoint does not fit the dataset.
        """
        if obj is not None and isinstance(self.dataset, StreamingDataset):
            self.dataset.load_state_dict(obj)

    def __del__(self) -> None:
        """End persistent workers now rather than when the garbage collector gets to them."""
        iterator = getattr(self, "_iterator", None)
        shutdown = getattr(iterator, "_shutdown_workers", None)
        if shutdown is not None:
            shutdown()


def batch_length(batch: Any) -> int:
    """Return the number of samples of a collated batch.

    Args:
        batch: A tensor, a mapping of columns, or a sequence of columns.

    Raises:
        ConfigError: A mapping without columns.
    """
    if type(batch) is dict and type(column := next(iter(batch.values()), None)) is Tensor:
        return column.shape[0]
    # transformers' BatchEncoding and BatchFeature are UserDicts, which are mappings too.
    if isinstance(batch, Mapping):
        for column in batch.values():
            return len(column)
        raise ConfigError("The batch is a dict without columns, so its samples cannot be counted.")
    if isinstance(batch, Tensor):
        return len(batch)
    return len(batch[0])
