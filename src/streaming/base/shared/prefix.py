"""A number that sets one job's names in shared memory apart from others'."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from streaming.base.constant import LOCALS, TICK
from streaming.base.shared.memory import SharedMemory, list_names
from streaming.core.errors import ConfigError, WorkerError
from streaming.core.process.holder import is_running
from streaming.core.world import World

__all__ = ["get_shm_prefix"]

_TIMEOUT_S = 60.0


def _get_path(prefix_int: int, name: str) -> str:
    """Return a name with its prefix."""
    return f"{prefix_int:06}_{name}"


def get_shm_prefix(
    streams_local: Sequence[str], streams_remote: Sequence[str | None], world: World, retry: int = 100
) -> tuple[int, SharedMemory]:
    """Agree on a prefix with the other processes of this node that use the same local directories.

    Args:
        streams_local: The streams' local directories.
        streams_remote: The streams' remotes, ``None`` for those that are only local.
        world: This process's place; its local leader chooses.
        retry: Looks, beyond the first, at directories that another job still has before that is an error.

    Returns:
        The prefix, and the shared memory that holds it for as long as it is wanted.

    Raises:
        ConfigError: Two streams have the same local directory, another job has it with a remote, or ``retry`` is
            negative.
        WorkerError: The local leader did not choose in time.

    Example:
        >>> from streaming.base.world import World
        >>> prefix, memory = get_shm_prefix(['cache'], ['s3://bucket/data'], World.detect())
        >>> prefix >= 0
        True
        >>> memory.cleanup()
    """
    if retry < 0:
        raise ConfigError(f"retry must not be negative, got {retry}.")
    mine = [os.path.abspath(local) for local in streams_local]
    if len(set(mine)) != len(mine):
        raise ConfigError(f"Every stream needs a local directory of its own, got {mine}.")
    if world.is_local_leader:
        return _choose(mine, streams_remote, retry)
    return _join(mine)


def _choose(mine: list[str], remotes: Sequence[str | None], retry: int) -> tuple[int, SharedMemory]:
    shared = {local for local, remote in zip(mine, remotes, strict=True) if remote is not None}
    taken: set[str] = set()
    for _ in range(retry + 1):
        taken = {local for _, locals_ in _registered() for local in locals_}
        if not shared & taken:
            break
        time.sleep(TICK)
    else:
        raise ConfigError(
            f"Another job on this node already uses {', '.join(sorted(shared & taken))}. Give this one other local "
            "directories."
        )
    prefix = 0
    while True:
        data = _pack(mine)
        try:
            memory = SharedMemory(_get_path(prefix, LOCALS), True, len(data))
        except FileExistsError:
            prefix += 1
            continue
        memory.buf[4:] = data[4:]
        memory.buf[:4] = data[:4]  # last: from now on it counts
        return prefix, memory


def _join(mine: list[str]) -> tuple[int, SharedMemory]:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        for prefix, locals_ in _registered():
            if locals_ == mine:
                return prefix, SharedMemory(_get_path(prefix, LOCALS), False)
        time.sleep(TICK)
    raise WorkerError(
        f"The local leader did not register {mine} within {_TIMEOUT_S:g} s: it died or has other streams."
    )


def _registered() -> Iterator[tuple[int, list[str]]]:
    """Yield prefix and directories of the jobs that live; remove what those that were killed left."""
    for name in list_names():
        number, _, kind = name.partition("_")
        if kind != LOCALS or not number.isdigit():
            continue
        try:
            memory = SharedMemory(name, False, auto_cleanup=False)
        except FileNotFoundError:
            continue
        owner, locals_ = _unpack(bytes(memory.buf))
        memory.created = owner is not None and not is_running(owner)
        memory.cleanup()
        if owner is not None and is_running(owner):
            yield int(number), locals_


def _pack(dirnames: Sequence[str]) -> bytes:
    text = "\0".join([*dirnames, str(os.getpid())]).encode()
    return (4 + len(text)).to_bytes(4, "little") + text


def _unpack(data: bytes) -> tuple[int | None, list[str]]:
    size = int.from_bytes(data[:4], "little")
    if not size:
        return None, []  # its maker has not filled it yet
    *dirnames, owner = data[4:size].decode().split("\0")
    return int(owner), dirnames
