"""From a dataset to what a plan of its run is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.cache.cache import ShardCache
from streaming.core.arguments import as_integer, optional_integers
from streaming.core.errors import ConfigError
from streaming.core.world import World
from streaming.dataset.epoch.epochs import Epochs
from streaming.dataset.epoch.ordering import Ordering
from streaming.dataset.ranks import DataRanks
from streaming.dataset.shards import ShardTable
from streaming.order.queries.plan import EpochOrder
from streaming.order.skips import Skips
from streaming.order.spec import OrderSpec
from streaming.planning.costs import ShardCosts
from streaming.planning.demand import Run
from streaming.planning.facts import Job
from streaming.planning.shares import layout_of
from streaming.planning.timing import Ranks

if TYPE_CHECKING:
    from streaming.planning.plan import Plan
    from streaming.planning.prices import Price
    from streaming.planning.proofs import Report
    from streaming.planning.speed import Speed

__all__ = ["Asked", "Planning"]


@dataclass(frozen=True)
class Asked:
    """The job that is asked about, as the user gave it; what is ``None`` is as it is here.

    Attributes:
        num_nodes: Nodes.
        ranks_per_node: Ranks of each, those that get the same samples counted each.
        num_workers: Workers of each rank.
        replication: Consecutive ranks that get the same samples.
        prefetch: Batches that each worker makes ahead.
    """

    num_nodes: int | None = None
    ranks_per_node: int | None = None
    num_workers: int = 0
    replication: int | None = None
    prefetch: int = 2


class Planning:
    """Makes plans of a dataset's runs.

    Args:
        asked: The job that is asked about.
        name: What is read.
        epochs: Which epoch comes, and what a checkpoint has set.
        ordering: The order.
        ranks: Which ranks get different samples.
        table: Where samples lie.
        cache: The shards.
        predownload: Samples ahead of the one being served whose shards are fetched.
        stream_names: Names of the streams.
    """

    def __init__(
        self,
        asked: Asked,
        name: str,
        epochs: Epochs,
        ordering: Ordering,
        ranks: DataRanks,
        table: ShardTable,
        cache: ShardCache,
        predownload: int,
        stream_names: tuple[str, ...],
    ) -> None:
        self._asked = asked
        self._name = name
        self._epochs = epochs
        self._ordering = ordering
        self._ranks = ranks
        self._table = table
        self._cache = cache
        self._predownload = predownload
        self._stream_names = stream_names

    def plan(
        self,
        epochs: int | None,
        steps: int | None,
        speed: Speed | None,
        price: Price | str | float | None,
    ) -> Plan:
        """Return the plan of a run; see :meth:`StreamingDataset.plan`."""
        from streaming.planning.plan import make_plan
        from streaming.planning.prices import find_price
        from streaming.planning.speed import Speed

        epochs, steps = optional_integers(epochs=(epochs, 1), steps=(steps, 1))
        if epochs is None and steps is None:
            epochs = 1
        if speed is not None and not isinstance(speed, Speed):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"speed must be a streaming.planning.Speed, got {speed!r}.")
        return make_plan(
            self._name,
            self.run(self.job(), epochs, steps),
            self._stream_names,
            self.costs(),
            self.job(),
            speed or Speed(),
            find_price(price),
        )

    def check(self, steps: int | None, worlds: Sequence[Sequence[int]], most: int) -> Report:
        """Return proofs of a run; see :meth:`StreamingDataset.check`."""
        from streaming.planning.proofs import World as Other
        from streaming.planning.proofs import prove

        others: list[Other] = []
        for world in worlds:
            nodes, ranks, workers = world
            counts = as_integer("nodes", nodes, 1), as_integer("ranks", ranks, 1), as_integer("workers", workers, 0)
            others.append(Other(*counts))
        job = self.job()
        layout = layout_of(job.num_nodes, job.ranks.ranks, job.replication)
        settings = self._epochs.pending(self._first_epoch()).settings
        order = self._ordering.state(settings, World(layout.num_nodes, layout.ranks_per_node, 1, 0))
        run = self.run(job, 1 if steps is None else None, steps)
        return prove(run, self.plan(None, steps, None, None), others, as_integer("most", most, 1), order)

    def costs(self) -> ShardCosts:
        """Return what the shards cost."""
        return ShardCosts.of(self._cache.directories, self._cache.index_bytes)

    def job(self) -> Job:
        """Return the machines that are asked about.

        Raises:
            ConfigError: ``batch_size`` was not given, or a count is wrong.
        """
        size = self._ordering.config.batch_size
        if size is None:
            raise ConfigError("batch_size is needed to plan a run: the order of samples depends on it.")
        here, asked = self._ranks.ranks(), self._asked
        nodes, ranks, replication = optional_integers(
            num_nodes=(asked.num_nodes, 1),
            ranks_per_node=(asked.ranks_per_node, 1),
            replication=(asked.replication, 1),
        )
        workers, prefetch = as_integer("num_workers", asked.num_workers, 0), as_integer("prefetch", asked.prefetch, 1)
        return Job(
            nodes or here.num_ranks // here.ranks_per_node,
            Ranks(ranks or here.ranks_per_node, workers, size, self._predownload, prefetch),
            replication or self._ranks.replication or 1,
            self._cache.limit,
        )

    def spec(self, job: Job) -> OrderSpec:
        """Return what the order of a job depends on, with the settings of a checkpoint that is loaded."""
        layout = layout_of(job.num_nodes, job.ranks.ranks, job.replication)
        settings = self._epochs.pending(self._first_epoch()).settings
        return self._ordering.spec(settings, World(layout.num_nodes, layout.ranks_per_node, 1, 0))

    def run(self, job: Job, epochs: int | None, steps: int | None) -> Run:
        """Return a run from where the dataset would begin."""
        layout, spec = layout_of(job.num_nodes, job.ranks.ranks, job.replication), self.spec(job)
        start = self._epochs.pending(self._first_epoch())
        return Run(
            lambda epoch: EpochOrder(spec, epoch, layout),
            start.epoch,
            start.sample_in_epoch,
            Skips(start.skips),
            self._table.spans,
            epochs,
            steps,
        )

    def _first_epoch(self) -> int:
        return self._ordering.coming_epoch(self._epochs.next_epoch)
