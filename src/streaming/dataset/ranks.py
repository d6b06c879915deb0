"""Which part of an epoch this process reads: its place among the ranks that get different samples."""

from __future__ import annotations

from typing import Any

from streaming.core.world import Ranks, World, detect_ranks, explicit_ranks
from streaming.dataset.config import ParallelConfig

__all__ = ["DataRanks"]


class DataRanks:
    """The ranks of a job, of which those that get the same samples count as one.

    Args:
        config: What the user said about them. What is left open is looked up each time that it is asked for.

    Raises:
        ConfigError: It is incomplete, contradicts itself, or does not fit the job.
    """

    def __init__(self, config: ParallelConfig) -> None:
        self._named = explicit_ranks(
            config.device_mesh,
            config.data_parallel_dims,
            config.data_parallel_rank,
            config.data_parallel_size,
            config.replication,
        )
        self._of_parent: Ranks | None = None
        self.replication = config.replication
        if self.replication is not None:
            World.detect().replicate(self.replication)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle with the rank of this process: a spawned worker cannot look it up in ``torch.distributed``."""
        return {**self.__dict__, "_of_parent": self._of_parent or detect_ranks()}

    def ranks(self) -> Ranks:
        """Return this process's place in the job."""
        return self._named or self._of_parent or detect_ranks()

    def world(self) -> World:
        """Return the world in which ranks that get the same samples count as one, without workers."""
        world = World.of_ranks(self.ranks(), 1, 0)
        return world if self.replication is None else world.replicate(self.replication)
