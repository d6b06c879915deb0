"""Memory that processes share by name."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming.base.shared import SharedArray, SharedBarrier, SharedMemory, SharedScalar, get_shm_prefix
from streaming.base.shared.memory import list_names
from streaming.base.shared.prefix import _get_path
from streaming.base.world import World

NAME = f"test-{os.getpid()}"


def count_turns(lock: str, name: str, num_procs: int, turns: int) -> None:
    barrier = SharedBarrier(lock, f"{name}-barrier")
    counts = SharedArray((turns,), np.int64, f"{name}-counts")
    mine = int(multiprocessing.current_process().name)
    for turn in range(turns):
        if mine == turn % num_procs:
            counts[turn] = turn + 1
        barrier(num_procs)
        if counts[turn] != turn + 1:
            raise SystemExit(3)
        barrier(num_procs)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_barrier_and_array_over_processes(tmp_path: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    name = f"{NAME}-{method}"
    keep = [SharedArray((6,), np.int64, f"{name}-counts"), SharedArray(2, np.int64, f"{name}-barrier")]
    arguments = (str(tmp_path / "locks" / "lock"), name, 3, 6)
    every: list[Any] = [context.Process(target=count_turns, args=arguments, name=str(i)) for i in range(3)]
    for process in every:
        process.start()
    for process in every:
        process.join(60)
    assert [process.exitcode for process in every] == [0, 0, 0]
    assert keep[0].numpy().tolist() == [1, 2, 3, 4, 5, 6]
    for each in keep:
        each.shm.cleanup()
    assert not [each for each in list_names() if each.startswith(name)]


def test_a_barrier_does_not_wait_for_ever(tmp_path: Path) -> None:
    barrier = SharedBarrier(str(tmp_path / "lock"), f"{NAME}-alone", timeout_s=0.05)
    with pytest.raises(RuntimeError, match="Only 1 of 2 processes"):
        barrier(2)


def test_memory() -> None:
    block = SharedMemory(f"{NAME}-block", True, 10)
    block.buf[:3] = b"abc"
    with pytest.raises(FileExistsError):
        SharedMemory(f"{NAME}-block", True, 10)
    other = SharedMemory(f"{NAME}-block", False)
    assert bytes(other.buf[:3]) == b"abc"
    assert SharedMemory(f"{NAME}-block", None, 10).size == 10
    other.cleanup()
    assert bytes(block.buf[:3]) == b"abc"
    block.cleanup()
    with pytest.raises(FileNotFoundError):
        SharedMemory(f"{NAME}-block", False)
    with pytest.raises(ValueError, match="size"):
        SharedMemory(create=True)
    assert SharedMemory(create=True, size=4).name != SharedMemory(create=True, size=4).name


def test_scalar() -> None:
    scalar, same = SharedScalar(np.int64, f"{NAME}-scalar"), SharedScalar(np.int64, f"{NAME}-scalar")
    scalar.set(7)
    assert same.get() == 7
    array = SharedArray(3, np.float32, f"{NAME}-array")
    array[1:] = 2
    assert (len(array), array.numpy().tolist()) == (3, [0, 2, 2])


def test_prefix(tmp_path: Path) -> None:
    world = World(1, 1, 1, 0)
    local, remote = [str(tmp_path / "a"), str(tmp_path / "b")], ["s3://x", None]
    prefix, memory = get_shm_prefix(local, remote, world)
    second, other = get_shm_prefix([str(tmp_path / "c")], ["s3://y"], world)
    assert second != prefix
    assert _get_path(3, "x") == "000003_x"
    with pytest.raises(ValueError, match="Another job"):
        get_shm_prefix(local, remote, world, retry=1)
    joined, same = get_shm_prefix(local, remote, World(1, 2, 1, 1))
    assert (joined, bytes(same.buf)) == (prefix, bytes(memory.buf))
    for each in (same, memory, other):
        each.cleanup()
    again, memory = get_shm_prefix(local, remote, world)
    assert again == prefix
    memory.cleanup()
    with pytest.raises(ValueError, match="of its own"):
        get_shm_prefix([local[0]] * 2, [None, None], world)
    with pytest.raises(ValueError, match="retry"):
        get_shm_prefix(local, remote, world, retry=-1)


def test_a_killed_job_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    code = (
        "import os, signal; from streaming.base.shared import get_shm_prefix; from streaming.base.world import World; "
        f"kept = get_shm_prefix([{str(tmp_path)!r}], ['s3://x'], World(1, 1, 1, 0)); "
        f"os.kill(os.getpid(), {signal.SIGKILL:d})"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    _, memory = get_shm_prefix([str(tmp_path)], ["s3://x"], World(1, 1, 1, 0), retry=0)
    memory.cleanup()


def test_nothing_is_left_at_exit() -> None:
    code = (
        "from streaming.base.shared import *; import numpy as np; "
        f"SharedMemory(create=True, size=4); a = SharedArray(3, np.int8, {NAME + '-gone'!r})"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
    assert not [name for name in list_names() if name.endswith("-gone")]
