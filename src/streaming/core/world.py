"""Where this process stands among nodes, ranks and workers.

Detection happens when it is asked for, never at import. In order: an explicit value, a device mesh,
``torch.distributed`` if the user has initialised it, the launcher's variables (``RANK``, ``WORLD_SIZE``,
``LOCAL_RANK``, ``LOCAL_WORLD_SIZE``), SLURM's variables, and else a single process. ``torch.distributed`` is only
looked at, never initialised or destroyed, and no device is touched.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streaming.core.errors import ConfigError

__all__ = [
    "Ranks",
    "World",
    "detect_ranks",
    "explicit_ranks",
    "ranks_of_mesh",
    "in_worker",
    "worker_of_process",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ranks:
    """The place of a process among the processes of a job.

    Attributes:
        rank: Index of this process, from 0.
        num_ranks: Processes in the job.
        ranks_per_node: Processes on each node; divides ``num_ranks``.
        source: What said so, for the log.
    """

    rank: int = 0
    num_ranks: int = 1
    ranks_per_node: int = 1
    source: str = "single process"

    def __post_init__(self) -> None:
        """Refuse layouts that cannot be.

        Raises:
            ConfigError: The numbers contradict each other.
        """
        if not (0 <= self.rank < self.num_ranks and self.ranks_per_node > 0):
            raise ConfigError(
                f"{self.source} says rank {self.rank} of {self.num_ranks} with {self.ranks_per_node} per "
                "node, which cannot be. Check RANK, WORLD_SIZE and LOCAL_WORLD_SIZE."
            )
        if self.num_ranks % self.ranks_per_node:
            raise ConfigError(
                f"{self.source} says {self.num_ranks} ranks with {self.ranks_per_node} on this node; every "
                "node must have the same number of ranks."
            )


class World:
    """The nodes, ranks and workers of a job, and which worker this is.

    All fields follow from the flat index of the worker; ranks are contiguous per node, workers per rank.

    Args:
        num_nodes: Nodes in the job.
        ranks_per_node: Ranks (processes, devices) on each node.
        workers_per_rank: ``DataLoader`` workers of each rank, at least 1.
        worker: Flat index of this worker, ``rank * workers_per_rank + worker_of_rank``.
    """

    def __init__(self, num_nodes: int, ranks_per_node: int, workers_per_rank: int, worker: int) -> None:
        self.num_nodes = num_nodes
        self.ranks_per_node = ranks_per_node
        self.workers_per_rank = workers_per_rank
        self.worker = worker
        self.workers_per_node: int = ranks_per_node * workers_per_rank
        self.num_ranks: int = num_nodes * ranks_per_node
        self.num_workers: int = self.num_ranks * workers_per_rank
        self.is_multinode: bool = num_nodes > 1
        self.node: int = worker // self.workers_per_node
        self.rank: int = worker // workers_per_rank
        self.rank_of_node: int = self.rank % ranks_per_node
        self.worker_of_node: int = worker % self.workers_per_node
        self.worker_of_rank: int = worker % workers_per_rank
        self.is_leader: bool = worker == 0
        self.is_local_leader: bool = self.worker_of_node == 0

    def __repr__(self) -> str:
        return (
            f"World(num_nodes={self.num_nodes}, ranks_per_node={self.ranks_per_node}, "
            f"workers_per_rank={self.workers_per_rank}, worker={self.worker})"
        )

    def to_json(self) -> dict[str, int | bool]:
        """Return every field by name."""
        return dict(vars(self))

    @classmethod
    def detect(cls) -> World:
        """Look at this process's surroundings (see the module) and return its world."""
        worker, num_workers = worker_of_process()
        return cls.of_ranks(detect_ranks(), num_workers, worker)

    @classmethod
    def of_ranks(cls, ranks: Ranks, workers_per_rank: int, worker_of_rank: int) -> World:
        """Combine a place among ranks with a place among a rank's workers."""
        return cls(
            ranks.num_ranks // ranks.ranks_per_node,
            ranks.ranks_per_node,
            workers_per_rank,
            ranks.rank * workers_per_rank + worker_of_rank,
        )

    def copy(self) -> World:
        """Return an equal world."""
        return World(self.num_nodes, self.ranks_per_node, self.workers_per_rank, self.worker)

    def replicate(self, replication: int) -> World:
        """Return the world in which each ``replication`` consecutive ranks count as one.

        Args:
            replication: Ranks that share their samples, at least 1; divides the number of ranks.

        Raises:
            ConfigError: It is not positive, or does not divide the number of ranks.
        """
        if replication <= 0:
            raise ConfigError(f"replication must be positive, got {replication}.")
        if self.num_ranks % replication:
            raise ConfigError(f"replication={replication} must divide the number of ranks, {self.num_ranks}.")
        num_ranks = self.num_ranks // replication
        if num_ranks % self.ranks_per_node == 0:
            num_nodes, ranks_per_node = num_ranks // self.ranks_per_node, self.ranks_per_node
        else:
            num_nodes, ranks_per_node = 1, num_ranks
        worker = self.rank // replication * self.workers_per_rank + self.worker_of_rank
        return World(num_nodes, ranks_per_node, self.workers_per_rank, worker)

    def detect_workers(self) -> World:
        """Return this world with the workers of the present process."""
        worker, num_workers = worker_of_process()
        return World(self.num_nodes, self.ranks_per_node, num_workers, self.rank * num_workers + worker)


