"""Datasets of bins: each is of a class of its own, which reads documents by the class that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.arguments import as_integer
from streaming.core.errors import ConfigError
from streaming.core.indexing import Array, resolve_index
from streaming.core.layers import Layer, layered, taken_apart
from streaming.core.process.ledger import DECODE, LEDGERS
from streaming.dataset.packs.costs import packs_of
from streaming.dataset.packs.planning import plan_packs
from streaming.dataset.packs.samples import pack_documents
from streaming.dataset.shards import ShardTable
from streaming.dataset.sources import Source
from streaming.packing.options import Bucket, Pack, one_rule
from streaming.packing.packs import Documents, Packs
from streaming.units.units import Units

__all__ = ["Packed", "add_packs", "pack_here"]

Ints = NDArray[np.int64]


class Packed(Layer[Any]):
    """What such a dataset serves. The class of the dataset comes next."""

    _left_behind = ("_made_documents",)
    _rule: Pack | Bucket
    _document_class: tuple[type[Any], tuple[type[Any], ...]]
    _document_state: Mapping[str, Any]

    def __getitem__(self, at: Any) -> Any:
        """Return a bin, or a list of them; see :meth:`Array.__getitem__`."""
        this = cast("Any", self)
        if not isinstance(at, (int, np.integer)):
            return Array.__getitem__(this, at)
        ledger = LEDGERS.own
        if not ledger.is_close:
            return self._bin(resolve_index(at, this.size))
        before = ledger.enter(DECODE)
        made = self._bin(resolve_index(at, this.size))
        ledger.enter(before)
        return made

    def _bin(self, index: int) -> Any:
        packs, local, number, first, key = self._place(index, None)
        places, starts, lengths = packs.documents(local, number, key)
        source, ids = self._documents, first + places
        documents = source.get_items(ids) if source._is_own() else [source[i] for i in ids.tolist()]
        if isinstance(self._rule, Bucket):
            return documents
        return pack_documents(self._rule, documents, starts, lengths, packs.lengths(local, places))

    def get_item(self, sample_id: int, retry: int = 7) -> Any:
        """Return a bin."""
        del retry
        return self[sample_id]

    def get_items(self, sample_ids: Ints) -> list[Any]:
        """Return the bins at an array of indexes."""
        return [self[i] for i in sample_ids.tolist()]

    def documents(self, bin_id: int, epoch: int | None = None) -> Documents:
        """Return which documents a bin holds; see :meth:`Views.documents`."""
        this = cast("Any", self)
        packs, local, number, first, key = self._place(resolve_index(bin_id, this.size), epoch)
        places, starts, lengths = packs.documents(local, number, key)
        return Documents(self._document_table.row_ids(first + places), starts, lengths)

    def find(self, source_id: int, epoch: int | None = None) -> list[int]:
        """Return the bins that hold anything of a document; see :meth:`Views.find`."""
        this = cast("Any", self)
        documents, found = self._document_table, set[int]()
        at = as_integer("source_id", source_id, 0)
        total = int(documents.rows_per_shard.sum())
        if at >= total:
            raise ConfigError(f"There is no sample {at}; the whole dataset has {total}.")
        for document in documents.find(at).tolist():
            shard, _ = documents.locate(document)
            stream = int(documents.stream_per_shard[shard])
            packs, key = _packs_of(this.sources[stream].units), self._key(stream, epoch)
            before = int(documents.shard_offset_per_stream[stream])
            local = packs.first_of(shard - before)
            shard = before + local
            place = document - int(documents.sample_offset_per_shard[shard])
            bins = packs.arrangement(local, key).bins_of(place)
            table = this._table
            for number in range(int(table.samples_per_shard[shard])):
                bin_id = int(table.sample_offset_per_shard[shard]) + number
                if table.translation.row(shard, bin_id) in bins:
                    found.add(bin_id)
        return sorted(found)

    def source_ids(self, ids: Any = None) -> Ints:
        """Refuse: a bin is no sample of the whole dataset."""
        raise ConfigError("A bin holds several samples of the whole dataset: dataset.documents(bin) says which.")

    def stats(self) -> dict[str, int | float]:
        """Return what happened so far, and how full the bins are."""
        this = cast("Any", super())
        return {**this.stats(), **self._fill()}

    def _fill(self) -> dict[str, int | float]:
        this = cast("Any", self)
        if isinstance(self._rule, Bucket):
            return {"buckets": this.size, "bucketed_samples": self._document_table.num_samples}
        tokens = sum(_packs_of(source.units).num_tokens for source in this.sources)
        bins = sum(int(_packs_of(source.units).counts.sum()) for source in this.sources)
        found = {"pack_bins": bins, "pack_tokens": tokens, "pack_fill": tokens / (bins * self._rule.to)}
        if this.batch_size is not None:
            found["pack_tokens_per_step"] = tokens / bins * this.batch_size * this.num_data_ranks
        return found

    def _place(self, bin_id: int, epoch: int | None) -> tuple[Packs, int, int, int, tuple[int, int, int]]:
        """Return a bin's stream, its shard there, number in it, id of the shard's first document, and the epoch's key."""
        table: ShardTable = cast("Any", self)._table
        shard, number = table.locate_row(bin_id)
        stream = int(table.stream_per_shard[shard])
        packs = _packs_of(cast("Any", self).sources[stream].units)
        first = int(self._document_table.sample_offset_per_shard[shard])
        return packs, shard - int(table.shard_offset_per_stream[stream]), number, first, self._key(stream, epoch)

    def _key(self, stream: int, epoch: int | None) -> tuple[int, int, int]:
        seed, now = cast("Any", self).sample_seed
        return seed, now if epoch is None else as_integer("epoch", epoch, 0), stream

    @property
    def _document_table(self) -> ShardTable:
        return self._document_state["_table"]

    @property
    def _documents(self) -> Any:
        """The dataset of documents, which reads by this one's cache."""
        this: dict[str, Any] = self.__dict__
        made = this.get("_made_documents")
        if made is None or made._cache is not this["_cache"]:
            base, layers = self._document_class
            cls: Any = layered(base, *layers)
            made = cls.__new__(cls)
            made.__dict__.update({**this, **self._document_state})
            made._is_quick = made._is_direct and made._table.translation is None and made._table.links is None
            this["_made_documents"] = made
        return made


