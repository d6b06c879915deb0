"""Whether this process may run a store's client in itself."""

from __future__ import annotations

import os

__all__ = ["declare_worker", "may_run_here"]

_worker_pid = 0


def declare_worker() -> None:
    """Say that this process is a worker, which forks no further."""
    global _worker_pid  # noqa: PLW0603
    _worker_pid = os.getpid()


def may_run_here() -> bool:
    """Say whether this process has declared itself a worker."""
    return _worker_pid == os.getpid()