def in_worker() -> bool:
    """Say whether this process is a ``DataLoader`` worker."""
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None


def worker_of_process() -> tuple[int, int]:
    """Return (index of this ``DataLoader`` worker, workers of this rank), or (0, 1) outside a worker."""
    data = sys.modules.get("torch.utils.data")
    info: Any = data.get_worker_info() if data is not None else None
    return (0, 1) if info is None else (int(info.id), int(info.num_workers))


def detect_ranks(environ: Mapping[str, str] | None = None) -> Ranks:
    """Find this process's rank: ``torch.distributed`` if initialised, launcher variables, SLURM, or alone.

    Args:
        environ: Environment to read, by default this process's.

    Returns:
        The place of this process.

    Raises:
        ConfigError: The variables are not numbers or contradict each other.
    """
    env = os.environ if environ is None else environ
    if environ is None:
        found = _from_distributed(env)
        if found is not None:
            return found
    if "WORLD_SIZE" in env or "RANK" in env:
        size = _number(env, "WORLD_SIZE", 1)
        if size > 1 and not env.get("RANK"):
            raise ConfigError(
                f"WORLD_SIZE={size} says that there are several ranks, and RANK does not say which this is: all would get "
                "the same samples. Set RANK in each, as torchrun does, or unset WORLD_SIZE."
            )
        return Ranks(_number(env, "RANK", 0), size, _number(env, "LOCAL_WORLD_SIZE", 1), "RANK/WORLD_SIZE")
    # A batch script that runs python without srun sees SLURM_NTASKS but is one process.
    if "SLURM_PROCID" in env and "SLURM_STEP_ID" in env and _number(env, "SLURM_NTASKS", 1) > 1:
        size = _number(env, "SLURM_NTASKS", 1)
        nodes = _number(env, "SLURM_STEP_NUM_NODES", _number(env, "SLURM_NNODES", 1))
        per_node = size // nodes if nodes > 0 and size % nodes == 0 else 1
        return Ranks(_number(env, "SLURM_PROCID", 0), size, per_node, "SLURM")
    return Ranks()


def _from_distributed(env: Mapping[str, str]) -> Ranks | None:
    dist: Any = sys.modules.get("torch.distributed")
    if dist is None or not dist.is_available() or not dist.is_initialized():
        return None
    size = int(dist.get_world_size())
    per_node = _number(env, "LOCAL_WORLD_SIZE", 0)
    if per_node <= 0 or size % per_node:
        per_node = 1 if per_node <= 0 and size > 1 else size
    return Ranks(int(dist.get_rank()), size, per_node, "torch.distributed")


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"Environment variable {name}={text!r} is not an integer.") from None


def ranks_of_mesh(mesh: Any, data_dims: Sequence[str], ranks_per_node: int = 1) -> Ranks:
    """Return the data-parallel place of this process in a ``DeviceMesh``.

    Processes that differ only in other dimensions (tensor, sequence, pipeline parallel ...) get the same place, and
    so the same samples.

    Args:
        mesh: A ``torch.distributed.device_mesh.DeviceMesh`` with named dimensions.
        data_dims: Names of the dimensions over which data is split, outermost first.
        ranks_per_node: Processes on each node.

    Raises:
        ConfigError: A name is not a dimension of the mesh, or this process is not in the mesh.
    """
    names: list[str] = list(mesh.mesh_dim_names or [])
    unknown = [name for name in data_dims if name not in names]
    if unknown or not data_dims:
        raise ConfigError(
            f"data dimensions {list(data_dims)} must be names of the mesh's dimensions, which are {names}."
        )
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        raise ConfigError("This process is not part of the device mesh it was given.")
    rank, size = 0, 1
    for name in data_dims:
        dim = names.index(name)
        extent = int(mesh.size(dim))
        rank = rank * extent + int(coordinate[dim])
        size *= extent
    shared = max(1, int(mesh.size()) // size)
    per_node = max(1, ranks_per_node // shared)
    if size % per_node:
        per_node = 1
    return Ranks(rank, size, per_node, f"device mesh dimensions {', '.join(data_dims)}")


def explicit_ranks(
    mesh: Any,
    data_dims: Sequence[str] | None,
    data_rank: int | None,
    data_size: int | None,
    replication: int | None,
) -> Ranks | None:
    """Return the data-parallel place that the user names, or ``None`` if nothing is named.

    Args:
        mesh: A ``DeviceMesh``, or ``None``.
        data_dims: Names of its data dimensions.
        data_rank: Place among the ranks that get different samples, or ``None``.
        data_size: Number of those.
        replication: Given besides, it would say the same twice.

    Raises:
        ConfigError: The arguments are incomplete or contradict each other.
    """
    if (mesh is None) != (data_dims is None):
        raise ConfigError("device_mesh and data_parallel_dims belong together: give both or neither.")
    if (data_rank is None) != (data_size is None):
        raise ConfigError("data_parallel_rank and data_parallel_size belong together: give both or neither.")
    given = [mesh is not None, data_rank is not None, replication is not None]
    if sum(given) > 1:
        raise ConfigError("Give only one of device_mesh, data_parallel_rank and replication.")
    per_node = detect_ranks().ranks_per_node
    if mesh is not None and data_dims is not None:
        return ranks_of_mesh(mesh, data_dims, per_node)
    if data_rank is None or data_size is None:
        return None
    if data_size % per_node:
        per_node = 1
    return Ranks(data_rank, data_size, per_node, "data_parallel_rank")
