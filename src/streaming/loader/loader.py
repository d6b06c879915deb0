"""``StreamingDataLoader``: a ``DataLoader`` with exact checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from streaming.core.errors import ConfigError
from streaming.core.interrupts import deferred_interrupts, redeliver_interrupt
from streaming.dataset.dataset import StreamingDataset
from streaming.dataset.wrappers import is_read_ahead
from streaming.loader.batched import BatchIterator, WorkersIterator, as_batches, as_it_is, may_batch
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

    Attributes:
        num_samples_yielded: Samples yielded in this iteration on this rank.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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
        """Begin an iteration, whose workers are started here."""
        if not self.num_workers:
            return self._begin()
        with deferred_interrupts():
            iterator = self._begin()
        iterator.__class__ = WorkersIterator
        return iterator

    def _begin(self) -> Any:
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
            try:
                shutdown()
            except KeyboardInterrupt:
                redeliver_interrupt()


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
