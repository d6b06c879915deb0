"""A dataset that yields batches, made from one that yields samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streaming.dataset.dataset import StreamingDataset
from streaming.loader.collate import DefaultCollator

__all__ = ["as_batches", "as_it_is", "may_batch"]


def may_batch(dataset: StreamingDataset) -> bool:
    """Say whether batches may be made without the dataset's own methods: no class has changed what a sample is."""
    kind = type(dataset)
    return kind.is_plain() and kind.__iter__ is StreamingDataset.__iter__ and dataset.on_error == "raise"


def as_batches(dataset: StreamingDataset, collator: DefaultCollator) -> StreamingDataset:
    """Return a dataset of the same class and state whose iterator yields batches."""
    kind = type(dataset)

    def iterate(self: StreamingDataset) -> Iterator[Any]:
        return self.iterate_batches(collator)

    def reduce(self: StreamingDataset, protocol: int) -> tuple[Any, ...]:
        del self, protocol
        return as_batches, (dataset, collator)

    view: Any = object.__new__(type(kind.__name__, (kind,), {"__iter__": iterate, "__reduce_ex__": reduce}))
    view.__dict__ = dataset.__dict__
    return view


def as_it_is(batch: Any) -> Any:
    """Collate nothing."""
    return batch
