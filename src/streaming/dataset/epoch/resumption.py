"""Checkpoints of a dataset, and asking or changing what an epoch holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streaming.core.arguments import as_integer, optional_integers
from streaming.core.errors import CheckpointError, ConfigError
from streaming.core.world import World, in_worker, worker_of_process
from streaming.dataset.epoch.state import drawn_by_workers, restored_samples
from streaming.dataset.epoch.values import check_values
from streaming.order.skips import Skips

if TYPE_CHECKING:
    from streaming.dataset.epoch.epochs import Epochs, Start
    from streaming.dataset.epoch.ordering import Ordering
    from streaming.dataset.epoch.progress import Progress
    from streaming.order.queries.inspect import EpochInspector

__all__ = ["Resumable"]


class Resumable:
    """The part of a ``StreamingDataset`` that knows where a run is in its epoch."""

    if TYPE_CHECKING:
        batch_size: int | None
        _epochs: Epochs
        _ordering: Ordering
        _progress: Progress

        @property
        def num_data_ranks(self) -> int:
            """Number of ranks that get different samples."""
            ...

        def _parallel_world(self) -> World: ...

    @property
    def next_epoch(self) -> int:
        """The epoch that the next iteration will be; shared with this dataset's workers."""
        return self._epochs.next_epoch

    @next_epoch.setter
    def next_epoch(self, epoch: int) -> None:
        self._epochs.next_epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration the given epoch. Setting the same epoch again changes nothing.

        An epoch that a loaded checkpoint is about to continue is still continued where the checkpoint says.

        Raises:
            ConfigError: The epoch is negative.
        """
        self._epochs.set_epoch(as_integer("epoch", epoch, 0))

    def state_dict(self, num_samples: int | None = None, from_beginning: bool = False) -> dict[str, Any]:
        """Return a checkpoint.

        Without ``num_samples``, the samples that this process itself has yielded count: right for a dataset that is iterated
        directly, and in a ``DataLoader`` worker, where the checkpoint is that worker's own. Loaders that count what training
        has consumed, as ``StreamingDataLoader`` does, pass it.

        Args:
            num_samples: Samples that training has consumed over all ranks: in this iteration, or, with
                ``from_beginning``, in the epoch.
            from_beginning: What ``num_samples`` counts from.

        Returns:
            Plain numbers and text by name, under 1 KB: where the run is, and what the order depends on.

        Example:
            >>> dataset = StreamingDataset(local='data', batch_size=4)
            >>> for _, sample in zip(range(60), dataset):
            ...     pass
            >>> state = dataset.state_dict()
            >>> state['epoch'], state['sample_in_epoch']
            (0, 60)
        """
        if num_samples is None:
            return self._own_state()
        num_samples = as_integer("num_samples", num_samples, 0)
        start = self._epochs.current()
        if start.workers and not from_beginning:
            if num_samples:
                raise CheckpointError(
                    "This epoch continues a checkpoint that counts what each worker has drawn, so that a number of samples "
                    "does not say where training is. Take the checkpoint from StreamingDataLoader.state_dict()."
                )
            return self.state_of_workers(start.workers)
        return self._state_at(start, num_samples + (0 if from_beginning else start.sample_in_epoch))

    def state_of_workers(self, drawn: Sequence[int], position: int | None = None) -> dict[str, Any]:
        """Return a checkpoint by what each ``DataLoader`` worker of this rank has drawn.

        Args:
            drawn: Samples that each has drawn of its own, counted from where the iteration began that now is, or began that
                a loaded checkpoint of this kind was taken in.
            position: How many samples of this rank that are, if they are the first of its order and every rank is as far:
                the checkpoint is then one of every rank, for any number of ranks and workers. ``None``: it is this rank's
                own, for as many workers.
        """
        start = self._epochs.current()
        if position is not None:
            return self._state_at(start, start.sample_in_epoch + position * self.num_data_ranks)
        world = self._parallel_world()
        own = {"rank": [world.rank, world.num_ranks], "drawn": list(drawn)}
        return {**self._state_at(start, start.sample_in_epoch), "workers": own}

    def _state_at(self, start: Start, sample_in_epoch: int) -> dict[str, Any]:
        return {
            "epoch": start.epoch,
            "sample_in_epoch": sample_in_epoch,
            **self._ordering.state(start.settings, self._parallel_world()),
            **({"skip": start.skips} if start.skips else {}),
        }

    def present_start(self) -> Start:
        """Return where the present iteration started in its epoch, or, before any, the coming one will."""
        return self._epochs.current()

    def drawn_here(self) -> tuple[Start | None, int]:
        """Return where the present iteration of this very process started, and how many samples it has given since."""
        progress = self._progress.own()
        return progress.start, progress.yielded

    def _own_state(self) -> dict[str, Any]:
        """Return a checkpoint by what this process has yielded."""
        progress = self._progress.own()
        start = self._epochs.current()
        if progress.start is None:
            return self.state_dict(0)
        worker, num_workers = worker_of_process()
        if in_worker():
            start = progress.start
            state = self._ordering.state(start.settings, self._parallel_world())
            return {
                "epoch": start.epoch,
                "sample_in_epoch": start.sample_in_epoch,
                **state,
                "worker": [worker, num_workers, progress.yielded],
            }
        if progress.start.epoch != start.epoch:
            return self.state_dict(0)
        if start.workers:
            return self.state_of_workers([progress.yielded])
        return self.state_dict(progress.yielded * self.num_data_ranks)

    def load_state_dict(self, obj: Mapping[str, Any]) -> None:
        """Have the next iteration continue where a checkpoint was made.

        Call it on every rank before iterating. The number of nodes, ranks and workers may differ from that of the run
        that made it, as long as the global batch is the same.

        Args:
            obj: What :meth:`state_dict` returned, here or in the original library.

        Raises:
            CheckpointError: It does not fit the dataset or its arguments; the text says what differs.

        Example:
            >>> dataset = StreamingDataset(local='data', batch_size=4)
            >>> for _, sample in zip(range(60), dataset):
            ...     pass
            >>> resumed = StreamingDataset(local='data', batch_size=4)
            >>> resumed.load_state_dict(dataset.state_dict())
            >>> len(list(resumed))
            4
        """
        obj = check_values(obj, self._ordering.epoch_size)
        world = self._parallel_world()
        settings = self._ordering.check_state(obj, world)
        workers = drawn_by_workers(obj.get("workers"), world.rank, world.num_ranks)
        self._progress.own().restore(restored_samples(obj.get("worker"), in_worker()))
        skips = Skips(obj.get("skip") or ()).ranges
        self._epochs.resume(int(obj["epoch"]), int(obj["sample_in_epoch"]), settings, skips, workers)

    def skip_batches(self, batches: Sequence[tuple[int, int]], epoch: int | None = None) -> None:
        """Leave ranges of global batches of an epoch out, on every rank: the data behind a loss spike, say.

        Call it on every rank before iterating, after loading a checkpoint if there is one. Checkpoints remember it.

        Args:
            batches: Pairs of first global batch of the epoch and one past the last. They are added to those that are left
                out already.
            epoch: The epoch, by default the one that is iterated next.

        Raises:
            ConfigError: A range is empty, or lies in the past of the checkpoint that is resumed.

        Example:
            >>> dataset = StreamingDataset(local='data', batch_size=4)
            >>> dataset.skip_batches([(0, 15)])
            >>> [sample['text'] for sample in dataset]
            ['text 60', 'text 61', 'text 62', 'text 63']
        """
        if self.batch_size is None:
            raise ConfigError("batch_size is needed to skip batches.")
        epoch = self.next_epoch if epoch is None else as_integer("epoch", epoch, 0)
        pending = self._epochs.pending(epoch)
        try:
            ranges = [(as_integer("batches", begin), as_integer("batches", end)) for begin, end in batches]
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"batches must be pairs of first batch and one past the last, such as [(100, 120)], got {batches!r}."
            ) from error
        new = Skips.of_batches(ranges, self.batch_size * self.num_data_ranks)
        position = Skips(pending.skips).position_after(pending.sample_in_epoch)
        if pending.sample_in_epoch and new and new.ranges[0][0] < position:
            raise ConfigError(
                f"Batches to skip must lie ahead: the checkpoint is {position} samples into epoch {epoch}, the range begins "
                f"at sample {new.ranges[0][0]}."
            )
        self._epochs.set_skips(epoch, Skips([*pending.skips, *new.ranges]).ranges)

    def inspect_epoch(
        self, epoch: int | None = None, num_nodes: int | None = None, ranks_per_node: int | None = None
    ) -> EpochInspector:
        """Ask which samples each global batch of an epoch holds, where a sample comes, and which shards a node needs when.

        Args:
            epoch: The epoch, by default the one that is iterated next.
            num_nodes: Nodes of the job that is asked about, by default this one's.
            ranks_per_node: Its ranks a node that get different samples, by default this job's.

        Raises:
            ConfigError: ``batch_size`` was not given, or the order does not exist for that layout.

        Example:
            >>> epoch = StreamingDataset(local='data', batch_size=4).inspect_epoch(0, num_nodes=2, ranks_per_node=1)
            >>> epoch.batch(0).shape  # ranks, samples of each
            (2, 4)
        """
        from streaming.order.queries.inspect import EpochInspector

        if self.batch_size is None:
            raise ConfigError("batch_size is needed to inspect an epoch: the order of samples depends on it.")
        world = self._parallel_world()
        nodes, ranks, asked = optional_integers(
            num_nodes=(num_nodes, 1), ranks_per_node=(ranks_per_node, 1), epoch=(epoch, 0)
        )
        world = World(nodes or world.num_nodes, ranks or world.ranks_per_node, 1, 0)
        epoch = self.next_epoch if asked is None else asked
        spec = self._ordering.spec(self._epochs.pending(epoch).settings, world)
        return EpochInspector(spec, epoch, world.num_nodes, world.ranks_per_node)
