"""How many samples a run serves, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.order.skips import Skips
from streaming.planning.demand import Run, Stretch

__all__ = ["Counts", "StreamCounts", "count"]


@dataclass(frozen=True)
class Counts:
    """Samples and steps of a run.

    Attributes:
        steps: Global batches.
        epochs: Epochs, or parts of them.
        global_batch: Samples of a full batch over all ranks that get different samples.
        samples: Samples that are served, over all these ranks.
        padding: How many of them are served again so that all ranks serve equally many.
        dropped: Samples that are drawn and fill no whole batch.
        size: Different samples that there are.
    """

    steps: int
    epochs: int
    global_batch: int
    samples: int
    padding: int
    dropped: int
    size: int


@dataclass(frozen=True)
class StreamCounts:
    """What a stream gives.

    Attributes:
        name: Its name, or its place.
        size: Different samples that it has.
        drawn: Samples that are drawn from it in the run.
    """

    name: str
    size: int
    drawn: int

    @property
    def passes(self) -> float:
        """How often each of its samples is drawn, in the mean."""
        return self.drawn / self.size if self.size else 0.0

    @property
    def repeats(self) -> int:
        """How many of those that are drawn were drawn before."""
        return max(0, self.drawn - self.size)


def count(run: Run, stretches: Sequence[Stretch], names: Sequence[str]) -> tuple[Counts, tuple[StreamCounts, ...]]:
    """Return what a run serves, and what each stream gives.

    Args:
        run: The run.
        stretches: Its parts.
        names: The streams' names.
    """
    samples = padding = dropped = 0
    spec = stretches[0].order.spec
    drawn = np.zeros(spec.num_streams)
    for number, stretch in enumerate(stretches):
        served, again, left = _of_stretch(stretch, Skips(()) if number else run.skips)
        samples, padding, dropped = samples + served, padding + again, dropped + left
        drawn += _drawn(stretch, served - again + left, Skips(()) if number else run.skips)
    counts = Counts(
        sum(stretch.steps for stretch in stretches),
        len(stretches),
        stretches[0].order.global_batch,
        samples,
        padding,
        dropped,
        spec.num_samples,
    )
    sizes = spec.samples_per_stream.tolist()
    rows = zip(names, sizes, np.rint(drawn).astype(np.int64).tolist(), strict=True)
    return counts, tuple(StreamCounts(*row) for row in rows)


def _of_stretch(stretch: Stretch, skips: Skips) -> tuple[int, int, int]:
    """Return samples that are served, those of them that pad, and those that fill no batch."""
    order, spec = stretch.order, stretch.order.spec
    ranks, full = order.layout.num_ranks, stretch.steps * order.global_batch
    if not stretch.is_whole:
        return full, 0, 0
    total = spec.epoch_size if order.lanes is None else order.lanes.total
    skipped = sum(end - begin for begin, end in skips.ranges)
    left = total - stretch.begin - skipped
    if spec.batching_method != "random" or order.scheduled is not None:
        return full, 0, max(0, spec.epoch_size - skipped - stretch.begin - full)
    served = min(full, -(-left // ranks) * ranks)
    return served, served - left, 0


def _drawn(stretch: Stretch, samples: int, skips: Skips) -> NDArray[np.float64]:
    """Return ``float64[K]``: samples that each stream gives; in a part of an epoch, in proportion to all of it."""
    order, spec = stretch.order, stretch.order.spec
    if order.scheduled is None:
        return spec.choose.astype(np.float64) * (samples / max(1, spec.epoch_size))
    begin = order.scheduled.begin + skips.position_after(stretch.begin)
    end = order.scheduled.begin + skips.position_after(stretch.begin + stretch.steps * order.global_batch)
    given = order.scheduled.route.given
    return (given(end) - given(begin)).astype(np.float64)
