"""The shards of a stream of which a view keeps so few rows that these alone are fetched."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.bookkeeping.identity import Identity
from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.fetching.made import entry_on_disk
from streaming.cache.fetching.spans import REQUEST_BYTES, coalesce, cost
from streaming.cache.files.excerpt import Excerpt
from streaming.cache.files.keeper import FileJob, Keeper
from streaming.core.errors import StreamingError
from streaming.format.index import FileTable, Index, ShardInfo
from streaming.format.kinds.mds_header import header_bytes, row_bounds
from streaming.format.shard import Shard
from streaming.units.selection import Selection

__all__ = ["SparseDirectory", "sparse_directory", "worth_ranges"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def sparse_directory(directory: ShardDirectory, selection: Selection, chosen: Bools) -> ShardDirectory:
    """Return the shards of a stream, those that are chosen with the rows of a view alone.

    Legend: S shards.

    Args:
        directory: The stream's shards.
        selection: The rows of the view.
        chosen: ``bool[S]``, the shards that are to be fetched by ranges, among those of :func:`worth_ranges`.

    Returns:
        Shards of the same numbers. Unit k of a chosen one is row k of its file; the others are as they are, in the same
        files, with all their rows. Its ``index`` has the names of the new files, and how many bytes each takes: where rows
        vary in size, how many it would take if they were like the shard's others. It counts as so many until its offsets
        are read, then as what it takes.
    """
    chosen = chosen & (selection.counts > 0)
    return SparseDirectory(directory, selection, chosen) if chosen.any() else directory


def worth_ranges(directory: ShardDirectory, selection: Selection) -> tuple[Bools, list[str]]:
    """Say of which shards the rows of a view had better be fetched by themselves.

    That is so where their bytes, and :data:`~streaming.cache.fetching.spans.REQUEST_BYTES` for each request, are less than
    the bytes of the shard, samples being taken to be of one size.

    Args:
        directory: The stream's shards.
        selection: The rows of the view.

    Returns:
        ``bool[S]``, those that can be; and why others that keep few enough rows cannot, a reason each. Which shards are on
        this node already makes a difference: processes of a job may choose differently, and read the same.
    """
    worth = _is_cheaper(directory.index, selection)
    reasons: list[str] = []
    for reason, cannot in _obstacles(directory, selection, worth):
        count = int((worth & cannot).sum())
        if count:
            reasons.append(f"{count} of {len(worth)} shards come whole: {reason}.")
            worth &= ~cannot
    return worth, reasons


def _is_cheaper(index: Index, selection: Selection) -> Bools:
    counts, samples = selection.counts, index.samples
    size = np.where(index.zip_bytes > 0, index.zip_bytes, index.raw_bytes)
    mean = size / np.maximum(samples, 1)
    wanted = (counts > 0) & (counts < samples)
    # However the rows lie, they take no less than this, and no more than that.
    at_least = counts * mean + REQUEST_BYTES
    at_most = counts * (mean + REQUEST_BYTES) + 4 * (samples + 2) + REQUEST_BYTES
    cheaper = wanted & (at_most < size)
    is_fixed = np.array([row_bounds(schema)[1] for schema in index.schemas], np.bool_)[index.schema_ids]
    for shard in np.flatnonzero(wanted & ~cheaper & (at_least < size)).tolist():
        rows = selection.rows(shard)
        needed = cost((rows * mean[shard]).astype(np.int64), ((rows + 1) * mean[shard]).astype(np.int64))
        needed += 0 if is_fixed[shard] else cost(4 + 4 * rows, 12 + 4 * rows)
        cheaper[shard] = needed < size[shard]
    return cheaper


def _obstacles(directory: ShardDirectory, selection: Selection, worth: Bools) -> list[tuple[str, Bools]]:
    index, store = directory.index, directory.store
    every = np.ones(len(worth), np.bool_)
    if store is None:
        return [("the dataset is read where it lies", every)]
    formats = np.array([schema.format == "mds" for schema in index.schemas], np.bool_)[index.schema_ids]
    hashed = np.diff(index.raw_data.hashes.offsets) > 0
    found: list[tuple[str, Bools]] = [
        ("their store gives no parts of files", every & (not getattr(store, "takes_ranges", False))),
        ("validate_hash asks for hashes, which are of whole files", every & bool(directory.config.validate_hash)),
        ("they are not of the MDS format", ~formats),
        ("they are made of another format", every & (not directory.is_stored(0))),
        ("they are compressed", index.zip_bytes > 0),
        ("their hashes are recorded, which are of whole files", hashed),
    ]
    for _, cannot in found:
        worth = worth & ~cannot
    present = np.zeros(len(worth), np.bool_)
    for shard in np.flatnonzero(worth).tolist():
        present[shard] = _is_present(directory, shard, selection)
    return [*found, ("they are on this node already", present)]


def _is_present(directory: ShardDirectory, shard: int, selection: Selection) -> bool:
    name = directory.index.raw_data.names[shard] + _suffix(selection)
    try:
        # An excerpt that was made before goes on being used.
        return directory.is_present(shard) and not os.path.exists(os.path.join(directory.directory, name))
    except StreamingError:  # whoever fetches it is told
        return False


class SparseDirectory(ShardDirectory):
    """The shards of a stream, of some of them the rows of a view alone, each in a file of its own.

    Those files have a name that no dataset can give, which says of which view they are, and a table of their own, so that
    they are in nobody's way: not in that of other views, nor of jobs that read the whole dataset. All other shards are those
    of ``whole``, and what is known of them is in its table.

    Args:
        whole: The stream's shards.
        selection: The rows of the view.
        chosen: ``bool[S]``, the shards of which there are excerpts.
    """

    def __init__(self, whole: ShardDirectory, selection: Selection, chosen: Bools) -> None:
        index = _index(whole.index, selection, chosen)
        identity = _identity(whole.identity, selection)
        super().__init__(whole.directory, index, whole.store, whole.config, whole.origin, identity, whole.columns)
        self.witness = whole.witness
        self._whole = whole
        self._selection = selection
        self._chosen = chosen

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it is made of."""
        return type(self), (self._whole, self._selection, self._chosen)

    @property
    def owned(self) -> Ints:
        """``int64[n]``, bytes on disk that this cache wrote of each shard."""
        return np.where(self._chosen, super().owned, self._whole.owned)

    @property
    def access(self) -> Ints:
        """``int64[n]``, when each shard was used last, in ns since the epoch; 0 for never."""
        return np.where(self._chosen, super().access, self._whole.access)

    @property
    def generation(self) -> int:
        """A number that changes with every eviction."""
        return super().generation + self._whole.generation

    def is_evicted(self, shard: int) -> bool:
        """Say whether a shard that was fetched is no longer there."""
        return (super() if self._chosen[shard] else self._whole).is_evicted(shard)

    def open(self, shard: int) -> Shard | None:
        """Open a shard if it is present and belongs to this dataset."""
        return (super() if self._chosen[shard] else self._whole).open(shard)

    def is_present(self, shard: int) -> bool:
        """Say whether a shard is present and proved to be the index's."""
        return (super() if self._chosen[shard] else self._whole).is_present(shard)

    def fetch(self, shard: int, *args: Any, **kwargs: Any) -> None:
        """Make a shard present, however many processes ask for it at once."""
        (super() if self._chosen[shard] else self._whole).fetch(shard, *args, **kwargs)

    def reserve(self, shard: int, size: int) -> None:
        """Count a shard that is not there yet as so many bytes, until the real number is known."""
        (super() if self._chosen[shard] else self._whole).reserve(shard, size)

    def evict(self, shard: int) -> int:
        """Remove what this cache fetched of a shard; readers that have it open keep reading."""
        return (super() if self._chosen[shard] else self._whole).evict(shard)

    def bytes_on_disk(self, shard: int) -> int:
        """Bytes that a shard's files take now, unfinished ones too."""
        return (super() if self._chosen[shard] else self._whole).bytes_on_disk(shard)

    def wire_cost(self) -> tuple[Ints, Ints]:
        """Return bytes and ranges of each shard, rows that vary in size being taken to be of one."""
        size, requests = (values.copy() for values in self._whole.wire_cost())
        index = self._whole.index
        for shard in np.flatnonzero(self._chosen).tolist():
            parts = _ranges(index, shard, self._selection.rows(shard))
            size[shard] = sum(int((ends - begins).sum()) for begins, ends in parts)
            requests[shard] = sum(len(begins) for begins, _ in parts)
        return size, requests

    def is_stored(self, shard: int) -> bool:
        """Say whether the store holds the very files that the index names."""
        return not self._chosen[shard]

    def _entry(self, shard: int) -> ShardInfo:
        return entry_on_disk(self.index.shard(shard), self.directory)

    def _keepers(self, shard: int) -> list[Keeper]:
        excerpt = Excerpt(self._whole.index.shard(shard), self._selection.rows(shard))
        (raw,) = self.index.shard(shard).raw
        job = FileJob(self.directory, raw, None, None, self._tag, excerpt)
        return [Keeper(job, shard, False, self.table, self.witness)]


