"""The local file that a download writes to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from typing import Any

from streaming.core.errors import ConfigError, StalledError
from streaming.storage.store import Sink

__all__ = ["naming", "open_target", "write_all", "write_chunks"]


@contextmanager
def open_target(path: str, offset: int) -> Iterator[FileIO]:
    """Open a file to continue at an offset: created if missing, cut there if longer.

    Raises:
        ConfigError: The file ends before the offset.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with FileIO(fd, "r+") as file:
        size = os.fstat(fd).st_size
        if not 0 <= offset <= size:
            raise ConfigError(
                f"Cannot continue {path} at byte {offset}: it has {size} bytes. Start at an offset that it has."
            )
        if size > offset:
            file.truncate(offset)
        file.seek(offset)
        yield file


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Have what the system says of a file, as that its disk is full, name it: of a write to a descriptor it does not.

    Raises:
        OSError: The same.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


def write_all(file: FileIO, data: Any) -> None:
    """Write all of a buffer to an unbuffered file."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def write_chunks(out: FileIO, chunks: Iterable[Any], sink: Sink | None, deadline: float | None, where: str) -> None:
    """Write what comes to a file, and give it to a sink.

    Args:
        out: The file.
        chunks: Runs of bytes.
        sink: Given each run once it is in the file.
        deadline: By ``time.monotonic()``, or ``None``.
        where: What is fetched, for the error text.

    Raises:
        StalledError: The deadline passed.
    """
    for chunk in chunks:
        write_all(out, chunk)
        if sink is not None:
            sink(chunk)
        if deadline is not None and time.monotonic() > deadline:
            raise StalledError(f"{where}: it did not come within its total timeout; {out.tell()} bytes are there.")
