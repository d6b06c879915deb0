"""What trainers wrap around loaders and datasets, recognised where it would lose data silently."""

from __future__ import annotations

import sys

from streaming.core.errors import ConfigError

__all__ = ["is_read_ahead", "refuse_double_sharding"]

_MODULE = "accelerate.data_loader"
_READS_AHEAD = "ray.train.torch.train_loop_utils"


def is_read_ahead() -> bool:
    """Say whether the caller's caller is Ray Train's wrapper, which takes a batch before the one it hands out is used.

    What training has consumed is then one batch less than what the loader has yielded.
    """
    frame = sys._getframe(1).f_back  # pyright: ignore[reportPrivateUsage]
    return frame is not None and frame.f_globals.get("__name__") == _READS_AHEAD


def refuse_double_sharding(num_ranks: int) -> None:
    """Refuse to be iterated by Accelerate's wrappers in a job of several ranks.

    They would keep one of every ``num_ranks`` batches of this rank's share, or read only the first rank's share, and so
    train on a part of the data without saying so.

    Raises:
        ConfigError: One of them is on the stack.
    """
    if num_ranks < 2 or _MODULE not in sys.modules:
        return
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if frame.f_globals.get("__name__") == _MODULE:
            raise ConfigError(
                f"Accelerate would split this StreamingDataset over the {num_ranks} ranks a second time, and train on part "
                "of it. Use a StreamingDataLoader, which `accelerator.prepare` leaves as it is, or do not prepare "
                "the loader."
            )
        frame = frame.f_back