def _ranges(index: Index, shard: int, rows: Ints) -> list[tuple[Ints, Ints]]:
    """Return what is asked for of a shard for some rows: of its offsets, unless rows are of one size, and the rows."""
    mean = int(index.raw_bytes[shard]) / int(index.samples[shard])
    parts = [coalesce((rows * mean).astype(np.int64), ((rows + 1) * mean).astype(np.int64))]
    if not row_bounds(index.schemas[int(index.schema_ids[shard])])[1]:
        parts.append(coalesce(4 + 4 * rows, 12 + 4 * rows))
    return parts


def _suffix(selection: Selection) -> str:
    """Return what the names of a view's excerpts end in; no file of a dataset may be called so."""
    return f".streaming-{selection.fingerprint}"


def _identity(identity: Identity, selection: Selection) -> Identity:
    """Return what the excerpts of a view of a dataset are known by."""
    index = blake2b(identity.index + selection.fingerprint.encode(), digest_size=16).digest()
    return replace(identity, index=index)


def _index(index: Index, selection: Selection, chosen: Bools) -> Index:
    counts, files = selection.counts, index.raw_data
    size = files.bytes.copy()
    for i, schema in enumerate(index.schemas):
        which = chosen & (index.schema_ids == i)
        least, is_fixed = row_bounds(schema)
        kept = counts[which]
        mean = least if is_fixed else size[which] / index.samples[which]
        size[which] = header_bytes(schema, 0) + np.ceil(kept * (4 + mean))
    names = files.names.with_suffix(chosen, _suffix(selection))
    samples = np.where(chosen, counts, index.samples)
    data = FileTable(names, size, files.hashes)
    # A plain one: what is mapped from a file would be pickled as that file.
    return Index(
        samples, index.schemas, index.schema_ids, data, index.raw_meta, index.zip_data, index.zip_meta, index.digest
    )
