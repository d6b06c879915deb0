"""Other weights during a run: from which global batch on, and the same on every rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streaming.core.arguments import as_count
from streaming.core.errors import ConfigError
from streaming.core.world import in_worker
from streaming.dataset.epoch.epochs import Epochs, Start
from streaming.dataset.epoch.ordering import Ordering
from streaming.dataset.epoch.progress import Progress, Reach
from streaming.dataset.live.agreement import Agreement
from streaming.dataset.ranks import DataRanks

__all__ = ["Reweighting"]

SOONEST = "soonest"


class Reweighting:
    """Changes the streams' weights of a run that goes on.

    Args:
        epochs: Where the run is, shared with the workers.
        ordering: The order.
        progress: What this process has yielded.
        ranks: Which ranks get different samples.
    """

    def __init__(self, epochs: Epochs, ordering: Ordering, progress: Progress, ranks: DataRanks) -> None:
        self._epochs = epochs
        self._ordering = ordering
        self._progress = progress
        self._ranks = ranks
        self._reach: Reach | None = None
        self._left: Start | None = None
        self.agreement = Agreement()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what a loader of this process has noted."""
        return {**self.__dict__, "_reach": None, "_left": None}

    def leave(self) -> None:
        """Note that the next iteration begins elsewhere, by a checkpoint."""
        self._reach, self._left = None, self._progress.own().start

    def reach(self, ahead: int) -> Reach | None:
        """Return where a loader that has begun an iteration is to note how far it is; ``None`` without a schedule."""
        if self._ordering.mixture is not None:
            self._reach = Reach(self._epochs.current(), ahead)
        return self._reach

    def set_weights(self, weights: Mapping[str | int, float], at: int | float | str) -> int:
        """Change the weights; see :meth:`StreamingDataset.set_weights`."""
        self._ordering.scheduled()
        if in_worker():
            raise ConfigError("Weights are set in the training process, on every rank: here is a DataLoader worker.")
        batch_size = self._ordering.config.batch_size
        if batch_size is None:
            raise ConfigError("batch_size is needed to set weights: they change at a global batch.")
        world = self._ranks.world()
        batch = batch_size * world.num_ranks
        soonest = self._soonest(batch)
        if at == SOONEST:
            if soonest is None:
                raise ConfigError(
                    "How far the DataLoader's workers are is not known here, so at='soonest' has no answer that is the same "
                    "on every rank. Use StreamingDataLoader, whose workers' batches are counted, or give `at` as samples of "
                    "the run."
                )
            begin = soonest
        else:
            begin = -(-as_count("at", at, 0) // batch) * batch
            if soonest is not None and begin < soonest:
                raise ConfigError(
                    f"at={at!r} is global batch {begin // batch}, which may have been begun: the soonest is "
                    f"{soonest // batch}, at {soonest} samples."
                )
        begin = self._ordering.unbroken(self._epochs.current().settings, world, begin)
        settings = self._ordering.with_weights(self._epochs.current().settings, world, begin, weights)
        self._epochs.set_settings(settings)
        shown = ", ".join(f"{name}={weight:.6g}" for name, weight in weights.items())
        self.agreement.publish(settings["mix"]["digest"], f"{shown} from global batch {begin // batch} on")
        return begin // batch

    def _soonest(self, batch: int) -> int | None:
        """Return the first position of the run whose batch nobody has begun, ``None`` if that is not known here."""
        start, own, reach = self._epochs.current(), self._progress.own(), self._reach
        ordering = self._ordering
        if start.workers:
            return None
        if reach is not None and reach.start.epoch == start.epoch:
            served, ahead = reach.batches, reach.ahead
        elif own.start is not None and own.start is not self._left and own.start.epoch == start.epoch:
            served, ahead = -(-own.yielded // (ordering.config.batch_size or 1)), 0
            start = own.start
        elif self._epochs.has_readers:
            return None
        else:
            coming = self._epochs.pending(self._epochs.next_epoch)
            return ordering.position(coming.epoch, coming.sample_in_epoch, coming.skips)
        begin = start.sample_in_epoch

        def after(batches: int) -> int:
            return ordering.position(start.epoch, begin + batches * batch, start.skips)

        # Batches of the next epoch are not begun before its loader is.
        end = ordering.position(start.epoch + 1, 0, ())
        return after(served + ahead) if ordering.is_endless else min(after(served + ahead), max(end, after(served)))
