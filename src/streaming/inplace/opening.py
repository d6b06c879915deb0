"""Open a source: its shards, which are made as they are fetched."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from streaming.cache.bookkeeping.identity import Identity, digest
from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.made import MadeDirectory
from streaming.core.errors import ConfigError, EmptyDatasetError
from streaming.core.imports import optional_import
from streaming.format.index import FileInfo, FileTable, Index
from streaming.format.index.files import FileTableBuilder
from streaming.format.samples.schema import Schema
from streaming.inplace.cutting import Run, cut_shards
from streaming.inplace.recipe import SourceRecipe
from streaming.inplace.scan import scan_files
from streaming.sources.columns import row_schema, unite
from streaming.sources.listing import list_files
from streaming.sources.pieces import Scanned, kinds
from streaming.storage.location import Location

__all__ = ["open_source_files"]

_SCHEMAS = ("same", "union")


@dataclass(frozen=True)
class _Recipes:
    """What makes each shard. It can be pickled."""

    kind: str
    schema: Schema
    types: Any
    scanned: Scanned
    shards: list[list[Run]]

    def __call__(self, shard: int) -> SourceRecipe:
        runs = tuple((self.scanned.files[run.file], run.pieces) for run in self.shards[shard])
        count = sum(piece.rows for _, pieces in runs for piece in pieces)
        return SourceRecipe(self.kind, self.schema, self.types, runs, count)


def open_source_files(
    location: Location,
    directory: str,
    config: FetchConfig,
    *,
    format: str | None = None,
    columns: tuple[str, ...] | None = None,
    schema: str = "same",
) -> MadeDirectory:
    """Open files of another format as a dataset.

    Args:
        location: Which files: a pattern, or a directory.
        directory: Where shards are to be made: a directory of the cache's own.
        config: How to fetch.
        format: Name of their format; ``None``: by their suffixes.
        columns: Names of the columns that samples are to have, in that order; ``None``: all.
        schema: Whether files must have the ``'same'`` columns, or the ``'union'`` of theirs is taken.

    Raises:
        ConfigError: There is no such format or column, or an argument is wrong.
        EmptyDatasetError: There are no files, or no rows in them.
        SourceError: A file is damaged, or they do not go together.
        StorageError: They cannot be listed or read.
        MissingDependencyError: A package that reads the format is not installed.
    """
    if schema not in _SCHEMAS:
        raise ConfigError(f"schema must be 'same' or 'union', got {schema!r}.")
    optional_import("pyarrow", "arrow", "Reading files of other formats")
    opened = time.time()
    store, kind, files = list_files(location, format)
    os.makedirs(directory, exist_ok=True)
    origin = str(location)
    kept = os.path.join(directory, f".streaming-source-{_short(f'{origin}|{kind}')}.jsonl")
    scanned = scan_files(store, files, kinds[kind](), kept, config.download_retry)
    types = unite(scanned, schema, origin)
    rows = row_schema(types, columns, origin)
    shards = list(cut_shards(scanned))
    if not shards:
        raise EmptyDatasetError(f"There are no rows in the {len(files)} files at {origin}.")
    recipes = _Recipes(kind, rows, types, scanned, shards)
    index = _index(recipes)
    identity = Identity(digest(str(getattr(store, "origin", None) or repr(store))), index.digest, opened=opened)
    return MadeDirectory(directory, index, store, config, origin, identity, recipes)


def _index(recipes: _Recipes) -> Index:
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


def _fingerprint(recipes: _Recipes) -> bytes:
    """Return 16 bytes for the files at their versions, how they are cut, and what rows look like."""
    hasher = blake2b(digest_size=16)
    for info in recipes.scanned.files:
        hasher.update(f"{info.path}\0{info.bytes}\0{info.etag}\0{info.modified}\n".encode("utf-8", "surrogateescape"))
    hasher.update(
        f"{recipes.kind}|{recipes.schema}|{[[(r.file, r.pieces) for r in s] for s in recipes.shards]}".encode()
    )
    return hasher.digest()


def _short(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
