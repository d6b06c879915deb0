"""Samples by index: one, or many at once, out of the shards in which they lie."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property, reduce
from typing import Any, Concatenate, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.cache.reading.gather import get_many
from streaming.core.indexing import ArrayLike, T_co
from streaming.core.process.ledger import DECODE, HINT, LEDGERS
from streaming.dataset.compat.spanner import Spanner
from streaming.dataset.shards import ShardTable
from streaming.dataset.sources import Source, few_rows, make_cache
from streaming.dataset.views.api import Views
from streaming.format.metadata import joined_metadata

__all__ = ["RandomAccess"]

#: Streams that are named where a dataset is shown.
_MOST_SHOWN = 3

S = TypeVar("S")
R = TypeVar("R")


def _overridable(get_item: Callable[[S, int, int], R]) -> Callable[Concatenate[S, int, ...], R]:
    """Tell type checkers that a subclass may call the index as it likes, and leave the other parameters out."""
    return get_item


class RandomAccess(Views[T_co]):
    """What datasets of shards have in common: they are indexed like an array.

    A subclass may say what a sample is, by a ``get_item`` or ``__getitem__`` of its own; then each sample goes through it.

    Args:
        sources: The streams that hold the samples.
        limit: Bytes that the cache may hold on the node's disk, or ``None``.
    """

    _is_direct = True

    def __init__(self, sources: Sequence[Source], limit: int | None = None) -> None:
        self.sources = tuple(sources)
        few = [few_rows(source) for source in sources]
        self._table = ShardTable(sources, few)
        self._cache: ShardCache = make_cache(sources, few, limit)
        self._is_quick = self._is_direct and self._table.translation is None and self._table.links is None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Note whether the class brings its own way to get a sample."""
        super().__init_subclass__(**kwargs)
        cls._is_direct = cls.get_item is RandomAccess.get_item

    def __repr__(self) -> str:
        """Return how many samples there are, of what, and by what they were chosen."""
        if "_table" not in self.__dict__:  # it is still being made
            return object.__repr__(self)
        said = [
            f"{source.directory.origin}{''.join(f', {how:.60}' for how in source.chosen)}" for source in self.sources
        ]
        more = f"; and {len(said) - _MOST_SHOWN} more" if len(said) > _MOST_SHOWN else ""
        return f"<{type(self).__name__}: {self.size:,} samples of {'; '.join(said[:_MOST_SHOWN])}{more}>"

    def is_plain(self) -> bool:
        """Say whether samples are served as they are stored: not through a method that a subclass brings."""
        return self._is_own()

    @classmethod
    def _is_own(cls) -> bool:
        return cls.__getitem__ is RandomAccess.__getitem__ and cls._is_direct

    @cached_property
    def spanner(self) -> Spanner:
        """From sample ids to shards."""
        return Spanner(self._table.samples_per_shard)

    @property
    def metadata(self) -> dict[str, Any]:
        """What was written of the dataset and its columns besides samples: names of classes, sampling rates and the like.

        Under ``"columns"``, an object for each column of which something is known. Of several streams, what the first says
        where several do.

        Raises:
            ConfigError: It is no JSON object.
            StorageError: It cannot be read.
        """
        return reduce(joined_metadata, (source.metadata for source in self.sources))

    @property
    def size(self) -> int:
        """Number of different samples, however many of them an epoch draws."""
        return self._table.num_samples

    @property
    def num_samples(self) -> int:
        """Number of different samples."""
        return self._table.num_samples

    @overload
    def __getitem__(self, at: int | np.integer[Any]) -> T_co: ...

    @overload
    def __getitem__(self, at: slice | list[int] | list[bool] | ArrayLike) -> list[T_co]: ...

    @overload
    def __getitem__(self, at: list[list[int]]) -> list[list[T_co]]: ...

    def __getitem__(self, at: Any) -> Any:
        """Return one sample or a list of them; see :meth:`Array.__getitem__`."""
        # What it comes to where the shard is open, without the calls in between.
        if type(at) is int and at >= 0 and self._is_quick:
            table = self._table
            number = bisect_right(table.ends_view, at)
            shard = self._cache.peek(number)
            if shard is not None and not HINT.is_close:
                return shard.get(at - table.begins_view[number])
        return super().__getitem__(at)

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        """Return the samples at a list of indexes: what PyTorch asks a dataset for, where it wants a batch of them.

        Raises:
            IndexError: An index is outside ``[-size, size)``.
            ShardUnavailableError: A shard could not be fetched.
        """
        if type(self).__getitem__ is not RandomAccess.__getitem__:
            return [self[index] for index in indices]
        return super().__getitem__(list(indices))

    @_overridable
    def get_item(self, sample_id: int, retry: int = 7) -> T_co:
        """Return a sample, fetching its shard if need be.

        Args:
            sample_id: Index in ``[0, size)``.
            retry: Accepted for compatibility; fetching has its own retries.

        Returns:
            The sample: a dict of its columns.

        Raises:
            IndexError: The index is out of range.
            ShardUnavailableError: Its shard could not be fetched.
            ShardFormatError: The shard's bytes contradict the index.
        """
        del retry
        if not 0 <= sample_id < self._table.num_samples:
            raise IndexError(f"Index {sample_id} is out of range for {self._table.num_samples} samples.")
        ledger = LEDGERS.own if HINT.is_close else None
        if ledger is None or not ledger.is_close:
            return self._stored(sample_id)
        before = ledger.enter(DECODE)
        sample = self._stored(sample_id)
        ledger.enter(before)
        return sample

    def _stored(self, sample_id: int) -> T_co:
        shard, index = self._table.locate(sample_id)
        sample: Any = self._cache.get(shard).get(index)
        if self._table.links is not None:
            place = self._table.place(*self._table.locate_row(sample_id))
            return self._table.links.complete(self._cache, sample, *place)  # pyright: ignore[reportReturnType]
        return sample

    def get_items(self, sample_ids: NDArray[np.int64]) -> list[T_co]:
        """Return samples, fetching their shards if need be.

        Args:
            sample_ids: ``int64[k]``, each in ``[0, size)``.

        Returns:
            The ``k`` samples.

        Raises:
            ShardUnavailableError: A shard could not be fetched.
            ShardFormatError: The shard's bytes contradict the index.
        """
        if not self._is_own() or len(sample_ids) < 2:
            return super().get_items(sample_ids)
        shards = self._table.shards_of(sample_ids)
        found: list[Any] = get_many(self._cache, shards, self._table.indexes_in(shards, sample_ids))
        if self._table.links is not None:
            found = list[Any](
                self._table.links.complete_all(self._cache, found, *self._table.places(sample_ids, shards))
            )
        return found
