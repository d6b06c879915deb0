"""Frames between this process and its helper.

A frame is one byte of kind, eight bytes of length (big-endian), and a body: raw bytes of an object, or a pickle. Both
ends are the same user's processes and the same code; nothing else can reach the socket.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

__all__ = ["BYTES", "END", "ERROR", "ITEM", "REQUEST", "receive", "send"]

REQUEST, BYTES, ITEM, END, ERROR = range(5)

_HEAD = struct.Struct("!BQ")


def send(sock: socket.socket, kind: int, body: Any) -> None:
    """Send one frame; the body of ``BYTES`` is a buffer, any other is pickled.

    Raises:
        OSError: The other end is gone.
    """
    data = memoryview(body).cast("B") if kind == BYTES else pickle.dumps(body)
    head = _HEAD.pack(kind, len(data))
    if len(data) < 1 << 16:
        sock.sendall(head + bytes(data))
    else:
        sock.sendall(head)
        sock.sendall(data)


def receive(sock: socket.socket) -> tuple[int, Any]:
    """Return kind and body of the next frame.

    Raises:
        EOFError: The other end is gone.
        OSError: The same, in the middle of a frame, or the socket's timeout passed.
    """
    kind, size = _HEAD.unpack(_exactly(sock, _HEAD.size))
    body = _exactly(sock, size)
    return kind, body if kind == BYTES else pickle.loads(body)


def _exactly(sock: socket.socket, size: int) -> bytes | bytearray:
    first = sock.recv(size) if size < 1 << 12 else b""
    if len(first) == size:
        return first
    buffer = bytearray(size)
    buffer[: len(first)] = first
    view = memoryview(buffer)[len(first) :]
    while view:
        count = sock.recv_into(view)
        if not count:
            raise EOFError("the other end closed the socket")
        view = view[count:]
    return buffer
