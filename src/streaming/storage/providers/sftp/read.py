"""Reading a file of an SFTP server with many requests under way.

paramiko's own way has a thread that sends them, whose failure is printed and not raised; here they are sent between two
answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from streaming.core.errors import UnavailableError

__all__ = ["WINDOW_BYTES", "read_chunks"]

#: What may be under way at a time.
WINDOW_BYTES = 4 << 20

_REQUEST = 32 << 10  # every server answers this much
_CHUNK = 1 << 20


def read_chunks(sftp: Any, file: Any, start: int, end: int) -> Iterator[bytes]:
    """Yield bytes ``[start, end)`` of a file that has them.

    Args:
        sftp: paramiko's client of the file.
        file: An open file of it.
        start: The first byte.
        end: Where to stop.

    Raises:
        UnavailableError: The file ended before.
    """
    parts: list[bytes] = []
    size = 0
    try:
        for data in _Reading(sftp, file.handle, start, end):
            parts.append(data)
            size += len(data)
            if size >= _CHUNK:
                yield b"".join(parts)
                parts, size = [], 0
    except Exception:
        if parts:
            yield b"".join(parts)  # what has come need not come again
        raise
    if parts:
        yield b"".join(parts)


class _Reading:
    """Requests under way, in the order of their offsets."""

    def __init__(self, sftp: Any, handle: bytes, start: int, end: int) -> None:
        from paramiko.sftp import CMD_READ, CMD_STATUS, int64

        self._sftp, self._handle, self._at, self._end = sftp, handle, start, end
        self._read, self._status, self._int64 = CMD_READ, CMD_STATUS, int64
        self._asked: deque[tuple[int, int, int]] = deque()
        self._answers: dict[int, tuple[int, Any]] = {}

    def __iter__(self) -> Iterator[bytes]:
        while self._asked or self._at < self._end:
            while self._at < self._end and len(self._asked) < WINDOW_BYTES // _REQUEST:
                size = min(_REQUEST, self._end - self._at)
                self._asked.append(self._ask(self._at, size))
                self._at += size
            number, offset, size = self._asked.popleft()
            data = self._answer(number)
            if not data:
                raise UnavailableError(f"it ended at byte {offset} of {self._end}: it has been cut while it was read")
            if len(data) < size:  # as a server may
                self._asked.appendleft(self._ask(offset + len(data), size - len(data)))
            yield data

    def _ask(self, offset: int, size: int) -> tuple[int, int, int]:
        number: int = self._sftp._async_request(self, self._read, self._handle, self._int64(offset), size)
        return number, offset, size

    def _answer(self, number: int) -> bytes:
        while number not in self._answers:
            self._sftp._read_response()
        kind, message = self._answers.pop(number)
        if kind == self._status:
            try:
                self._sftp._convert_status(message)
            except EOFError:
                return b""
        return message.get_string() if kind != self._status else b""

    def _async_response(self, kind: int, message: Any, number: int) -> None:
        """Take an answer; paramiko calls this."""
        self._answers[number] = (kind, message)
