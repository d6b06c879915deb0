"""Shards that no store holds: each is made, when it is fetched, of files of another format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import IO, Any, Protocol

from streaming.cache.bookkeeping.identity import Identity
from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.fetching.fetch import FetchStats
from streaming.cache.files.keeper import FileJob, Keeper, Recipe
from streaming.core.errors import LockedError, ShardUnavailableError, SourceError
from streaming.core.process.lock import locked_part
from streaming.format.index import Index, ShardInfo
from streaming.format.shard import NameSample
from streaming.storage.store import Store

__all__ = ["MadeDirectory", "Recipes", "entry_on_disk"]


class Recipes(Protocol):
    """What makes the shards of a directory."""

    def __call__(self, shard: int) -> Recipe:
        """Return what makes a shard."""
        ...

    def contents(self) -> tuple[bytes, bytes]:
        """Return prints of the files, as :meth:`ShardDirectory.contents` does."""
        ...

    def place(self, shard: int, row: int, read: Callable[[str], Any]) -> str:
        """Return where a row of a shard comes from, for people; ``read`` returns the value that it has in a column."""
        ...

    def blame(self, error: SourceError) -> SourceError:
        """Return an error that says of which place the files are that it names."""
        ...

    def together(self, shard: int) -> range:
        """Return the shards that are best made at once with one, itself among them: all are in what any of them takes."""
        ...

    def make_several(
        self, shards: Sequence[int], store: Store, came: Callable[[int], Any], files: Sequence[IO[bytes]]
    ) -> Iterator[int]:
        """Write some of those, in ascending order; yields the position of each as it is complete."""
        ...


class MadeDirectory(ShardDirectory):
    """The shards that are made of a source's files.

    Args:
        directory: Where they are to be: a directory of the cache's own.
        index: Their index. How many bytes each has is an estimate until it is made.
        store: Where the source's files are.
        config: How to fetch.
        origin: Where the source is, for error texts.
        identity: The source, as it was opened.
        recipes: What makes them.
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
        recipes: Recipes,
        metadata: Mapping[str, Any],
        columns: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(directory, index, store, config, origin, identity, columns)
        self.metadata = metadata
        self.recipe = recipes

    def contents(self) -> tuple[bytes, bytes]:
        """Return prints of the files that the shards are made of."""
        return self.recipe.contents()

    def name_of(self, shard: int) -> NameSample | None:
        """Return what names the rows of a shard by the files that they come from."""
        return partial(self.recipe.place, shard)

    def is_stored(self, shard: int) -> bool:
        """Say whether the store holds the very files that the index names."""
        del shard
        return False

    def _entry(self, shard: int) -> ShardInfo:
        return entry_on_disk(self.index.shard(shard), self.directory)

    def fetch(
        self,
        shard: int,
        sleep: Callable[[float], Any],
        stats: FetchStats,
        connections: Callable[[], int] | None = None,
        find_room: Callable[..., Any] | None = None,
    ) -> None:
        """Make a shard present; and those made of the same, as far as there is room and nobody else is making them."""
        try:
            self._make(shard, sleep, stats, connections, find_room)
        except SourceError as error:
            raise self.recipe.blame(error) from error

    def _make(
        self,
        shard: int,
        sleep: Callable[[float], Any],
        stats: FetchStats,
        connections: Callable[[], int] | None,
        find_room: Callable[..., Any] | None,
    ) -> None:
        together = self.recipe.together(shard)
        if len(together) == 1:
            super().fetch(shard, sleep, stats, connections, find_room)
            return
        # One at a time of those that are made together: who comes next finds its shard made.
        lock = f"{self.directory}/{self.index.shard(together[0]).raw[0].basename}.{self._tag}.all.part"
        timeout_s = self.config.lock_timeout_s(sum(map(self.max_bytes, together)))
        stats.phases.enter("other_process")
        try:
            with locked_part(lock, timeout_s):
                recipe = partial(self._make_together, shard, stats, find_room, lock)
                self._fetch(self._keepers(shard, recipe), shard, sleep, stats, connections, find_room)
        except LockedError as error:
            raise ShardUnavailableError(f"Could not make shard {shard} of {self.origin}. {error}") from error

    def _keepers(self, shard: int, recipe: Recipe | None = None) -> list[Keeper]:
        (raw,) = self.index.shard(shard).raw
        job = FileJob(self.directory, raw, None, None, self._tag, recipe=recipe or self.recipe(shard))
        return [Keeper(job, shard, False, self.table, self.witness)]

    def _make_together(
        self,
        shard: int,
        stats: FetchStats,
        find_room: Callable[..., Any] | None,
        lock: str,
        store: Store,
        came: Callable[[int], Any],
        file: IO[bytes],
    ) -> None:
        with ExitStack() as held:
            others = {
                other: self._hold(other, find_room, held) for other in self.recipe.together(shard) if other != shard
            }
            files = {other: taken[1] for other, taken in others.items() if taken is not None}
            files[shard] = file
            numbers = sorted(files)
            for position in self.recipe.make_several(numbers, store, came, [files[number] for number in numbers]):
                with suppress(FileNotFoundError):
                    os.utime(lock)  # for those who wait
                taken = others.get(numbers[position])
                if taken is not None and self._place(numbers[position], *taken, find_room):
                    stats.files_fetched += 1

    def _hold(
        self, shard: int, find_room: Callable[..., Any] | None, held: ExitStack
    ) -> tuple[Keeper, IO[bytes]] | None:
        """Reserve a shard and open its unfinished file; ``None`` if it is there, somebody makes it, or there is no room."""
        (keeper,) = self._keepers(shard)
        if self.has_files(shard):
            return None
        try:
            part = held.enter_context(locked_part(keeper.job.part(keeper.job.wire), 0.0))
        except LockedError:
            return None
        size = self.max_bytes(shard)
        if self.has_files(shard) or (find_room is not None and not find_room(size, shard)):
            return None
        self.reserve(shard, size)
        file = held.enter_context(open(part, "wb"))  # noqa: SIM115
        held.callback(self._give_up, shard, file)
        return keeper, file

    def _place(self, shard: int, keeper: Keeper, file: IO[bytes], find_room: Callable[..., Any] | None) -> bool:
        """Give a shard that is complete its name, unless it turned out to be larger than there is room for."""
        file.flush()
        table, size = self.table, os.fstat(file.fileno()).st_size
        if table is not None:
            if find_room is not None and size > table.owned[shard] and not find_room(size, shard):
                return False
            table.owned[shard] = size
        keeper.place(keeper.job.part(keeper.job.wire), keeper.job.wire)
        self._current.add(shard)
        return True

    def _give_up(self, shard: int, file: IO[bytes]) -> None:
        """Leave nothing of a shard that was not placed."""
        if not self.has_files(shard):
            file.truncate(0)
            if self.table is not None:
                self.table.owned[shard] = 0


def entry_on_disk(info: ShardInfo, directory: str) -> ShardInfo:
    """Return the entry of a shard of one file with the size that it has, which was noted as it was placed."""
    (raw,) = info.raw
    return replace(info, raw=(replace(raw, bytes=os.stat(os.path.join(directory, raw.basename)).st_size),))
