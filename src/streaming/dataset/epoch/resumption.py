"""Checkpoints of a dataset: where a run is in its epoch, and which batches it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from streaming.core.arguments import as_integer
from streaming.core.errors import CheckpointError, ConfigError
from streaming.core.world import in_worker, worker_of_process
from streaming.dataset.epoch.epochs import Epochs, Start
from streaming.dataset.epoch.ordering import Ordering
from streaming.dataset.epoch.progress import Progress
from streaming.dataset.epoch.state import drawn_by_workers, restored_samples
from streaming.dataset.epoch.values import check_values
from streaming.dataset.ranks import DataRanks
from streaming.order.skips import Skips
from streaming.order.spec import Balancing

__all__ = ["Resumption"]


class Resumption:
    """Knows where a run is in its epoch, and continues it elsewhere.

    Args:
        epochs: Which epoch it is.
        ordering: What the order depends on.
        progress: What this process has yielded.
        ranks: Which ranks get different samples.
    """

    def __init__(self, epochs: Epochs, ordering: Ordering, progress: Progress, ranks: DataRanks) -> None:
        self._epochs = epochs
        self._ordering = ordering
        self._progress = progress
        self._ranks = ranks
        self._handed_out = 0, 1  # samples, to this rank's training in this iteration; and those that a batch must have
        self._begun_with: tuple[int, str | None] = 0, None  # an iteration, and its balance if that was set anew since

    def state(self, num_samples: int | None = None, from_beginning: bool = False) -> dict[str, Any]:
        """Return a checkpoint; see :meth:`StreamingDataset.state_dict`."""
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
        if from_beginning and not num_samples and self._is_used_up(start):
            return self._state_at(self._epochs.pending(start.epoch + 1), 0)
        return self._state_at(start, num_samples + (0 if from_beginning else start.sample_in_epoch))

    def state_of_workers(self, drawn: Sequence[int], position: int | None = None) -> dict[str, Any]:
        """Return a checkpoint by what each worker has drawn; see :meth:`StreamingDataset.state_of_workers`."""
        start = self._epochs.current()
        world = self._ranks.world()
        if position is not None:
            return self._state_at(start, start.sample_in_epoch + position * world.num_ranks)
        own = {"rank": [world.rank, world.num_ranks], "drawn": list(drawn)}
        return {**self._state_at(start, start.sample_in_epoch), "workers": own}

    def _own_state(self) -> dict[str, Any]:
        """Return a checkpoint by what this process has yielded."""
        progress = self._progress.own()
        start = self._epochs.current()
        if progress.start is None:
            return self.state(0)
        if in_worker():
            start = progress.start
            order = self._ordering.state(start.settings, self._ranks.world())
            position = {"epoch": start.epoch, "sample_in_epoch": start.sample_in_epoch}
            return {**position, **order, "worker": [*worker_of_process(), progress.yielded]}
        if progress.start.epoch != start.epoch:
            return self.state(0)
        if start.workers:
            return self.state_of_workers([progress.yielded])
        return self.state(progress.yielded * self._ranks.world().num_ranks)

    def set_balance(self, balance: Balancing | None) -> None:
        """Set how samples are dealt from the next iteration on; the present one has begun with what was set before."""
        begun, old = self._epochs.begun, self._ordering.balance
        if self._begun_with[0] != begun:
            self._begun_with = begun, old and old.name
        self._ordering.balance = balance
        self._epochs.set_balance(balance and balance.name)

    def _state_at(self, start: Start, sample_in_epoch: int) -> dict[str, Any]:
        begun, balance = self._begun_with
        now = self._ordering.balance and self._ordering.balance.name
        if 0 < sample_in_epoch < self._ordering.epoch_size and begun and begun == self._epochs.begun and balance != now:
            raise CheckpointError(
                f"Epoch {start.epoch} has begun with balance {balance!r}, and {now!r} was set since: a checkpoint amid it "
                "would be continued with other samples. Set a balance between epochs."
            )
        return {
            "epoch": start.epoch,
            "sample_in_epoch": sample_in_epoch,
            **self._ordering.state(start.settings, self._ranks.world()),
            **({"skip": start.skips} if start.skips else {}),
        }

    def resume(self, state: Any) -> None:
        """Have the next iteration continue where a checkpoint was made; see :meth:`StreamingDataset.load_state_dict`."""
        state = check_values(state, self._ordering.most_nodes)
        world = self._ranks.world()
        settings = self._ordering.check_state(state, world)
        workers = drawn_by_workers(state.get("workers"), world.rank, world.num_ranks)
        self._progress.own().restore(restored_samples(state.get("worker"), in_worker()))
        skips = Skips(state.get("skip") or ()).ranges
        self._epochs.resume(Start(int(state["epoch"]), int(state["sample_in_epoch"]), settings, skips, workers))

    def hand_out(self, samples: int, least: int) -> None:
        """Note what a loader has handed out; see :meth:`StreamingDataset.hand_out`."""
        self._handed_out = samples, least

    def _is_used_up(self, start: Start) -> bool:
        """Say whether a loader has handed out all that the present iteration has."""
        samples, least = self._handed_out
        if not samples or start.workers or self._ordering.is_endless:
            return False
        after = start.sample_in_epoch + samples * self._ranks.world().num_ranks
        return self._left(replace(start, sample_in_epoch=min(after, self._ordering.epoch_size))) < least

    def begin_at(self, epoch: int) -> None:
        """Begin with the epoch at which a trainer begins; see :meth:`StreamingDataset.begin_at`."""
        if self._epochs.is_fresh and not self._ordering.is_endless:
            self._epochs.next_epoch = epoch

    def epoch_over(self, least: int) -> int | None:
        """Return the epoch of which nothing is left; see :meth:`StreamingDataset.epoch_over`."""
        start = self._epochs.pending(self._epochs.next_epoch)
        is_over = start.sample_in_epoch and not self._ordering.is_endless and self._left(start) < least
        return start.epoch if is_over else None

    def _left(self, start: Start) -> int:
        """Return how many samples this rank has left, at most; up to a batch, exactly."""
        ids = self._ordering.worker_ids(start, self._ranks.world())
        left = len(ids)
        return left if left > (self._ordering.config.batch_size or 1) else int((ids.ids(0, left) >= 0).sum())

    def skip(self, batches: Sequence[tuple[int, int]], epoch: int | None) -> None:
        """Leave ranges of global batches of an epoch out; see :meth:`StreamingDataset.skip_batches`."""
        batch_size = self._ordering.config.batch_size
        if batch_size is None:
            raise ConfigError("batch_size is needed to skip batches.")
        epoch = self._ordering.coming_epoch(self._epochs.next_epoch) if epoch is None else as_integer("epoch", epoch, 0)
        pending = self._epochs.pending(epoch)
        try:
            ranges = [(as_integer("batches", begin), as_integer("batches", end)) for begin, end in batches]
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"batches must be pairs of first batch and one past the last, such as [(100, 120)], got {batches!r}."
            ) from error
        new = Skips.of_batches(ranges, batch_size * self._ranks.world().num_ranks)
        position = Skips(pending.skips).position_after(pending.sample_in_epoch)
        if pending.sample_in_epoch and new and new.ranges[0][0] < position:
            raise ConfigError(
                f"Batches to skip must lie ahead: the checkpoint is {position} samples into epoch {epoch}, the range begins "
                f"at sample {new.ranges[0][0]}."
            )
        self._epochs.set_skips(epoch, Skips([*pending.skips, *new.ranges]).ranges)