def add_packs(dataset: Any, rule: Any, lengths: Any) -> Any:
    """Return a dataset of bins; see :meth:`Views.pack` and :meth:`Views.bucket`."""
    pack, bucket = (None, rule) if isinstance(rule, Bucket) else (rule, None)
    rule = one_rule(pack, bucket, getattr(dataset, "batch_size", None))
    if lengths is not None:
        lengths = np.asarray(lengths)
        if lengths.shape != (dataset.size,) or lengths.dtype.kind not in "iuf" or (lengths.size and lengths.min() < 0):
            raise ConfigError(
                f"lengths must be a number from 0 for each of the {dataset.size} samples; got {lengths.dtype} of shape "
                f"{lengths.shape}{f' with {lengths.min()}' if lengths.size and lengths.dtype.kind in 'if' else ''}."
            )
    sources = _packed_sources(dataset, rule, lengths)
    made = dataset._serving(sources, _words(rule))
    _put_layer(made, dataset.sources, rule)
    return made


def pack_here(dataset: Any, rule: Any) -> None:
    """Have a dataset that is being made serve bins."""
    documents = dataset.sources
    dataset._assemble(_packed_sources(dataset, rule, None))
    _put_layer(dataset, documents, rule)


def _packed_sources(dataset: Any, rule: Any, lengths: NDArray[Any] | None) -> list[Source]:
    if isinstance(dataset, Packed):
        raise ConfigError("The samples are bins already: pack once, by one Pack.")
    packs = plan_packs(dataset.sources, rule, dataset._cache, lengths)
    return [
        replace(source, units=units, chosen=(*source.chosen, _words(rule)))
        for source, units in zip(dataset.sources, packs, strict=True)
    ]


def _put_layer(dataset: Any, documents: Sequence[Source], rule: Pack | Bucket) -> None:
    base, layers = taken_apart(type(dataset))
    table = ShardTable(documents, [None] * len(documents))
    dataset._rule = rule
    dataset._document_class = base, layers
    dataset._document_state = {
        "_table": table,
        "sources": tuple(documents),
        "_stages": dataset.__dict__.pop("_stages", ()),
    }
    try:
        dataset.__class__ = layered(base, Packed)
    except TypeError as error:  # objects of its first base are laid out otherwise
        raise ConfigError(
            f"{base.__name__} has objects of another kind ({error}), so it cannot take pack or bucket when it is made: name "
            "StreamingDataset first among its bases."
        ) from error


def _packs_of(units: Units | None) -> Packs:
    packs = packs_of(units)
    assert packs is not None
    return packs


def _words(rule: Pack | Bucket) -> str:
    return f"pack({rule})" if isinstance(rule, Pack) else f"bucket({rule})"
