"""Ranks and collectives by the names that user code knows.

Nothing here ever initialises or destroys ``torch.distributed``: where the user has not, the collectives do nothing.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TypeVar

from streaming.core.errors import WorkerError
from streaming.core.world import detect_ranks

__all__ = [
    "all_gather",
    "all_gather_object",
    "barrier",
    "broadcast",
    "get_local_rank",
    "get_local_world_size",
    "get_rank",
    "get_world_size",
    "maybe_init_dist",
]

T = TypeVar("T")


def get_rank() -> int:
    """Return the rank of this process, 0 if it is alone.

    Example:
        >>> get_rank()
        0
    """
    return detect_ranks().rank


def get_world_size() -> int:
    """Return the number of ranks, 1 if this process is alone.

    Example:
        >>> get_world_size()
        1
    """
    return detect_ranks().num_ranks


def get_local_rank() -> int:
    """Return the rank of this process within its node, 0 if it is alone.

    Example:
        >>> get_local_rank()
        0
    """
    local_rank = os.environ.get("LOCAL_RANK")
    if local_rank:
        return int(local_rank)
    ranks = detect_ranks()
    return ranks.rank % ranks.ranks_per_node


def get_local_world_size() -> int:
    """Return the number of ranks on this node, 1 if this process is alone.

    Example:
        >>> get_local_world_size()
        1
    """
    return detect_ranks().ranks_per_node


def maybe_init_dist() -> bool:
    """Return False: process groups are the user's to initialise.

    Example:
        >>> maybe_init_dist()
        False
    """
    return False


def barrier() -> None:
    """Wait until every rank is here, if ``torch.distributed`` is initialised.

    Example:
        >>> barrier()  # alone: goes on at once
    """
    dist = _initialised()
    if dist is not None:
        dist.barrier()


def broadcast(tensor: Any, src: int) -> None:
    """Copy a tensor from one rank to all, in place, if ``torch.distributed`` is initialised.

    Args:
        tensor: What to send, or where to receive it.
        src: The rank that sends.

    Example:
        >>> broadcast(torch.zeros(3), src=0)
    """
    dist = _initialised()
    if dist is not None:
        dist.broadcast(tensor, src)


def all_gather(tensor_list: list[Any], tensor: Any) -> None:
    """Collect a tensor of every rank, if ``torch.distributed`` is initialised.

    Args:
        tensor_list: Where to receive them, by rank.
        tensor: What this rank sends.

    Example:
        >>> all_gather([torch.zeros(3)], torch.ones(3))
    """
    dist = _initialised()
    if dist is not None:
        dist.all_gather(tensor_list, tensor)


def all_gather_object(obj: T) -> list[T]:
    """Collect an object of every rank.

    Args:
        obj: What this rank sends; it is pickled.

    Returns:
        The objects by rank.

    Raises:
        WorkerError: (a ``RuntimeError``) There are several ranks, and ``torch.distributed`` is not initialised.

    Example:
        >>> all_gather_object('alone')
        ['alone']
    """
    dist = _initialised()
    if dist is not None:
        gathered: list[Any] = [None] * int(dist.get_world_size())
        dist.all_gather_object(gathered, obj)
        return gathered
    if get_world_size() == 1:
        return [obj]
    raise WorkerError(
        f"all_gather_object needs torch.distributed to be initialised: there are {get_world_size()} ranks. Call "
        "torch.distributed.init_process_group first."
    )


def _initialised() -> Any:
    dist: Any = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None
