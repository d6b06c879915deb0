"""The helper process: runs operations for a process that may fork.

It is handed one control socket. Every message on that is a new channel (a socket); each channel carries one request
at a time. It ends when the control socket closes, which the kernel does when the parent dies, however it dies.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from streaming.core.errors import StorageError, StreamingError
from streaming.storage.helper import wire
from streaming.storage.store import ObjectInfo

if TYPE_CHECKING:
    from streaming.storage.helper.direct import Direct

__all__ = ["main"]

_PARENT_CHECK_S = 2.0


def main(control_fd: int, parent: int) -> None:
    """Serve until the parent is gone.

    Args:
        control_fd: The control socket.
        parent: Process id of the parent.
    """
    # With the client, whose import is not light.
    from streaming.storage.helper.direct import Direct

    # The parent decides when this process ends; a Ctrl-C is for the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=control_fd)
    direct = Direct(adopt_environ=True)
    # A process forked without Python's hooks may hold the other end open, so ask who the parent is as well.
    while os.getppid() == parent:
        ready, _, _ = select.select([control], [], [], _PARENT_CHECK_S)
        if not ready:
            continue
        message, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            break
        for fd in fds:
            channel = socket.socket(fileno=fd)
            threading.Thread(target=_serve, args=(channel, direct), daemon=True).start()
    # Nobody waits for an answer any more, so there is nothing to wind down.
    sys.stderr.flush()
    os._exit(0)


def _serve(channel: socket.socket, direct: Direct) -> None:
    with channel:
        try:
            while True:
                _, (method, args, kwargs) = wire.receive(channel)
                _answer(channel, direct, method, args, kwargs)
        except (EOFError, OSError):
            return


def _answer(channel: socket.socket, direct: Direct, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        if method == "call":
            result = direct.call(*args, **kwargs)
        else:
            result = None
            for item in direct.stream(*args, **kwargs):
                kind = wire.ITEM if isinstance(item, (list, ObjectInfo)) else wire.BYTES
                wire.send(channel, kind, item)
    except StreamingError as error:
        wire.send(channel, wire.ERROR, error)
    except OSError:
        raise
    except Exception as error:
        wire.send(channel, wire.ERROR, StorageError(f"The storage helper failed: {error!r}."))
    else:
        wire.send(channel, wire.END, result)
