"""Clocks and meters of one process and its children. Standard library only: a cold start pays for what is imported here."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator

TICKS = os.sysconf("SC_CLK_TCK")
PARTS = 5


def children(pid: int) -> list[int]:
    """Return the processes below a process; on systems without /proc, none."""
    parents: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def tree_cpu() -> float:
    """Return the CPU seconds of this process, all its threads, and its children, those that ended included."""
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + reaped.ru_utime + reaped.ru_stime
    for child in children(os.getpid()):
        try:
            with open(f"/proc/{child}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
        except (OSError, ValueError, IndexError):
            continue
    return total


def tree_memory() -> dict[str, float]:
    """Return the megabytes of this process and its children: proportional shares, and of these what is no file page."""
    total = private = 0
    for pid in [os.getpid(), *children(os.getpid())]:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                sizes = {line.split()[0]: int(line.split()[1]) for line in file if line.startswith("Pss")}
        except (OSError, ValueError, IndexError):
            continue
        total += sizes.get("Pss:", 0)
        private += sizes.get("Pss_Anon:", 0) + sizes.get("Pss_Shmem:", 0)
    return {"pss_mb": total * 1024 / 1e6, "private_mb": private * 1024 / 1e6} if total else {}


def peak_mb() -> float:
    """Return the most memory this process has had so far."""
    try:
        # Linux counts in ru_maxrss what the process that started this one had, too.
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def steady(counts: Iterator[int], seconds: float) -> dict[str, float]:
    """Return microseconds a sample of CPU time and of wall time, after a start that is not counted.

    Time is measured in a few parts, of which the median counts: a moment in which the machine was busy is none.

    Args:
        counts: Does some work at each step and tells how many samples it was; endless.
        seconds: Wall time to measure for.
    """
    warm = time.perf_counter() + seconds / 3
    next(counts)
    while time.perf_counter() < warm:
        next(counts)
    cpus, walls = [], []
    for _ in range(PARTS):
        cpu, begin = tree_cpu(), time.perf_counter()
        count, end = 0, begin + seconds / PARTS
        while time.perf_counter() < end:
            count += next(counts)
        wall, spent = time.perf_counter() - begin, tree_cpu() - cpu
        cpus.append(spent / count * 1e6)
        walls.append(wall / count * 1e6)
    return {"cpu": sorted(cpus)[PARTS // 2], "wall": sorted(walls)[PARTS // 2]}
