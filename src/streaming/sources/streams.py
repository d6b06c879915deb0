"""Files read from their begin to their end, decompressed on the way; no more than some megabytes are in memory."""

from __future__ import annotations

import io
import time
from typing import IO, Any

from streaming.sources.file import SourceFile
from streaming.storage.retry import RetryPolicy, call_with_retries

__all__ = ["fetch", "open_stream"]

_BEYOND = 1 << 16
#: How much of a frame is decompressed at once: a hundred times as much may come of it.
_FRAME_STEP = 1 << 14


def fetch(file: SourceFile, begin: int = 0, end: int | None = None) -> bytes:
    """Return bytes of a file, all of it by default, and try again after failures that may pass."""
    last = file.size if end is None else min(end, file.size)
    if begin >= last:
        return b""
    return call_with_retries(lambda: file.read(begin, last), RetryPolicy(), time.sleep)


def open_stream(file: SourceFile, begin: int = 0, end: int | None = None) -> IO[bytes]:
    """Open a file to be read once, from a byte of it on, decompressed by what its name ends in.

    Args:
        file: It.
        begin: The first byte; 0 of one that is compressed.
        end: Where no more is expected to be read, though it can be; ``None``: at the end of the file.
    """
    raw: Any = io.BufferedReader(_Chunks(file, begin, file.size if end is None else end), 1 << 16)
    suffix = file.name.lower().rpartition(".")[2]
    if suffix in ("gz", "tgz"):
        import gzip

        return gzip.GzipFile(fileobj=raw)  # pyright: ignore[reportReturnType]
    if suffix == "zst":
        return io.BufferedReader(_Frames(raw), 1 << 18)  # pyright: ignore[reportReturnType]
    if suffix == "bz2":
        import bz2

        return bz2.BZ2File(raw)  # pyright: ignore[reportReturnType]
    if suffix == "xz":
        import lzma

        return lzma.LZMAFile(raw)  # pyright: ignore[reportReturnType]
    return raw


class _Frames(io.RawIOBase):
    """Frames of zstd, one after the other. Unlike the library's own reader, it refuses a frame that is cut off."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__()
        import zstandard

        self._raw = raw
        self._library = zstandard
        self._frame: Any = None
        self._rest = b""
        self._found = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._found:
            data = self._rest or self._raw.read(_FRAME_STEP)
            if not data:
                if self._frame is not None:
                    raise EOFError("it is cut off: its last frame has no end")
                return 0
            if self._frame is None:
                self._frame = self._library.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
            self._found = memoryview(self._frame.decompress(data))
            self._rest = b""
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        count = min(len(buffer), len(self._found))
        buffer[:count] = self._found[:count]
        self._found = self._found[count:]
        return count


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
