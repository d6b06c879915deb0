"""What every dataset offers to choose of it: filters, ids, parts, splits, and functions over its samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from streaming.core.arguments import as_integer, as_path, as_text
from streaming.core.errors import ConfigError
from streaming.core.indexing import Array, T_co
from streaming.dataset.shards import ShardTable
from streaming.dataset.sources import Source
from streaming.dataset.views import choosing
from streaming.dataset.views.saved import load_view, save_view
from streaming.packing.options import Bucket, Pack
from streaming.packing.packs import Documents
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.units.parts import choose
from streaming.units.selection import Selection

__all__ = ["Views"]


class Views(Array[T_co]):
    """Datasets of some of the samples of this one, which share its files on disk.

    Each has an order, an epoch and checkpoints of its own; ids count its own samples. Nothing is copied or rewritten.

    Attributes:
        sources: The streams, opened.
    """

    sources: tuple[Source, ...]
    _table: ShardTable

    def _assemble(self, sources: Sequence[Source]) -> None:
        """Serve these sources from now on, from the beginning."""
        raise NotImplementedError

    def filter(self, condition: str | Sequence[bool] | Sequence[int] | NDArray[Any]) -> Self:
        """Return a dataset of those samples for which something is true.

        Args:
            condition: What follows WHERE in SQL, as DuckDB speaks it, over the dataset's side columns
                (``streaming index URL --columns ...`` makes them; ``sample_id`` is the number of the sample in its stream);
                or ``bool[size]``; or ``int[k]``, ids as for :meth:`select`.

        Raises:
            ConfigError: There are no side columns, or no such column; the condition is none; a mask has another length; or
                no sample is left.

        Example:
            >>> women = StreamingDataset(local='patients').filter("sex = 'F' and age > 60")
            >>> women.size
            2
        """
        words = f"filter({choosing.text_of(condition)})"
        if isinstance(condition, str):
            return self._chosen(choosing.by_condition(self.sources, condition), words)
        values = np.asarray(condition)
        if values.dtype == np.bool_:
            return self._chosen(choosing.by_mask(self.sources, values), words)
        return self._chosen(choosing.by_ids(self.sources, condition), words)

    def select(self, ids: Sequence[int] | NDArray[Any]) -> Self:
        """Return a dataset of the samples with these ids, in the order in which they are stored.

        Args:
            ids: ``int[k]``, distinct, negative from the end. Ids that do not ascend are warned of: what order samples are
                served in, ``shuffle`` says.

        Raises:
            ConfigError: There is no such sample, an id is there twice, or there is none.

        Example:
            >>> [sample['text'] for sample in StreamingDataset(local='data').select([1, 5, -1])[:]]
            ['text 1', 'text 5', 'text 63']
        """
        return self._chosen(choosing.by_ids(self.sources, ids), f"select({choosing.text_of(ids)})")

    def drop(self, ids: Sequence[int] | NDArray[Any]) -> Self:
        """Return a dataset without the samples with these ids; see :meth:`select`.

        Example:
            >>> StreamingDataset(local='data').drop([0, 1, 2]).size
            61
        """
        chosen = choosing.all_but(choosing.by_ids(self.sources, ids, is_strict=False))
        return self._chosen(chosen, f"drop({choosing.text_of(ids)})")

    def take(self, number: int | str) -> Self:
        """Return a dataset of the first samples; of several streams, the first of each, in proportion to their sizes.

        Args:
            number: How many in all, as a number or text such as ``'10m'``.

        Raises:
            ConfigError: There are not as many.

        Example:
            >>> StreamingDataset(local='data').take(10).size
            10
        """
        return self._chosen(choosing.first_of(self.sources, number), f"take({number})")

    def shard(self, num_shards: int, index: int) -> Self:
        """Return one of equal parts of the dataset: consecutive samples of every stream.

        Ranks and workers need no part of their own: iterating deals the samples out.

        Args:
            num_shards: Number of parts.
            index: Which, from 0.

        Example:
            >>> [StreamingDataset(local='data').shard(3, i).size for i in range(3)]
            [21, 21, 22]
        """
        return self._chosen(choosing.nth_of(self.sources, num_shards, index), f"shard({num_shards}, {index})")

    @overload
    def split(self, fractions: Mapping[str, float], by: str | None = None, seed: int = 0) -> dict[str, Self]: ...

    @overload
    def split(self, fractions: Sequence[float], by: str | None = None, seed: int = 0) -> list[Self]: ...

    def split(self, fractions: Any, by: str | None = None, seed: int = 0) -> Any:
        """Return disjoint datasets that together hold every sample, dealt by a hash of each sample's key.

        A sample is always in the same part, also when the dataset grows, on every machine. The parts' sizes come as near to
        the shares as the hashes of keys do.

        Args:
            fractions: The share of each part by its name, or the shares alone. They sum to 1.
            by: Side column with a key (text, bytes or whole numbers): samples of one key are in one part. Default: each
                sample by itself, by its stream and its place there.
            seed: Another one gives another split, at least 0.

        Returns:
            The datasets by name, or in a list where no names were given.

        Raises:
            ConfigError: The shares do not sum to 1, a sample has no key, or a part is left without samples.

        Example:
            >>> parts = StreamingDataset(local='patients').split({'train': 0.7, 'val': 0.3}, by='patient_id', seed=3)
            >>> parts['train'].size + parts['val'].size
            8
        """
        is_named = isinstance(fractions, Mapping)
        if not isinstance(fractions, Iterable):
            raise ConfigError(
                f"split takes the share of each part, such as {{'train': 0.9, 'val': 0.1}}; got {fractions!r}."
            )
        if by is not None:
            as_text("by", by)
        named: dict[str, float] = dict(fractions) if is_named else {str(i): share for i, share in enumerate(fractions)}
        seed = as_integer("seed", seed, 0)
        parts = choosing.parts_of(self.sources, named, by, seed)
        words = f"split({named}, by={by!r}, seed={seed})"
        found = {name: self._chosen(selections, f"{words}[{name!r}]") for name, selections in parts.items()}
        return found if is_named else list(found.values())

    def view(self, place: str | os.PathLike[str], storage_options: StorageOptions | None = None) -> Self:
        """Return a dataset of the samples that a saved view keeps.

        Args:
            place: URL or path that :meth:`save` was given.
            storage_options: Settings of its store.

        Raises:
            ConfigError: There is no view, or it is of other data, or of another version of this.
        """
        location = Location.parse(as_path("place", place), storage_options)
        found = [load_view(source, location) for source in self.sources]
        chosen = [
            Selection.of_mask(
                source.counts,
                choosing.mask_of_units(source, selection),
            )
            for source, (selection, _) in zip(self.sources, found, strict=True)
        ]
        return self._chosen(chosen, f"view({location}: {found[0][1]})")

    def save(self, place: str | os.PathLike[str], storage_options: StorageOptions | None = None) -> None:
        """Write which samples are served to a file, for :meth:`view` and ``Stream(view=...)``.

        It holds no data: a bit or less for each sample of the whole dataset, what the samples were chosen by, and the
        version of the dataset, with which alone it can be used.

        Args:
            place: URL or path of the file.
            storage_options: Settings of its store.

        Raises:
            ConfigError: Every sample is served, or samples are parts (:meth:`flat_map`).

        Example:
            >>> StreamingDataset(local='patients').filter('age > 60').save('old.view')
            >>> StreamingDataset(local='patients').view('old.view').size
            4
        """
        save_view(self.sources, Location.parse(as_path("place", place), storage_options))

    def source_ids(self, ids: Sequence[int] | NDArray[Any] | None = None) -> NDArray[np.int64]:
        """Return which samples of the whole dataset samples of this one are.

        Args:
            ids: ``int[k]`` of this dataset, by default all.

        Returns:
            ``int64[k]``: their ids in the dataset without views.

        Example:
            >>> StreamingDataset(local='data').drop([0, 1]).source_ids([0, 1, 2])
            array([2, 3, 4])
        """
        given = np.arange(self.size) if ids is None else np.asarray(ids, np.int64)
        return self._table.row_ids(self._resolved(given))

    def find(self, source_id: int) -> list[int]:
        """Return the ids that a sample of the whole dataset has in this one: none, one, or its parts'.

        ``inspect_epoch().find(id)`` then says when it is served.

        Example:
            >>> StreamingDataset(local='data').drop([0, 1]).find(5)
            [3]
        """
        total = int(self._table.rows_per_shard.sum())
        at = as_integer("source_id", source_id, 0)
        if at >= total:
            raise ConfigError(f"There is no sample {at}; the whole dataset has {total}.")
        return self._table.find(at).tolist()

    def map(self, fn: Callable[..., Any], *, rng: bool = False) -> Any:
        """Return a dataset whose samples have gone through a function.

        Args:
            fn: ``fn(sample)``, or ``fn(sample, rng)``. Workers that are spawned need one that can be pickled.
            rng: Give it a ``numpy.random.Generator`` that depends on the dataset's ``shuffle_seed``, the epoch and the
                sample alone: what is random comes out the same with any number of nodes, ranks and workers, and after
                resuming.

        Example:
            >>> dataset = StreamingDataset(local='data').map(lambda sample: sample['label'] * 10)
            >>> dataset[:4]
            [0, 10, 20, 30]
        """
        from streaming.dataset.views.transforms import add_map

        return add_map(self, fn, rng)

    def flat_map(
        self, fn: Callable[..., Sequence[Any]], count: int | str | Sequence[int] | NDArray[Any], *, rng: bool = False
    ) -> Any:
        """Return a dataset of the parts that a function makes of each sample.

        How many a sample has must be known beforehand: so the dataset has a size, and an epoch can start anywhere.

        Args:
            fn: ``fn(sample)``, or ``fn(sample, rng)``, returns a sequence.
            count: Length of that sequence: one number for all samples; ``int[size]``, one for each; the name of a side
                column that holds it; or ``'measure'``, which calls ``fn`` for every sample now: see :meth:`measure`.
            rng: As for :meth:`map`. All parts of a sample get the same.

        Raises:
            ConfigError: A count is missing or negative, or samples are parts already. Reading a sample raises one too, if
                ``fn`` returned another number of parts.

        Example:
            >>> words = StreamingDataset(local='data').flat_map(lambda sample: sample['text'].split(), count=2)
            >>> words.size, words[:3]
            (128, ['text', '0', 'text'])
        """
        from streaming.dataset.views.transforms import add_flat_map

        return add_flat_map(self, fn, count, rng)

    def pack(self, rule: Pack, *, lengths: Sequence[int] | NDArray[Any] | None = None) -> Any:
        """Return a dataset whose samples are bins of documents: what ``StreamingDataset(pack=...)`` serves.

        Args:
            rule: How documents are packed; see :class:`streaming.Pack`.
            lengths: ``int[size]``, tokens of each sample, in place of what ``rule.lengths`` says: where samples go through a
                function first. :meth:`measure` counts them.

        Raises:
            ConfigError: There is no such column, a document has no length or is too long, or samples are bins already.

        Example:
            >>> packed = LocalDataset('tokens').pack(Pack(tokens='input_ids', to=32, emit=('doc_ids',)))
            >>> packed.size < LocalDataset('tokens').size, len(packed[0]['input_ids'])
            (True, 32)
        """
        from streaming.dataset.packs.packed import add_packs

        return add_packs(self, rule, lengths)

    def documents(self, bin_id: int, epoch: int | None = None) -> Documents:
        """Return which documents a bin of a packed dataset holds, or which samples a batch of like lengths.

        :meth:`find` is the inverse: the bins that hold a sample of the whole dataset, in this epoch.

        Args:
            bin_id: Of the bin, negative from the end; ``inspect_epoch().batch(k)`` says which are in a batch.
            epoch: By default the one that is iterated, or comes next.

        Raises:
            ConfigError: Samples are no bins.

        Example:
            >>> packed = LocalDataset('tokens').pack(Pack(tokens='input_ids', to=32))
            >>> held = packed.documents(0)
            >>> int(held.lengths.sum()) <= 32, packed.find(int(held.ids[0]))
            (True, [0])
        """
        raise ConfigError("Each sample is one of the dataset's own: only bins, of pack() or bucket(), hold several.")

    def bucket(self, rule: Bucket, *, lengths: Sequence[float] | NDArray[Any] | None = None) -> Any:
        """Return a dataset whose samples are lists of samples of like length; see :class:`streaming.Bucket`.

        Args:
            rule: How samples are put together.
            lengths: ``[size]``, of each sample, in place of the side column.

        Raises:
            ConfigError: There is no such side column, a sample has no length, or one is longer than the budget.

        Example:
            >>> batches = LocalDataset('patients').bucket(Bucket(length='age', budget=200, pad_to=10))
            >>> sum(map(len, batches[:])) == LocalDataset('patients').size
            True
        """
        from streaming.dataset.packs.packed import add_packs

        return add_packs(self, rule, lengths)

    def measure(self, fn: Callable[[Any], Sequence[Any]]) -> NDArray[np.int64]:
        """Call a function for every sample, once, and return the length of what it returns.

        Args:
            fn: ``fn(sample)`` returns a sequence.

        Returns:
            ``int64[size]``, for ``flat_map(fn, count=...)``. Keep it in a file, so that every rank has the same.

        Example:
            >>> StreamingDataset(local='data').take(3).measure(lambda sample: sample['text'].split())
            array([2, 2, 2])
        """
        return np.fromiter((len(fn(self[i])) for i in range(self.size)), np.int64, self.size)

    def _chosen(self, selections: Sequence[Selection], words: str) -> Self:
        sources = [
            replace(source, units=choose(selection, source.units), chosen=(*source.chosen, words))
            for source, selection in zip(self.sources, selections, strict=True)
        ]
        return self._serving(sources, words)

    def _serving(self, sources: Sequence[Source], words: str) -> Self:
        """Return this dataset with other units, at the beginning of its first epoch."""
        for source in sources:
            if not source.counts.any():
                raise ConfigError(
                    f"{words} leaves no sample of {source.directory.origin}. Choose otherwise, or make the dataset without "
                    "this stream."
                )
        other = copy(self)
        other._assemble(sources)
        return other
