"""What the machine allows: processors, limits, shared memory, disks."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

from streaming.cli.commands.doctor.findings import Finding
from streaming.writing.bulk.report import show_bytes

__all__ = ["find_machine"]

_MIN_FILES = 4096
_MIN_SHARED = 1 << 30
_MIN_FREE = 1 << 30
_CGROUP_MEMORY = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_CGROUP_CPU = "/sys/fs/cgroup/cpu.max"


def find_machine(local: str | None) -> Iterator[Finding]:
    """Yield what is known of this machine.

    Args:
        local: A local directory in question; ``None``: that of caches alone.
    """
    yield Finding("machine", "processors", _processors())
    yield Finding("machine", "memory", _memory())
    yield from _limits()
    yield from _shared_memory()
    yield from _disks(local)
    usual = multiprocessing.get_context().get_start_method()
    yield Finding("machine", "start method", f"{usual} (of {', '.join(multiprocessing.get_all_start_methods())})")


def _processors() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{usable} usable of {os.cpu_count()}"
    quota, _, period = _read(_CGROUP_CPU).partition(" ")
    if quota.isdecimal() and period.isdecimal():
        text += f", limited to the time of {int(quota) / int(period):.3g}"
    return text


def _memory() -> str:
    text = show_bytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = next((found for path in _CGROUP_MEMORY if (found := _read(path)).isdecimal()), "")
    return text + (f", limited to {show_bytes(int(limit))}" if limit and int(limit) < 1 << 60 else "")


def _limits() -> Iterator[Finding]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < _MIN_FILES
    yield Finding(
        "machine", "open files", f"{_limit(soft)} (at most {_limit(hard)})", "warning" if few else "ok",
        f"ulimit -n {_MIN_FILES if hard == resource.RLIM_INFINITY else min(hard, 1 << 16)}" if few else "",
    )  # fmt: skip
    for name, which in (("address space", resource.RLIMIT_AS), ("processes", resource.RLIMIT_NPROC)):
        soft, _ = resource.getrlimit(which)
        yield Finding("machine", name, _limit(soft))


def _limit(number: int) -> str:
    import resource

    return "unlimited" if number == resource.RLIM_INFINITY else f"{number:,}"


def _shared_memory() -> Iterator[Finding]:
    if sys.platform == "linux":
        try:
            usage = shutil.disk_usage("/dev/shm")
        except OSError as error:
            yield Finding(
                "machine", "/dev/shm", str(error), "problem", "Mount it: PyTorch's workers send batches there."
            )
            return
        small = usage.free < _MIN_SHARED
        yield Finding(
            "machine", "/dev/shm", f"{show_bytes(usage.free)} free of {show_bytes(usage.total)}",
            "warning" if small else "ok",
            "PyTorch's workers send batches there: docker run --shm-size=8g, or --ipc=host" if small else "",
        )  # fmt: skip


def _disks(local: str | None) -> Iterator[Finding]:
    seen: set[int] = set()
    for name, path in (("caches", tempfile.gettempdir()), ("this directory", os.getcwd()), ("dataset", local)):
        if path is None or not os.path.isdir(path) or (device := os.stat(path).st_dev) in seen:
            continue
        seen.add(device)
        usage = shutil.disk_usage(path)
        full = usage.free < _MIN_FREE
        yield Finding(
            "machine", f"disk of {name}", f"{path}: {show_bytes(usage.free)} free of {show_bytes(usage.total)}",
            "warning" if full else "ok", "Free some, or set TMPDIR, or `local` and `cache_limit`." if full else "",
        )  # fmt: skip


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
