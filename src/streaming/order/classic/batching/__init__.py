"""How classic orders mix streams in batches, and the table of everybody's work.

Each method builds ``int64[P, R, W, batches, B]``: the sample ids of every slot, -1 for padding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.registry import batching_methods
from streaming.order.spec import Layout, OrderSpec

__all__ = ["generate_work"]


def generate_work(spec: OrderSpec, layout: Layout, epoch: int, sample_in_epoch: int = 0) -> NDArray[np.int64]:
    """Return the sample ids of every slot of an epoch, or of what is left of it.

    Args:
        spec: The order.
        layout: Nodes, ranks and workers, P, R and W.
        epoch: The epoch.
        sample_in_epoch: Samples already consumed over all ranks.

    Returns:
        ``int64[P, R, W, batches, B]``, -1 for padding.

    Raises:
        ConfigError: The numbers do not fit together.
    """
    return batching_methods[spec.batching_method](spec, layout, epoch, sample_in_epoch)
