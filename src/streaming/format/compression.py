"""Compression of whole shard files, by name: ``'family'`` or ``'family:level'``.

Sizes are bounded while decompressing: an index states how large a file is, and no file may grow past it.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import zstandard

from streaming.core.errors import ShardFormatError, UnknownNameError
from streaming.core.imports import optional_import

__all__ = [
    "StreamDecompressor",
    "compress",
    "decompress",
    "get_compression_extension",
    "get_compressions",
    "is_compression",
    "stream_decompressor",
]

_PIECE = 1 << 20  # bytes that one step of a decompressor gives at most, where it can be told
# zstd and old brotli cannot be told, so they get this little at once: their worst case expands it to
# a bounded 128 MiB (zstd: 32768 to 1).
_SLICE = 1 << 12
# From this size on, the original's zstd package splits the input into jobs, as zstd does when it has
# a worker thread; the bytes are the same whatever the number of threads.
_ZSTD_JOB_BYTES = 1 << 19


def get_compressions() -> set[str]:
    """Return every spelling of every compression, such as ``'gz'`` and ``'gz:6'``."""
    names: set[str] = set()
    for name, family in _FAMILIES.items():
        names |= {name, *(f"{name}:{level}" for level in family.levels)}
    return names


def is_compression(algo: Any) -> bool:
    """Tell whether ``algo`` is the spelling of a compression."""
    return isinstance(algo, str) and algo in get_compressions()


def get_compression_extension(algo: str) -> str:
    """Return the file extension of a compression, without a dot.

    Raises:
        UnknownNameError: There is no such compression.
    """
    return _parse(algo)[0]


def compress(algo: str | None, data: bytes) -> bytes:
    """Compress ``data``.

    Args:
        algo: ``'family'`` or ``'family:level'``; ``None`` returns the data as it is.
        data: The bytes.

    Raises:
        UnknownNameError: There is no such compression.
        MissingDependencyError: Its package is not installed.
    """
    if algo is None:
        return data
    family, level = _parse(algo)
    return _FAMILIES[family].compress(data, level)


def decompress(algo: str | None, data: bytes, max_bytes: int | None = None) -> bytes:
    """Decompress ``data``.

    Args:
        algo: ``'family'`` or ``'family:level'``; ``None`` returns the data as it is.
        data: The compressed bytes.
        max_bytes: The most bytes to give; ``None``: no limit.

    Raises:
        UnknownNameError: There is no such compression.
        MissingDependencyError: Its package is not installed.
        ShardFormatError: The data is damaged, cut off, or larger than ``max_bytes``.
    """
    if algo is None:
        return data
    stream = stream_decompressor(algo, max_bytes)
    first = stream.feed(data)
    return first + stream.finish()


def stream_decompressor(algo: str, max_bytes: int | None = None) -> StreamDecompressor:
    """Start to decompress bytes that come in pieces.

    Args:
        algo: ``'family'`` or ``'family:level'``.
        max_bytes: The most bytes to give in total; ``None``: no limit.

    Returns:
        An object to feed.

    Raises:
        UnknownNameError: There is no such compression.
        MissingDependencyError: Its package is not installed.
    """
    family, _ = _parse(algo)
    return StreamDecompressor(family, _FAMILIES[family].decoder(max_bytes), max_bytes)


class StreamDecompressor:
    """Decompresses bytes as they come, up to a number of bytes.

    Made by :func:`stream_decompressor`. Memory is bounded by the limit plus a constant.
    """

    def __init__(self, family: str, decoder: _Decoder, max_bytes: int | None) -> None:
        self._family = family
        self._decoder = decoder
        self._max_bytes = max_bytes
        self._num_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take compressed bytes and return what they decompress to so far.

        Raises:
            ShardFormatError: The data is damaged, or larger than the limit.
        """
        return self._collect(self._decoder.feed(chunk))

    def finish(self) -> bytes:
        """Note the end of the data and return what is left.

        Raises:
            ShardFormatError: The data is cut off, damaged, or larger than the limit.
        """
        return self._collect(self._decoder.finish())

    def _collect(self, pieces: Iterator[bytes]) -> bytes:
        parts: list[bytes] = []
        try:
            for piece in pieces:
                self._num_bytes += len(piece)
                if self._max_bytes is not None and self._num_bytes > self._max_bytes:
                    raise ShardFormatError(
                        f"{self._family} data decompresses to more than the {self._max_bytes} "
                        f"bytes it should have."
                    )
                parts.append(piece)
        except ShardFormatError:
            raise
        except Exception as error:  # each library has exceptions of its own
            raise ShardFormatError(f"Damaged {self._family} data: {error}") from error
        return b"".join(parts)


class _Decoder(Protocol):
    """Gives decompressed pieces lazily, so that the reader of them can stop."""

    def feed(self, chunk: bytes) -> Iterator[bytes]: ...

    def finish(self) -> Iterator[bytes]: ...


class _Members:
    """Decoder of a sequence of compressed members, each read by an object of its own.

    Args:
        new: Makes the object that reads the next member.
        step: Gives ``(output, rest of the input)`` of one bounded step of it.
        padded: Whether zeros may follow the last member.
    """

    def __init__(
        self,
        new: Callable[[], Any],
        step: Callable[[Any, bytes], tuple[bytes, bytes]],
        padded: bool = False,
    ) -> None:
        self._new = new
        self._step = step
        self._padded = padded
        self._member: Any = None
        self._started = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        data = bytes(chunk)
        while data or self._has_more():
            if self._member is None:
                if self._padded and self._started:
                    data = data.lstrip(b"\0")
                    if not data:
                        return
                self._member = self._new()
                self._started = True
            output, data = self._step(self._member, data)
            yield output
            if self._member.eof:
                self._member = None

    def _has_more(self) -> bool:
        return self._member is not None and not getattr(self._member, "needs_input", True)

    def finish(self) -> Iterator[bytes]:
        if self._member is not None or not self._started:
            raise ShardFormatError("Compressed data ends early.")
        return iter(())


def _step_zlib(member: Any, data: bytes) -> tuple[bytes, bytes]:
    output = member.decompress(data, _PIECE)
    return output, member.unused_data if member.eof else member.unconsumed_tail


def _step_bz2(member: Any, data: bytes) -> tuple[bytes, bytes]:
    output = member.decompress(data, _PIECE)
    return output, member.unused_data if member.eof else b""


def _step_zstd(member: Any, data: bytes) -> tuple[bytes, bytes]:
    output = member.decompress(data[:_SLICE])
    return output, member.unused_data + data[_SLICE:] if member.eof else data[_SLICE:]
