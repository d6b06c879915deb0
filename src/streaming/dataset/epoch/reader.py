"""Begins this process's iterations: agrees on the epoch, takes this worker's part of it, and reads that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from streaming.cache.cache import ShardCache
from streaming.core.errors import ConfigError
from streaming.core.process.ledger import DECODE, USER
from streaming.core.process.orphans import end_with_parent
from streaming.core.world import World, in_worker
from streaming.dataset.epoch.batches import Collator, iterate_batches
from streaming.dataset.epoch.epochs import Epochs, Start
from streaming.dataset.epoch.interface import SampleSource
from streaming.dataset.epoch.iterate import BLOCK, Planned, iterate
from streaming.dataset.epoch.ordering import Ordering
from streaming.dataset.epoch.progress import Progress, after
from streaming.dataset.epoch.state import drawn_of_worker
from streaming.dataset.epoch.substitutes import Substitutes
from streaming.dataset.ranks import DataRanks
from streaming.dataset.shards import ShardTable
from streaming.dataset.wrappers import refuse_double_sharding, what_is_uneven
from streaming.order.queries.plan import WorkerIds
from streaming.storage.helper.runtime import declare_worker

__all__ = ["EpochReader"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class EpochReader:
    """Reads epochs, a worker's part of each.

    Args:
        cache: The dataset's shards.
        table: Where its samples lie.
        ordering: The order of its samples.
        epochs: Which epoch comes, agreed with the other workers.
        progress: Where samples are counted.
        ranks: Which ranks get different samples.
    """

    def __init__(
        self,
        cache: ShardCache,
        table: ShardTable,
        ordering: Ordering,
        epochs: Epochs,
        progress: Progress,
        ranks: DataRanks,
    ) -> None:
        self._cache = cache
        self._table = table
        self._ordering = ordering
        self._epochs = epochs
        self._progress = progress
        self._ranks = ranks

    def samples(self, source: SampleSource) -> Iterator[Any]:
        """Begin an iteration now, and return an iterator over its samples.

        Args:
            source: Says what a sample is, and what to do about one that cannot be read.
        """
        start, planned = self._begin(source.predownload)
        read = None if source.is_plain() and self._table.links is None else source.__getitem__
        if source.on_error == "skip":
            seed = start.settings.get("shuffle_seed", self._ordering.config.shuffle_seed)
            substitutes = Substitutes(read or source.get_item, self._cache, self._table, seed, start.epoch)
            read, planned = substitutes.read, replace(planned, tolerance=substitutes)
        begun = partial(self._look_around, source, start, planned)
        if in_worker() and start.balance != self._balance:
            return self._otherwise(start)
        between = USER if source.has_own_iter() else DECODE
        return iterate(self._cache, self._table, planned, self._progress, read, begun, between)

    def batches(self, predownload: int, collator: Collator[T]) -> Iterator[T]:
        """Begin an iteration now, and return an iterator over its batches.

        Args:
            predownload: Samples ahead of the one being served whose shards are fetched.
            collator: Makes a batch of samples that are still in their shards.
        """
        start, planned = self._begin(predownload)
        if in_worker() and start.balance != self._balance:
            return self._otherwise(start)
        return iterate_batches(self._cache, self._table, planned, self._progress, collator)

    @property
    def _balance(self) -> str | None:
        return self._ordering.balance and self._ordering.balance.name

    def _otherwise(self, start: Start) -> Iterator[Any]:
        """Raise, once a sample is asked for: a worker that lives on would end of what is raised before."""
        raise ConfigError(
            f"This worker began with balance {self._balance!r}, and does not know of {start.balance!r}, set since. With "
            "persistent_workers=True, set the balance before the first epoch."
        )
        yield

    def _begin(self, predownload: int) -> tuple[Start, Planned]:
        world = self._ranks.world().detect_workers()
        if world.workers_per_rank > 1 or in_worker():
            declare_worker()
            end_with_parent()
        refuse_double_sharding(world.num_ranks)
        start = self._epochs.begin()
        self._log(world, start.epoch)
        if self._ordering.mixture is not None and not world.worker and self._epochs.is_first("rounded"):
            self._say_rounded(world)
        progress = self._progress.own()
        if start.workers:
            progress.restore(drawn_of_worker(start.workers, world.worker_of_rank, world.workers_per_rank))
        changes = self._epochs.changes
        ids = progress.begin(start, self._ordering.worker_ids(start, world))
        planned = self._plan(start, world, ids, predownload, progress.yielded)
        if self._ordering.mixture is not None:
            planned = replace(planned, renew=self._renewal(start, world, planned, progress.yielded, changes))
        return start, planned

    def _renewal(
        self, start: Start, world: World, planned: Planned, done: int, changes: int
    ) -> Callable[[int], Planned | None]:
        """Return what says whether the streams' weights have changed."""
        present = start

        def renew(slot: int) -> Planned | None:
            nonlocal present, changes
            if self._epochs.changes == changes:
                return None
            changes = self._epochs.changes
            coming = replace(present, settings=self._epochs.pending(start.epoch).settings)
            if coming.settings == present.settings:
                return None
            if slot:
                batch = (slot + done) // planned.batch_size - 1
                self._ordering.check_ahead(
                    present, coming, world, batch * world.workers_per_rank + world.worker_of_rank
                )
            present = coming
            ids = after(self._ordering.worker_ids(coming, world), done)
            return replace(planned, ids=ids, plan=self._ordering.plan(coming, world, done))

        return renew

    def _plan(self, start: Start, world: World, ids: WorkerIds, predownload: int, done: int = 0) -> Planned:
        def following() -> Planned | None:
            if self._ordering.is_endless:
                return None
            coming = self._epochs.pending(start.epoch + 1)
            if not self._ordering.is_cheap(coming, world):
                return None
            return self._plan(coming, world, self._ordering.worker_ids(coming, world), predownload)

        return Planned(
            ids,
            self._ordering.plan(start, world, done),
            world.ranks_per_node * world.workers_per_rank,
            self._ordering.config.batch_size or 1,
            predownload,
            following,
            self._ordering.block(world, BLOCK),
        )

    def _look_around(self, source: SampleSource, start: Start, planned: Planned) -> None:
        """Warn, once and from one process, of a ``DataLoader`` that does not go with the dataset."""
        world = self._ranks.world().detect_workers()
        if world.worker:
            return
        samples = planned.batch_size
        if not start.sample_in_epoch and len(planned.ids) <= samples:  # else what is left may be little
            samples = int((planned.ids.ids(0, len(planned.ids)) >= 0).sum())
        found = what_is_uneven(source, planned.batch_size, samples, world.workers_per_rank, source.has_own_iter())
        if found is not None:
            source.warn_once(*found)

    def _say_rounded(self, world: World) -> None:
        rounded = self._ordering.rounded(world)
        if rounded:
            logger.warning(
                "the schedule's positions are rounded to whole global batches of %d samples: %s",
                (self._ordering.config.batch_size or 1) * world.num_ranks,
                ", ".join(rounded),
            )

    def _log(self, world: World, epoch: int) -> None:
        if world.worker_of_rank == 0:
            replication = self._ranks.replication
            logger.info(
                "epoch %d: data rank %d of %d on %d node(s), %d worker(s), by %s%s",
                epoch,
                world.rank,
                world.num_ranks,
                world.num_nodes,
                world.workers_per_rank,
                self._ranks.ranks().source,
                f", replication {replication}" if replication else "",
            )
