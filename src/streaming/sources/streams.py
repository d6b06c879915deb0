"""Files read from their begin to their end, decompressed on the way; no more than some megabytes are in memory."""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any

from streaming.core.errors import StorageError
from streaming.format.codecs import decoders
from streaming.sources.file import SourceFile
from streaming.storage.retry import RetryPolicy, call_with_retries

__all__ = ["fetch", "open_stream"]

_BEYOND = 1 << 16
#: What `zstd --ultra --long=31` needs.
_LONGEST_WINDOW = 1 << 31


def fetch(file: SourceFile, begin: int = 0, end: int | None = None) -> bytes:
    """Return bytes of a file, all of it by default, and try again after failures that may pass."""
    last = file.size if end is None else min(end, file.size)
    if begin >= last:
        return b""
    return call_with_retries(lambda: file.read(begin, last), RetryPolicy(), time.sleep)


def open_stream(
    file: SourceFile, begin: int = 0, end: int | None = None, frames: Callable[[int, int], Any] | None = None
) -> io.BufferedReader:
    """Open a file to be read once, from a byte of it on, decompressed by what its name ends in.

    Args:
        file: It.
        begin: The first byte; of one that is compressed 0, or where a frame of zstd begins.
        end: Where no more is expected to be read, though it can be; ``None``: at the end of the file.
        frames: Told of each frame of zstd where it begins, from ``begin`` on, and how much became of those before.

    What is read of it raises ``OSError`` where what is compressed is damaged, or cut off.
    """
    chunks = _Chunks(file, begin, file.size if end is None else end)
    decode = _DECODERS.get(file.name.lower().rpartition(".")[2])
    if frames is not None and file.name.lower().endswith(".zst"):
        decode = partial(_decoded, partial(decoders.zstd, window=_LONGEST_WINDOW, begins=frames))
    if decode is None:
        return io.BufferedReader(chunks, 1 << 16)
    return io.BufferedReader(_Decompressed(decode(io.BufferedReader(chunks, 1 << 16))), 1 << 18)


def _gunzipped(source: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(gzip.GzipFile(fileobj=source).read1, 1 << 18), b"")


def _decoded(new: Callable[[None], decoders.Decoder], source: io.BufferedReader) -> Iterator[bytes]:
    decoder = new(None)
    while chunk := source.read1(1 << 16):
        yield from decoder.feed(chunk)
    yield from decoder.finish()


_DECODERS: dict[str, Callable[[io.BufferedReader], Iterator[bytes]]] = {
    "gz": _gunzipped,
    "tgz": _gunzipped,
    "zst": partial(_decoded, partial(decoders.zstd, window=_LONGEST_WINDOW)),
    "bz2": partial(_decoded, decoders.bzip2),
    "xz": partial(_decoded, decoders.xz),
}


class _Chunks(io.RawIOBase):
    """A file by ranges."""

    def __init__(self, file: SourceFile, begin: int, end: int) -> None:
        super().__init__()
        self._file = file
        self._at = begin
        self._end = end
        self._chunk = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._chunk:
            last = min(self._at + self._file.step_bytes, self._end) if self._at < self._end else self._at + _BEYOND
            self._chunk = memoryview(fetch(self._file, self._at, last))
            self._at += len(self._chunk)
        count = min(len(buffer), len(self._chunk))
        buffer[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count


class _Decompressed(io.RawIOBase):
    """What a compressed file becomes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._piece:
            try:
                piece = next(self._pieces, None)
            except StorageError:
                raise
            except Exception as error:  # each library has errors of its own
                raise OSError(f"the compressed file is cut off or damaged: {error}") from error
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count
