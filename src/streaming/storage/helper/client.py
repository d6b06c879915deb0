"""This process's end of the helper: start it, talk to it, and let go of it after a fork."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import spawn
from typing import Any

import streaming.core
from streaming.core.errors import UnavailableError
from streaming.storage.helper import wire
from streaming.storage.helper.spec import ClientSpec

__all__ = ["HelperClient"]

# The package itself is not imported in the helper (only the modules it needs are), so it starts in a fraction of a
# second whatever the rest of the library imports.
_BOOTSTRAP = """\
import json, sys, types
fd, parent, root, *sys.path = json.loads(sys.argv[1])
package = sys.modules["streaming"] = types.ModuleType("streaming")
package.__path__ = [root]
from streaming.storage.helper.main import main
main(fd, parent)
"""
_GRACE_S = 30.0
_EXIT_S = 3.0
# For how long a daemon thread says nothing of it that the helper ended because its process is exiting.
_EXITING_S = 60.0


class _HelperDiedError(Exception):
    """The helper is gone, or does not answer."""


class HelperClient:
    """Runs operations in a helper process, with the interface of ``direct.Direct``.

    Any thread may use it; each request in progress has a channel (a socket) of its own. The helper is started on first
    use, and again if it dies.

    Args:
        meanwhile: What to do with the client asked for while the helper starts.
    """

    def __init__(self, meanwhile: Callable[[ClientSpec, float], None] | None = None) -> None:
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        self._is_closed = False
        atexit.register(self.close)

    def call(
        self, spec: ClientSpec, name: str, path: str, *args: Any, stall_s: float, limit_s: float | None = None
    ) -> Any:
        """Run an operation that gives one answer; see ``Direct.call``."""
        request = ("call", (spec, name, path, *args), {"stall_s": stall_s})
        return next(self._answers(request, limit_s or 2 * stall_s))[1]

    def stream(self, spec: ClientSpec, name: str, path: str, *args: Any, stall_s: float) -> Iterator[Any]:
        """Run an operation that gives items one after another; see ``Direct.stream``."""
        request = ("stream", (spec, name, path, *args), {"stall_s": stall_s})
        for kind, body in self._answers(request, 2 * stall_s):
            if kind != wire.END:
                yield body

    def start(self) -> None:
        """Start the helper, if it does not run: it will be wanted soon, and takes a moment."""
        self._running()

    def close(self) -> None:
        """End the helper."""
        with self._lock:
            helper, self._helper = self._helper, None
            self._is_closed = True
        if helper is not None:
            helper.close(_EXIT_S)

    def forget(self) -> None:
        """Let go of a helper that a fork has inherited: it belongs to the parent."""
        self._lock = threading.Lock()
        if self._helper is not None:
            self._helper.forget()
            self._helper = None

    def _answers(self, request: Any, wait_s: float) -> Iterator[tuple[int, Any]]:
        """Yield the frames of an answer, of another helper if this one dies before the first."""
        begun = False
        for last_try in (False, True):
            try:
                for kind, body in self._frames(request, wait_s):
                    if kind == wire.ERROR:
                        raise body
                    begun = True
                    yield kind, body
                return
            except _HelperDiedError as error:
                if self._is_closed and threading.current_thread().daemon:
                    threading.Event().wait(_EXITING_S)
                # What has been handed on cannot be taken back, so only the caller can start again.
                if last_try or begun:
                    raise _gone(request[1][0], error) from None

    def _frames(self, request: Any, wait_s: float) -> Iterator[tuple[int, Any]]:
        """Send a request and yield the frames of its answer, the last of which is END or ERROR."""
        helper = self._running()
        kind = wire.REQUEST
        try:
            channel = helper.take()
            try:
                channel.settimeout(wait_s + _GRACE_S)
                wire.send(channel, wire.REQUEST, request)
                if helper.is_new and self._meanwhile is not None:
                    helper.is_new = False
                    self._meanwhile(request[1][0], request[2]["stall_s"])
                while kind not in (wire.END, wire.ERROR):
                    kind, body = wire.receive(channel)
                    yield kind, body
            finally:
                helper.give_back(channel, reusable=kind in (wire.END, wire.ERROR))
        except (EOFError, OSError) as error:
            self._discard(helper)
            raise _HelperDiedError(f"{helper.outcome()} ({error or 'it closed the socket'})") from None

    def _running(self) -> _Helper:
        with self._lock:
            if self._helper is None:
                self._helper = _Helper()
            return self._helper

    def _discard(self, helper: _Helper) -> None:
        with self._lock:
            if self._helper is helper:
                self._helper = None
        helper.close(0.0)


class _Helper:
    """One helper process and the sockets to it.

    Attributes:
        is_new: Whether nothing was asked of it yet.
    """

    def __init__(self) -> None:
        self.is_new = True
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._busy: set[socket.socket] = set()
        self._closed = False
        self._control, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _start(theirs.fileno())
        except BaseException:
            self._control.close()
            raise

    def take(self) -> socket.socket:
        """Return a channel that nobody else uses."""
        with self._lock:
            if self._closed:
                raise EOFError("the helper was ended")
            if self._idle:
                channel = self._idle.pop()
            else:
                channel = _new_channel(self._control)
            self._busy.add(channel)
            return channel

    def give_back(self, channel: socket.socket, reusable: bool) -> None:
        """Take back a channel; one in the middle of an answer is closed, which tells the helper to stop."""
        with self._lock:
            self._busy.discard(channel)
            if reusable and not self._closed:
                self._idle.append(channel)
                return
        channel.close()

    def close(self, wait_s: float) -> None:
        """End the process, by force if it does not end within ``wait_s`` seconds, and reap it."""
        with self._lock:
            self._closed = True
            self._close(self._idle)
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Close this process's copies of the sockets, those in use by threads that the fork left behind too."""
        self._close([*self._idle, *self._busy])
        # Not a child of this process: nothing to wait for, nothing to warn of.
        self._process.returncode = 0

    def outcome(self) -> str:
        """Return how the process ended."""
        return f"it ended with code {self._process.returncode}"

    def _close(self, channels: list[socket.socket]) -> None:
        for sock in [self._control, *channels]:
            sock.close()
        self._idle = []


def _new_channel(control: socket.socket) -> socket.socket:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            socket.send_fds(control, [b"c"], [theirs.fileno()])
    except BaseException:
        ours.close()
        raise
    return ours


def _start(control_fd: int) -> subprocess.Popen[bytes]:
    root = os.path.dirname(os.path.dirname(streaming.core.__file__))
    settings = json.dumps([control_fd, os.getpid(), root, *map(os.path.abspath, sys.path)])
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ["TOKIO_WORKER_THREADS"] = "2"
    executable = os.fsdecode(spawn.get_executable() or sys.executable)
    try:
        return subprocess.Popen(
            [executable, "-c", _BOOTSTRAP, settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environ,
            cwd="/",
            pass_fds=[control_fd],
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(
            f"The storage helper process could not be started with {executable!r}: {error}. It needs a Python "
            "interpreter; see multiprocessing.set_executable."
        ) from error


def _gone(spec: ClientSpec, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"{spec.url}: the storage helper process is gone, {error}. Its last words are on the standard error stream; a "
        "process that runs out of memory is ended like this."
    )
