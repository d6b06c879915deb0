"""The table of a mixture that changes during a run: which weights the streams have from which position on.

Positions count the samples of the whole run, over all ranks and epochs. A table is a list of records, each in force until
the next begins; what a record does at a position depends on it and on those before, never on those after. So records may be
added at positions that lie ahead, and the order of what lies behind stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["HORIZON", "RAMP_STEPS", "Record", "Steps", "steps_of"]

#: The end of runs that have none.
HORIZON = 1 << 44
#: Steps of a ramp, if it has as many global batches: each changes a weight by at most a hundredth of the way.
RAMP_STEPS = 100


@dataclass(frozen=True)
class Record:
    """Weights from a position on. Legend: K streams.

    Attributes:
        begin: First position.
        end: Where it was meant to end when it was made; the streams' shares are exact there. The next record may begin
            earlier.
        weights: ``K`` shares, summing to 1.
        to: Those that a ramp reaches at its end, ``None`` if the weights stay.
    """

    begin: int
    end: int
    weights: tuple[float, ...]
    to: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Steps:
    """Stretches of constant weights. Legend: T steps, K streams.

    Attributes:
        begin: ``int64[T]``, first position.
        end: ``int64[T]``, where the shares are exact.
        until: ``int64[T]``, where the next begins: ``end`` or earlier.
        weights: ``float64[T, K]``, summing to 1.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    until: NDArray[np.int64]
    weights: NDArray[np.float64]


def steps_of(records: Sequence[Record], global_batch: int) -> Steps:
    """Return the steps of a table: one for a record, several for a ramp, each of whole global batches.

    Args:
        records: By position, the first at 0.
        global_batch: Samples of a batch over all ranks; positions of ramps are multiples of it.
    """
    rows: list[tuple[int, int, int]] = []
    weights: list[NDArray[np.float64]] = []
    for record, until in zip(records, [*(record.begin for record in records[1:]), HORIZON], strict=True):
        start = np.array(record.weights, np.float64)
        batches = (record.end - record.begin) // global_batch
        count = 1 if record.to is None else max(1, min(batches, RAMP_STEPS))
        cuts = [record.begin + global_batch * (batches * i // count) for i in range(count)] + [record.end]
        for i, (begin, end) in enumerate(pairwise(cuts)):
            if begin >= until:
                break
            rows.append((begin, end, min(end, until)))
            weights.append(start if record.to is None else start + (np.array(record.to) - start) * ((i + 0.5) / count))
    begin, end, until = np.array(rows, np.int64).T.copy()
    return Steps(begin, end, until, np.stack(weights))
