"""Samples of all streams mixed as the shuffle has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.epoch import ClassicEpoch
from streaming.order.spec import Layout, OrderSpec

__all__ = ["generate_work_random_batching"]


def generate_work_random_batching(
    spec: OrderSpec, layout: Layout, epoch: int, sample_in_epoch: int
) -> NDArray[np.int64]:
    """See :func:`streaming.order.classic.batching.generate_work`."""
    return ClassicEpoch(spec, epoch).work(layout, sample_in_epoch)
