"""Open a source: its shards, which are made as they are fetched."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.bookkeeping.identity import Identity, digest
from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.made import MadeDirectory
from streaming.cache.files.keeper import Recipe
from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError
from streaming.core.imports import importing, optional_import
from streaming.format.index import FileInfo, FileTable, Index
from streaming.format.index.files import FileTableBuilder
from streaming.format.samples.schema import Schema
from streaming.inplace.cutting import Run, cut_pieces, cut_shards
from streaming.inplace.deleted import surviving
from streaming.inplace.indexing import bring_index, kept_name
from streaming.inplace.naming import renamed, stored_names
from streaming.inplace.parts import make_parts, neighbours, parts_of
from streaming.inplace.recipe import SourceRecipe, Taken
from streaming.inplace.rows import RowsRecipe, known_rows
from streaming.inplace.scan import Scanner, blame, scan_files
from streaming.sources.columns import choose_columns, encoded_schema, row_schema, unite, unite_encodings
from streaming.sources.contract import Files, Source
from streaming.sources.features import TableColumns
from streaming.sources.hub import is_hub_dataset
from streaming.sources.kinds.survey import KEY
from streaming.sources.lakes.found import Found
from streaming.sources.lakes.places import locate
from streaming.sources.listing import root_of
from streaming.sources.names import format_of
from streaming.sources.pieces import Piece, Scanned, kinds
from streaming.sources.registry import sources
from streaming.sources.types import as_told, storage_of
from streaming.storage.helper.runtime import prepare
from streaming.storage.location import Location
from streaming.storage.providers.local import LocalStore
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.registry import open_store
from streaming.storage.store import Store

__all__ = ["Recipes", "open_source_files", "with_columns"]

_SCHEMAS = ("same", "union")
_NONE: NDArray[np.int64] = np.empty(0, np.int64)


@dataclass(frozen=True)
class Recipes:
    """What makes each shard. It can be pickled.

    Attributes:
        found: The files.
        schema: Of the rows.
        source: What reads rows, or the columns of tables.
        pieces: The pieces of each file, with all their rows.
        shards: Which of them make each shard.
        parts: The piece of which each shard is a part, and nothing else.
        columns: Encoding of every column of a source of rows, whether it is wanted or not.
        names: What each file calls the columns, where a table calls them otherwise.
    """

    found: Found
    schema: Schema
    source: Source | TableColumns
    pieces: list[list[Piece]]
    shards: list[list[Run]]
    parts: NDArray[np.int64]
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    names: list[dict[str, str]] | None = None

    def __call__(self, shard: int) -> Recipe:
        """Return what makes a shard."""
        runs = self.shards[shard]
        count = sum(piece.rows for run in runs for piece in run.pieces)
        if isinstance(self.source, TableColumns):
            return SourceRecipe(self.found.kind, self.schema, self.source, tuple(map(self._taken, runs)), count)
        some = tuple((run.file, run.pieces, self._first(run)) for run in runs)
        return RowsRecipe(self.source, self.schema, some, count)

    def contents(self) -> tuple[bytes, bytes]:
        """Return a print of the names and sizes of the files and of what is deleted of them, and one of their versions."""
        names, versions = blake2b(digest_size=8), blake2b(digest_size=8)
        is_here = isinstance(
            self.found.store, LocalStore
        )  # a copy that keeps times is the same; its node is another one
        for info in self.found.files:
            version = info.modified if is_here or info.etag is None else info.etag
            names.update(f"{info.path}\0{info.bytes}\n".encode("utf-8", "surrogateescape"))
            versions.update(f"{version}\n".encode())
        for number, gone in self.found.gone.items():
            names.update(f"{number}:".encode() + gone.tobytes())
        return names.digest(), versions.digest()

    def place(self, shard: int, row: int, read: Callable[[str], Any]) -> str:
        """Return where a row of a shard comes from, for people.

        Args:
            shard: The shard.
            row: Its number there.
            read: Returns the value that the row has in a column; ``None`` if that cannot be read, or is none.
        """
        for run in self.shards[shard]:
            count = sum(piece.rows for piece in run.pieces)
            if row < count:
                return f"{self.found.store!r}/{self._place(run, row)}{self._key(read)}"
            row -= count
        raise IndexError(row)

    def _place(self, run: Run, row: int) -> str:
        if isinstance(self.source, Source):
            for piece in run.pieces:
                if row < piece.rows:
                    return self.source.at(run.file, piece, self._first(run._replace(pieces=(piece,))) + row)
                row -= piece.rows
        first = self._first(run)
        gone = self.found.gone.get(run.file, _NONE)
        gone = gone[gone >= first] - first
        row += int(np.searchsorted(gone - np.arange(len(gone)), row, side="right"))
        return f"{self.found.files[run.file].path}, row {first + row}"

    def _key(self, read: Callable[[str], Any]) -> str:
        """Return what a row of an archive is called."""
        key = read(KEY) if self.found.kind == "webdataset" else None
        return "" if key is None else f" ({key!r})"

    def blame(self, error: SourceError) -> SourceError:
        """Return an error that says of which place the files are that it names."""
        return blame(error, self.found.store, self.found.files)

    def _taken(self, run: Run) -> Taken:
        gone = self.found.gone.get(run.file)
        stored = None if self.names is None else self.names[run.file]
        first = self._first(run)
        return Taken(self.found.files[run.file], run.pieces, self.found.values_of(run.file), first, gone, stored)

    def together(self, shard: int) -> range:
        """Return the shards that are parts of the same row group as one is."""
        return neighbours(self.parts, shard)

    def make_several(
        self, shards: Sequence[int], store: Store, came: Callable[[int], Any], files: Sequence[IO[bytes]]
    ) -> Iterator[int]:
        """Write such shards."""
        recipes = [recipe for recipe in map(self, shards) if isinstance(recipe, SourceRecipe)]
        return make_parts(recipes, store, came, files)

    def _first(self, run: Run) -> int:
        """Return the number in its file of the first row of a run."""
        return sum(piece.rows for piece in self.pieces[run.file] if piece.begin < run.pieces[0].begin)


def open_source_files(
    location: Location,
    directory: str,
    config: FetchConfig,
    *,
    format: str | None = None,
    columns: tuple[str, ...] | None = None,
    schema: str = "same",
    options: Mapping[str, str] | None = None,
    index: Location | None = None,
) -> MadeDirectory:
    """Open files of another format as a dataset.

    Args:
        location: Which files: a pattern, a directory, a table, or a dataset of the Hugging Face Hub.
        directory: Where shards are to be made: a directory of the cache's own.
        config: How to fetch.
        format: Name of their format; ``None``: by their suffixes.
        columns: Names of the columns that samples are to have, in that order; ``None``: all.
        schema: Whether files must have the ``'same'`` columns, or the ``'union'`` of theirs is taken.
        options: What else is to be told: ``split`` and ``config`` of a dataset of the hub, ``version`` of a table.
        index: Where what was found in the files was kept.

    Raises:
        ConfigError: There is no such format or column, or an argument is wrong.
        EmptyDatasetError: There are no files, or no rows in them.
        SourceError: A file is damaged, or they do not go together.
        StorageError: They cannot be listed or read.
        MissingDependencyError: A package that reads the format is not installed.
    """
    if schema not in _SCHEMAS:
        raise ConfigError(f"schema must be 'same' or 'union', got {schema!r}.")
    opened = time.time()
    module = _module_for(location, format)
    if module is not None and isinstance(open_store(root_of(location)[0]), RemoteStore):
        prepare()
    with importing(module):
        found = locate(location, format, options or {})
    names: list[dict[str, str]] | None = None
    os.makedirs(directory, exist_ok=True)
    origin = str(location)
    kept = os.path.join(directory, kept_name(origin, found.kind))
    if index is not None:
        bring_index(index, kept)

    def scan(scanner: Scanner) -> Scanned:
        return scan_files(found.store, found.files, scanner, kept, config.download_retry, index and str(index))

    if found.kind in kinds:
        optional_import("pyarrow", "arrow", "Reading files of other formats")
        kind = kinds[found.kind]()
        scanned = scan(kind)
        if found.keys is not None:
            stored = [stored_names(each, found.keys) for each in scanned.schemas]
            names = [stored[number] for number in scanned.schema_ids]
            schemas = [renamed(each, own) for each, own in zip(scanned.schemas, stored, strict=True)]
            scanned = replace(scanned, schemas=schemas)
        how = schema if found.table is None else "union"
        source = TableColumns(with_columns(unite(scanned, how, origin), found))
        rows = row_schema(source, columns, origin)
        pieces = [cut_pieces(each) for each in scanned.pieces] if kind.counts_rows else scanned.pieces
        encodings: dict[str, str] = {}
    else:
        try:
            source = sources[found.kind](Files(origin, found.store, found.files, options or {}, in_place=True))
        except SourceError as error:
            raise blame(error, found.store, found.files) from error
        scanned = known_rows(source) if source.is_known else scan(source)
        _compare_counts(found, scanned)
        encodings = unite_encodings(scanned, schema, origin)
        rows = encoded_schema(choose_columns(encodings, columns, origin))
        pieces = scanned.pieces
    shards = list(cut_shards(surviving(pieces, found.gone)))
    if not shards:
        raise EmptyDatasetError(f"There are no rows in the {len(found.files)} files at {origin}.")
    parts = parts_of(shards, scanned.pieces, pieces)
    recipes = Recipes(found, rows, source, pieces, shards, parts, encodings, names)
    made = _index(recipes)
    store = found.store
    identity = Identity(digest(str(getattr(store, "origin", None) or repr(store))), made.digest, opened=opened)
    return MadeDirectory(directory, made, store, config, origin, identity, recipes, source.metadata)


def _module_for(location: Location, format: str | None) -> str | None:
    """Return the module that files which are far away will need, as far as their names tell."""
    kind = format or ("parquet" if is_hub_dataset(location) else format_of(location.base))
    return None if location.is_local else {"parquet": "pyarrow.parquet", "arrow": "pyarrow"}.get(kind or "")


def _compare_counts(found: Found, scanned: Scanned) -> None:
    """Warn of files that have other numbers of rows than they are said to have."""
    told = zip(found.files, found.counts or (), scanned.pieces, strict=False)
    odd = [(info.path, count, own) for info, count, some in told if (own := sum(p.rows for p in some)) != count]
    if odd:
        name, count, own = odd[0]
        warnings.warn(
            f"{found.store!r}/{name} has {own:,} samples, and the index that lists it says {count:,}; {len(odd):,} of "
            f"{len(found.files):,} archives differ. What is there is served. Write the index again.",
            stacklevel=2,
        )


def with_columns(schema: Any, found: Found) -> Any:
    """Return a schema with the columns that are told of files besides, and of a table's only those that it has.

    Args:
        schema: A ``pyarrow.Schema``.
        found: The files.
    """
    for one in found.columns or ():
        if one.name not in schema.names:
            schema = schema.append(one)
    if found.table is None:
        return schema
    import pyarrow as pa

    known = set(schema.names)  # a column that was added has no file yet
    fields = [
        as_told(schema.field(one.name), one.type) if one.name in known else one.with_nullable(True)
        for one in storage_of(found.table)
    ]
    return pa.schema(fields, schema.metadata)


def _index(recipes: Recipes) -> Index:
    counts = [sum(piece.rows for run in shard for piece in run.pieces) for shard in recipes.shards]
    sizes = [sum(piece.bytes for run in shard for piece in run.pieces) for shard in recipes.shards]
    fingerprint = _fingerprint(recipes)
    stem = fingerprint.hex()[:12]
    data = FileTableBuilder()
    nothing = FileTableBuilder()
    for number, size in enumerate(sizes):
        data.append(FileInfo(f"{stem}.{number:05}.mds", size))
        nothing.append(None)
    none: FileTable = nothing.build()
    zeros = np.zeros(len(counts), np.int32)
    return Index(np.array(counts, np.int64), (recipes.schema,), zeros, data.build(), none, none, none, fingerprint)


def _fingerprint(recipes: Recipes) -> bytes:
    """Return 16 bytes for the files at their versions, how they are cut, and what rows look like."""
    hasher = blake2b(digest_size=16)
    for info in recipes.found.files:
        hasher.update(f"{info.path}\0{info.bytes}\0{info.etag}\0{info.modified}\n".encode("utf-8", "surrogateescape"))
    for number, gone in recipes.found.gone.items():
        hasher.update(f"{number}:".encode() + gone.tobytes())
    runs = [[(run.file, run.pieces) for run in shard] for shard in recipes.shards]
    hasher.update(f"{recipes.found.kind}|{recipes.found.values}|{recipes.schema}|{runs}".encode())
    return hasher.digest()
