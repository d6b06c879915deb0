"""From the dataset's arguments, a checkpoint's settings and the world, to this worker's sample ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from streaming.core.errors import CheckpointError, ConfigError
from streaming.core.world import World
from streaming.dataset.config import OrderConfig
from streaming.dataset.epoch.epoch_file import shared_ids
from streaming.dataset.epoch.epochs import Start
from streaming.dataset.epoch.plans import WorkerPlan
from streaming.dataset.epoch.state import check_state, settings_of
from streaming.dataset.epoch.values import MOST_NODES
from streaming.dataset.mixing.mixture import Mixture, Table, changed
from streaming.dataset.mixing.schedule import as_weights, shares_of
from streaming.dataset.shards import ShardTable
from streaming.dataset.stream import Stream
from streaming.order.balance.epoch import windows_of
from streaming.order.classic.weights import resolve_weights
from streaming.order.defaults import (
    DEFAULT_ALGO,
    LEGACY_ALGO,
    default_block_size,
    default_num_canonical_nodes,
)
from streaming.order.queries.plan import EpochOrder, WorkerIds, is_materialised, order_version
from streaming.order.schedule.routes import check_weights
from streaming.order.skips import Skips
from streaming.order.spec import Balancing, Layout, OrderSpec
from streaming.order.table import HORIZON

__all__ = ["Ordering"]

_CHEAP_EPOCH = 1 << 20
#: What a checkpoint has for the print of weights that change.
_SCHEDULED = "schedule"


@dataclass(frozen=True)
class _Settings:
    """What the order of an epoch needs beyond the arguments, decided by arguments, checkpoint and world."""

    shuffle_algo: str
    num_canonical_nodes: int
    shuffle_seed: int
    shuffle_block_size: int
    initial_physical_nodes: int | None


class Ordering:
    """The order of one dataset: its fixed part, and the specs that settings and worlds give.

    Args:
        config: What the user said.
        table: The shards of all streams.
        streams: The streams, for their weights.
        names: Their names, for a schedule.

    Raises:
        ConfigError: The weights contradict each other or ``epoch_size``.
    """

    def __init__(
        self, config: OrderConfig, table: ShardTable, streams: Sequence[Stream], names: Sequence[str] = ()
    ) -> None:
        self.config = config
        self.balance: Balancing | None = None
        self.mixture: Mixture | None = None if config.mix is None else Mixture(config.mix, names, table.tokens)
        if self.mixture is not None:
            _check_unweighted(streams, self.mixture.names)
        self._samples_per_shard = table.samples_per_shard
        self._shards_per_stream = table.shards_per_stream
        self.weights = resolve_weights(
            table.samples_per_stream,
            proportions=[stream.proportion for stream in streams],
            repeats=[stream.repeat for stream in streams],
            chooses=[stream.choose for stream in streams],
            epoch_size=None if self.mixture else config.epoch_size,
            seed=config.shuffle_seed,
        )
        self.epoch_size: int = (config.epoch_size or HORIZON) if self.mixture else int(self.weights.epoch_size)
        self.most_nodes: int = min(self.epoch_size, int(self.weights.epoch_size)) if self.mixture else self.epoch_size
        most = max(MOST_NODES, self.most_nodes)
        if (config.num_canonical_nodes or 1) > most:
            raise ConfigError(f"num_canonical_nodes must be at most {most} here, got {config.num_canonical_nodes}.")
        self.is_endless: bool = self.epoch_size == HORIZON
        if self.epoch_size <= 0:
            raise ConfigError("An epoch would hold no samples: every stream's weight is 0.")
        for stream, proportion, repeat, choose in zip(
            streams, self.weights.proportion, self.weights.repeat, self.weights.choose, strict=True
        ):
            if self.mixture is None:
                stream.proportion, stream.repeat, stream.choose = proportion, repeat, choose
        self._directory = next((stream.directory for stream in streams if stream.remote is not None), None)
        self._dataset_print = _fingerprint(table.rows_per_shard, self._shards_per_stream)
        self._units_print = table.units
        self._shard_table = table
        self._weights_print = _SCHEDULED if self.mixture else _fingerprint(self.weights.choose)

    def worker_ids(self, start: Start, world: World) -> WorkerIds:
        """Return the sample ids of one worker, from where its iteration starts.

        Raises:
            ConfigError: ``batch_size`` was not given, or the layout does not fit the order.
        """
        if self.config.batch_size is None:
            raise ConfigError(
                "batch_size is needed to iterate a StreamingDataset: the order of samples depends on it. Pass the same "
                "batch_size to the dataset and to its DataLoader."
            )
        order = self._order(start.settings, world, start.epoch)
        return order.worker_ids(
            world.node, world.rank_of_node, world.worker_of_rank, start.sample_in_epoch, Skips(start.skips)
        )

    def plan(self, start: Start, world: World, done: int = 0) -> WorkerPlan:
        """Return when this worker's node needs which shards, and when this worker serves its samples.

        Args:
            start: Where its iteration starts.
            world: This worker.
            done: Slots of it that it does not serve again.
        """
        settings = start.settings
        return WorkerPlan(
            lambda epoch: self._order(settings, world, epoch),
            f"{self._dataset_print}{self._units_print or ''}|{self._weights_print}|{self._settings(settings, world)}"
            f"{self.balance.name if self.balance else ''}",
            start,
            world,
            self.config.batch_size or 1,
            self._shard_table,
            done,
        )

    def spans_reached(self, spans: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        """Return when which shards are read, from when the order's are; see :meth:`ShardTable.spans_reached`."""
        return self._shard_table.spans_reached(spans)

    def block(self, world: World, most: int) -> int:
        """Return how many samples of a worker are worked out at a time: in a balanced order, those of one window or few.

        Each window is worked out for every rank, of which a worker takes a small part: many would be long in the making.

        Args:
            world: This worker.
            most: So many where nothing is balanced, a power of two.
        """
        if self.balance is None:
            return most
        own = -(-self.balance.batches * (self.config.batch_size or 1) // world.workers_per_rank)
        return min(most, 1 << (max(own, most // (world.num_ranks * world.workers_per_rank)) - 1).bit_length())

    def is_cheap(self, start: Start, world: World) -> bool:
        """Say whether the order of another epoch may be made without being noticed."""
        return self.epoch_size <= _CHEAP_EPOCH or not is_materialised(self.spec(start.settings, world))

    def _order(self, settings: Mapping[str, Any], world: World, epoch: int) -> EpochOrder:
        spec = self.spec(settings, world)
        layout = Layout(world.num_nodes, world.ranks_per_node, world.workers_per_rank)
        ids = None
        if is_materialised(spec):
            from streaming.order.classic.epoch import epoch_ids

            ids = shared_ids(self._directory, spec, epoch, lambda: epoch_ids(spec, epoch))
        return EpochOrder(spec, epoch, layout, ids)

    def spec(self, loaded: Mapping[str, Any], world: World) -> OrderSpec:
        """Return everything the order depends on, for a world in which equal ranks count once."""
        settings = self._settings(loaded, world)
        return OrderSpec(
            samples_per_shard=self._samples_per_shard,
            shards_per_stream=self._shards_per_stream,
            choose=self.weights.choose,
            proportion=self.weights.proportion,
            epoch_size=self.epoch_size,
            batch_size=self.config.batch_size or 1,
            num_canonical_nodes=settings.num_canonical_nodes,
            shuffle=self.config.shuffle,
            shuffle_algo=settings.shuffle_algo,
            shuffle_seed=settings.shuffle_seed,
            shuffle_block_size=settings.shuffle_block_size,
            sampling_method=self.config.sampling_method,
            sampling_granularity=self.config.sampling_granularity,
            partition_algo=self.config.partition_algo,
            batching_method=self.config.batching_method,
            initial_physical_nodes=settings.initial_physical_nodes,
            table=self.table(loaded, world),
            balance=self.balance,
        )

    def table(self, loaded: Mapping[str, Any], world: World) -> Table:
        """Return the weights by position in the run, nothing where they do not change."""
        return () if self.mixture is None else self.mixture.table(loaded.get("mix"), self._global_batch(world))

    def rounded(self, world: World) -> tuple[str, ...]:
        """Return which of the schedule's positions are no whole global batches, and what they become."""
        return self.scheduled().records(self._global_batch(world))[1]

    def with_weights(self, loaded: Mapping[str, Any], world: World, begin: int, weights: Any) -> dict[str, Any]:
        """Return settings in which the streams have other weights from a position of the run on.

        Raises:
            ConfigError: The weights are none, or a stream cannot have its own.
            UnknownNameError: There is no such stream.
        """
        mixture = self.scheduled()
        batch = self._global_batch(world)
        table = changed(self.table(loaded, world), begin, shares_of(as_weights(weights), mixture.names))
        settings = {**loaded, "mix": mixture.saved(table, mixture.table(None, batch))}
        check_weights(self.spec(settings, world), batch)
        return settings

    def check_ahead(self, before: Start, after: Start, world: World, served: int) -> None:
        """Check that other settings change nothing up to a batch of an iteration that a worker has served.

        Raises:
            ConfigError: They do: they came too late.
        """
        old, new = self.table(before.settings, world), self.table(after.settings, world)
        begin = min((record.begin for record in {*old} ^ {*new}), default=HORIZON)
        batch = self._global_batch(world)
        past = self.position(before.epoch, before.sample_in_epoch + served * batch, before.skips)
        if begin <= past:
            raise ConfigError(
                f"Weights were set from global batch {begin // batch} on, and this worker has served batch {past // batch}: "
                "the samples of its batches would depend on who was faster. Give set_weights a later `at`, or iterate with "
                "StreamingDataLoader, which knows what is soonest."
            )

    def scheduled(self) -> Mixture:
        """Return the schedule.

        Raises:
            ConfigError: There is none.
        """
        if self.mixture is None:
            raise ConfigError("The streams' weights are fixed: give the dataset a schedule, mix=Schedule([...]).")
        return self.mixture

    def coming_epoch(self, epoch: int) -> int:
        """Return the epoch that is meant by the next one: the only one, where there is no other."""
        return 0 if self.is_endless else epoch

    def position(self, epoch: int, sample_in_epoch: int, skips: Sequence[Sequence[int]]) -> int:
        """Return how far into the run one is after ``sample_in_epoch`` samples of an epoch, skipped ones not counted."""
        return max(epoch, 0) * (0 if self.is_endless else self.epoch_size) + Skips(skips).position_after(
            sample_in_epoch
        )

    def window(self, loaded: Mapping[str, Any], world: World, position: int) -> tuple[int, int]:
        """Return between which positions of the run samples change places with that at one, to be balanced."""
        if self.balance is None:
            return position, position
        spec, batch = self.spec(loaded, world), self._global_batch(world)
        total = self.epoch_size - self.epoch_size % (batch if self.mixture else 1)
        first = 0 if self.is_endless else position // total * total
        begin, end = windows_of(spec, total, first, batch).around(np.array([position - first]))
        return first + int(begin[0]), first + int(end[0])

    def unbroken(self, loaded: Mapping[str, Any], world: World, position: int) -> int:
        """Return the first position of the run from one on at which weights may change: no window of samples spans it."""
        begin, end = self.window(loaded, world, position)
        return position if position == begin else end

    def _global_batch(self, world: World) -> int:
        return (self.config.batch_size or 1) * world.num_ranks

    def state(self, loaded: Mapping[str, Any], world: World) -> dict[str, Any]:
        """Return the part of a checkpoint that describes the order."""
        settings = self._settings(loaded, world)
        initial = settings.initial_physical_nodes
        batch_size = self.config.batch_size
        return {
            "num_canonical_nodes": settings.num_canonical_nodes,
            "shuffle_seed": settings.shuffle_seed,
            "initial_physical_nodes": world.num_nodes if initial is None else initial,
            "shuffle": self.config.shuffle,
            "shuffle_algo": settings.shuffle_algo,
            "order_version": order_version(settings.shuffle_algo),
            "shuffle_block_size": settings.shuffle_block_size,
            "batching_method": self.config.batching_method,
            "sampling_method": self.config.sampling_method,
            "sampling_granularity": self.config.sampling_granularity,
            "epoch_size": self.epoch_size,
            "weights": self._weights_print,
            "dataset": self._dataset_print,
            "files": self._shard_table.files,
            **({} if self._units_print is None else {"units": self._units_print}),
            **({} if self.balance is None else {"balance": self.balance.name}),
            "global_batch_size": None if batch_size is None else batch_size * world.num_ranks,
            **(
                {}
                if self.mixture is None
                else {"mix": self.mixture.state(loaded.get("mix"), self._global_batch(world))}
            ),
        }

    def check_state(self, state: Mapping[str, Any], world: World) -> dict[str, Any]:
        """Check that a checkpoint whose values are right can be resumed, and return the settings it brings.

        Raises:
            CheckpointError: It cannot.
        """
        settings = settings_of(state)
        if "shuffle_algo" not in state and self.config.shuffle_algo is None:
            settings["shuffle_algo"] = LEGACY_ALGO
        named = self.config.shuffle_algo
        if named is not None and settings.get("shuffle_algo", named) != named:
            raise CheckpointError(
                f"The checkpoint was made with shuffle_algo={settings['shuffle_algo']!r}, the dataset has "
                f"{named!r}. Leave shuffle_algo out to continue with the checkpoint's."
            )
        if (state.get("mix") is None) != (self.mixture is None):
            raise CheckpointError(
                f"The checkpoint was made {'with' if self.mixture is None else 'without'} a schedule of weights (mix), and "
                f"this dataset has {'none' if self.mixture is None else 'one'}. Pass the same."
            )
        check_state(state, self.state(settings, world))
        if self.balance is not None and state["sample_in_epoch"]:
            self._check_batch(state, world, "within windows of which samples change places (balance)")
        if int(state["sample_in_epoch"]) > self.epoch_size + world.num_ranks * (self.config.batch_size or 1):
            raise CheckpointError(
                f"The checkpoint is {state['sample_in_epoch']} samples into the epoch, which has only {self.epoch_size}. "
                "Check epoch_size and the data."
            )
        return {**settings, **self._check_mix(state, world)}

    def _check_mix(self, state: Mapping[str, Any], world: World) -> dict[str, Any]:
        """Return the setting that a checkpoint brings for the schedule."""
        if self.mixture is None:
            return {}
        batch = self._check_batch(state, world, "at which weights change")
        position = self.position(state["epoch"], state["sample_in_epoch"], state.get("skip") or ())
        then, now = {"mix": state["mix"]}, {"mix": self.mixture.resumed(state["mix"], position, batch)}
        begin, end = self.window(then, world, position)
        if begin < position and self.window(now, world, position) != (begin, end):
            raise CheckpointError(
                f"The checkpoint was made {position} samples into the run, amid a window of batches whose samples change "
                f"places (balance), and the schedule differs before its end. Change it from {end} on."
            )
        return now

    def _check_batch(self, state: Mapping[str, Any], world: World, why: str) -> int:
        """Return the global batch size, if a checkpoint has the same."""
        batch = self._global_batch(world)
        if state.get("global_batch_size") != batch:
            raise CheckpointError(
                f"The checkpoint was made with global batches of {state.get('global_batch_size')} samples, {why}; now they "
                f"have {batch}. Use as many ranks times batch_size."
            )
        return batch

    def _settings(self, loaded: Mapping[str, Any], world: World) -> _Settings:
        config = self.config
        algo = config.shuffle_algo or loaded.get("shuffle_algo") or DEFAULT_ALGO
        nodes = loaded.get("num_canonical_nodes") or config.num_canonical_nodes
        canonical = nodes or default_num_canonical_nodes(algo, world.num_nodes)
        block = loaded.get("shuffle_block_size") or config.shuffle_block_size
        return _Settings(
            algo,
            canonical,
            loaded.get("shuffle_seed", config.shuffle_seed),
            block or default_block_size(canonical),
            loaded.get("initial_physical_nodes"),
        )


def _check_unweighted(streams: Sequence[Stream], names: Sequence[str]) -> None:
    for name, stream in zip(names, streams, strict=True):
        for what in ("proportion", "repeat", "choose"):
            if getattr(stream, what) is not None:
                raise ConfigError(
                    f"Stream {name!r} has {what}={getattr(stream, what)}, and there is a schedule (mix), which says how "
                    "much of each stream is drawn. Leave one of them out."
                )


def _fingerprint(*arrays: Any) -> str:
    digest = blake2b(digest_size=8)
    for values in arrays:
        digest.update(values.astype("<i8").tobytes())
        digest.update(b"|")
    return digest.hexdigest()
