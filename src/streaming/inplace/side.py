"""Columns of a source's files for conditions, keys and counts: those that are asked for are read, and no others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from streaming.cache.fetching.made import MadeDirectory
from streaming.columns.asked import AskedColumns
from streaming.columns.parquet import arrow
from streaming.inplace.opening import Recipes
from streaming.inplace.recipe import SourceRecipe, read_columns
from streaming.inplace.rows import RowsRecipe, read_rows
from streaming.sources.features import TableColumns
from streaming.sources.file import SourceFile
from streaming.storage.retry import RetryPolicy, call_with_retries

__all__ = ["columns_of"]

_AT_ONCE = 8
#: Arrow's types of values that rows have.
_TYPES = {
    "bool": "bool_", "str": "string", "json": "string", "bytes": "binary", "int": "int64", "date": "date32",
    **{f"{kind}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"float{bits}" for bits in (32, 64)},
}  # fmt: skip


def columns_of(directory: MadeDirectory) -> AskedColumns | None:
    """Return the columns of files that are read in place, to be asked; ``None`` of what is not made of files.

    Args:
        directory: The shards that are made of them.
    """
    recipes = directory.recipe
    if not isinstance(recipes, Recipes):
        return None
    index = directory.index
    read = _Reader(recipes, len(index.samples), RetryPolicy(attempts=directory.config.download_retry + 1))
    return AskedColumns(directory.directory, index.digest, directory.origin, read.names, index.num_samples, read)


@dataclass(frozen=True)
class _Reader:
    """Reads columns. Legend: S shards."""

    recipes: Recipes
    shards: int
    policy: RetryPolicy

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that there are."""
        if isinstance(self.recipes.source, TableColumns):
            return tuple(self.recipes.source.schema.names)
        return tuple(name for name, encoding in self.recipes.columns.items() if encoding.rstrip("?") in _TYPES)

    def __call__(self, names: Sequence[str]) -> Iterator[Any]:
        """Yield tables, shard by shard; those of some shards are read at the same time."""

        def read(shard: int) -> list[Any]:
            return call_with_retries(lambda: list(self._tables(shard, names)), self.policy, time.sleep)

        with ThreadPoolExecutor(_AT_ONCE, "streaming-columns") as threads:
            for first in range(0, self.shards, _AT_ONCE):
                for tables in threads.map(read, range(first, min(first + _AT_ONCE, self.shards))):
                    yield from tables

    def _tables(self, shard: int, names: Sequence[str]) -> Iterator[Any]:
        pa = arrow("pyarrow")
        recipe, store = self.recipes(shard), self.recipes.found.store
        if isinstance(recipe, SourceRecipe):
            for taken in recipe.runs:
                file = SourceFile(store, taken.info)
                for _, arrays in read_columns(recipe.kind, recipe.table, file, taken, names):
                    yield pa.Table.from_arrays(arrays, list(names))
        elif isinstance(recipe, RowsRecipe):
            kinds = [self.recipes.columns[name].rstrip("?") for name in names]
            for _, _, rows in read_rows(recipe.source, recipe.runs, names):
                columns = [
                    pa.array([_value(row.get(name), kind) for row in rows], getattr(pa, _TYPES[kind])())
                    for name, kind in zip(names, kinds, strict=True)
                ]
                yield pa.Table.from_arrays(columns, list(names))


def _value(value: Any, kind: str) -> Any:
    return json.dumps(value, ensure_ascii=False) if kind == "json" and value is not None else value
