"""Where a process runs its network operations.

The network client's threads do not survive a fork: a child of a process that has used it hangs, and can take the parent
along. So a process uses it directly only if it has declared itself a worker, which forks no further, and its parent had
not started those threads before it forked. Every other process goes through a helper.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from glob import glob
from typing import TYPE_CHECKING, Any

from streaming.storage.helper.spec import ClientSpec

if TYPE_CHECKING:
    from streaming.storage.helper.client import HelperClient
    from streaming.storage.helper.direct import Direct

__all__ = ["declare_worker", "executor", "helper", "may_run_here", "prepare", "threads_running"]

_CLIENT_THREAD = "tokio-rt-worker"


class _State:
    """What this process knows of itself."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.is_worker = False
        self.inherited_threads = False
        self.threads_before_fork = False
        self.direct: Any = None
        self.helper: Any = None
        self.inherited: list[Any] = []
        self.built: dict[bytes, Any] = {}

    def before_fork(self) -> None:
        self.threads_before_fork = self.inherited_threads or threads_running()

    def check_pid(self) -> None:
        """Notice a fork that ran no hooks: what the parent had started is not known, so assume the worst."""
        if os.getpid() != self.pid:
            self.threads_before_fork = True
            self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.is_worker = False
        self.inherited_threads = self.threads_before_fork
        if self.direct is not None:
            self.direct.forget()
            # Kept, since the clients' and the loop's clean-up is the parent's to do.
            self.inherited.append(self.direct)
            self.direct = None
        if self.helper is not None:
            self.helper.forget()


_state = _State()


def declare_worker() -> None:
    """Say that this process is a worker: it forks no further, so it may use the network client itself."""
    _state.check_pid()
    _state.is_worker = True


def may_run_here() -> bool:
    """Say whether this process may use the network client itself."""
    return _state.is_worker and not _state.inherited_threads


def threads_running() -> bool:
    """Say whether the network client's threads run in this process, whoever started them."""
    if _state.direct is not None:
        return True
    for path in glob("/proc/self/task/*/comm"):
        try:
            with open(path) as file:
                if file.read().strip() == _CLIENT_THREAD:
                    return True
        except OSError:
            continue  # the thread has ended meanwhile
    return False


def build_for_workers(spec: ClientSpec, stall_s: float) -> None:
    """Build the client that workers will use who are forked from this process, and share its memory.

    Nothing uses it here, so that none of its threads start, and a fork does it no harm.
    """
    if sys.platform != "linux" or sys.version_info >= (3, 14) or not spec.is_quick or threads_running():
        return  # workers are not forked, or cannot use it
    with suppress(Exception):  # who asks for it is told
        _state.built[spec.key(stall_s)] = spec.build(stall_s)


def executor() -> Direct | HelperClient:
    """Return what runs this process's operations."""
    _state.check_pid()
    if may_run_here():
        with _state.lock:
            if _state.direct is None:
                from streaming.storage.helper.direct import Direct

                _state.direct = Direct(built=_state.built)
            return _state.direct
    return helper()


def helper() -> HelperClient:
    """Return the helper of this process, for what must never run in it."""
    _state.check_pid()
    with _state.lock:
        if _state.helper is None:
            from streaming.storage.helper.client import HelperClient

            _state.helper = HelperClient(meanwhile=build_for_workers)
        return _state.helper


def prepare() -> None:
    """Start what runs this process's operations, if that takes a moment: while it does, something else can be done."""
    _state.check_pid()
    if not may_run_here():
        helper().start()


os.register_at_fork(before=_state.before_fork, after_in_child=_state.after_fork_in_child)
