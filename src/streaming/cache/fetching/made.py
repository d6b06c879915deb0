"""Shards that no store holds: each is made, when it is fetched, of files of another format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from streaming.cache.bookkeeping.identity import Identity
from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.files.keeper import FileJob, Keeper, Recipe
from streaming.format.index import Index, ShardInfo
from streaming.storage.store import Store

__all__ = ["MadeDirectory", "entry_on_disk"]


class MadeDirectory(ShardDirectory):
    """The shards that are made of a source's files.

    Args:
        directory: Where they are to be: a directory of the cache's own.
        index: Their index. How many bytes each has is an estimate until it is made.
        store: Where the source's files are.
        config: How to fetch.
        origin: Where the source is, for error texts.
        identity: The source, as it was opened.
        recipe: From a shard's number to what makes it.
        metadata: What the source says of itself and its columns.
        columns: Names of the columns that samples are to have, in that order; ``None`` for all.
    """

    def __init__(
        self,
        directory: str,
        index: Index,
        store: Store,
        config: FetchConfig,
        origin: str,
        identity: Identity,
        recipe: Callable[[int], Recipe],
        metadata: Mapping[str, Any],
        columns: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(directory, index, store, config, origin, identity, columns)
        self.metadata = metadata
        self.recipe = recipe

    def is_stored(self, shard: int) -> bool:
        """Say whether the store holds the very files that the index names."""
        del shard
        return False

    def _entry(self, shard: int) -> ShardInfo:
        return entry_on_disk(self.index.shard(shard), self.directory)

    def _keepers(self, shard: int) -> list[Keeper]:
        (raw,) = self.index.shard(shard).raw
        job = FileJob(self.directory, raw, None, None, self._tag, recipe=self.recipe(shard))
        return [Keeper(job, shard, False, self.table, self.witness)]


def entry_on_disk(info: ShardInfo, directory: str) -> ShardInfo:
    """Return the entry of a shard of one file with the size that it has, which was noted as it was placed."""
    (raw,) = info.raw
    return replace(info, raw=(replace(raw, bytes=os.stat(os.path.join(directory, raw.basename)).st_size),))
