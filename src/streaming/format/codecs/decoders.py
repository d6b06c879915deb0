"""Incremental decompression in steps of bounded size, one function per family.

Each library has an interface of its own; behind :class:`Decoder` they are the same. Pieces come
lazily, so that the reader of them can stop before a small input has become a huge output.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from streaming.core.errors import ShardFormatError
from streaming.core.imports import optional_import

__all__ = ["Decoder", "brotli", "bzip2", "gzip", "snappy", "xz", "zstd"]

_PIECE = 1 << 20  # most bytes that one step gives, where the library can be told
_SLICE = 1 << 16  # bytes of input that one step takes
# Some libraries cannot be told, so they take this little: zstd expands it to 128 MiB at worst.
_SMALL_SLICE = 1 << 12


class Decoder(Protocol):
    """Gives what compressed bytes become, piece by piece."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take compressed bytes."""
        ...

    def finish(self) -> Iterator[bytes]:
        """Note the end of the compressed bytes."""
        ...


class _Members:
    """Decoder of one or more compressed members, each read by an object of its own.

    Args:
        new: Makes the object that reads the next member. It has ``eof``, set at the member's end.
        step: One step: ``(member, data) -> (output, rest of the data, whether output waits)``.
        slice_bytes: Bytes of input that a step takes at most.
        padded: Whether zeros may follow a member, as in files padded to a block.
        begins: Told of each member where it begins: in the compressed bytes, and in what became of those before.
    """

    def __init__(
        self,
        new: Callable[[], Any],
        step: Callable[[Any, bytes], tuple[bytes, bytes, bool]],
        slice_bytes: int = _SLICE,
        padded: bool = False,
        begins: Callable[[int, int], Any] | None = None,
    ) -> None:
        self._new = new
        self._step = step
        self._slice_bytes = slice_bytes
        self._padded = padded
        self._begins = begins
        self._taken = self._given = 0
        self._member: Any = None
        self._started = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        view = memoryview(chunk)
        for begin in range(0, len(view), self._slice_bytes):
            yield from self._feed_slice(bytes(view[begin : begin + self._slice_bytes]))

    def _feed_slice(self, data: bytes) -> Iterator[bytes]:
        waiting = False
        self._taken += len(data)
        while data or waiting:
            if self._member is None:
                if self._padded and self._started:
                    data = data.lstrip(b"\0")
                    if not data:
                        return
                if self._begins is not None:
                    self._begins(self._taken - len(data), self._given)
                self._member = self._new()
                self._started = True
            output, data, waiting = self._step(self._member, data)
            self._given += len(output)
            if self._member.eof:
                self._member = None
                waiting = False
            yield output

    def finish(self) -> Iterator[bytes]:
        if self._member is not None or not self._started:
            raise ShardFormatError("The compressed data ends early.")
        return iter(())


def gzip(_max_bytes: int | None) -> Decoder:
    """Return a decoder of gzip members."""
    return _Members(lambda: zlib.decompressobj(wbits=31), _step_gzip, padded=True)


def _step_gzip(member: Any, data: bytes) -> tuple[bytes, bytes, bool]:
    output = member.decompress(data, _PIECE)
    rest = member.unused_data if member.eof else member.unconsumed_tail
    return output, rest, len(output) == _PIECE


def bzip2(_max_bytes: int | None) -> Decoder:
    """Return a decoder of bzip2 streams."""
    return _Members(bz2.BZ2Decompressor, _step_bzip2)


def _step_bzip2(member: Any, data: bytes) -> tuple[bytes, bytes, bool]:
    output = member.decompress(data, _PIECE)
    return output, member.unused_data if member.eof else b"", not member.needs_input


def xz(_max_bytes: int | None) -> Decoder:
    """Return a decoder of xz streams."""
    import lzma

    return _Members(lzma.LZMADecompressor, _step_bzip2, padded=True)


def zstd(_max_bytes: int | None, window: int = 0, begins: Callable[[int, int], Any] | None = None) -> Decoder:
    """Return a decoder of Zstandard frames.

    Args:
        window: Bytes that a window may have; 0: as the library does by itself.
        begins: Told of each frame where it begins: in the compressed bytes, and in what became of those before.
    """
    import zstandard

    context = zstandard.ZstdDecompressor(max_window_size=window)
    return _Members(context.decompressobj, _step_zstd, slice_bytes=_SMALL_SLICE, begins=begins)


def _step_zstd(member: Any, data: bytes) -> tuple[bytes, bytes, bool]:
    output = member.decompress(data)
    return output, member.unused_data if member.eof else b"", False


class _Brotli:
    """Decoder of one Brotli stream."""

    def __init__(self) -> None:
        module = optional_import("brotli", "compression", "Brotli")
        self._stream: Any = module.Decompressor()
        self._bounded = hasattr(self._stream, "can_accept_more_data")  # since Brotli 1.2

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        view = memoryview(chunk)
        step = _SLICE if self._bounded else _SMALL_SLICE
        for begin in range(0, len(view), step):
            data = bytes(view[begin : begin + step])
            if self._stream.is_finished():
                raise ShardFormatError("Bytes follow the end of the brotli data.")
            if not self._bounded:
                yield self._stream.process(data)
                continue
            output = self._stream.process(data, output_buffer_limit=_PIECE)
            while output or not self._stream.can_accept_more_data():
                yield output
                if self._stream.is_finished() and self._stream.can_accept_more_data():
                    break
                output = self._stream.process(b"", output_buffer_limit=_PIECE)

    def finish(self) -> Iterator[bytes]:
        if not self._stream.is_finished():
            raise ShardFormatError("The compressed data ends early.")
        return iter(())


def brotli(_max_bytes: int | None) -> Decoder:
    """Return a decoder of a Brotli stream."""
    return _Brotli()


class _Snappy:
    """Decoder of one raw Snappy block, which can only be read as a whole."""

    def __init__(self, max_bytes: int | None) -> None:
        self._module = optional_import("snappy", "compression", "Snappy")
        self._max_bytes = max_bytes
        self._data = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._data += chunk
        # The format's own bound on how much a block can grow by being compressed.
        if self._max_bytes is not None and len(self._data) > 32 + self._max_bytes * 7 // 6:
            raise ShardFormatError(
                f"A snappy block of {len(self._data)} bytes or more is too large for the "
                f"{self._max_bytes} bytes it should decompress to."
            )
        return iter(())

    def finish(self) -> Iterator[bytes]:
        size = _varint(self._data)
        if self._max_bytes is not None and size > self._max_bytes:
            raise ShardFormatError(
                f"A snappy block decompresses to {size} bytes, more than the {self._max_bytes} it should."
            )
        if size > 256 * len(self._data):  # a copy of 64 bytes takes at least two
            raise ShardFormatError(f"A snappy block of {len(self._data)} bytes claims to hold {size} bytes.")
        yield bytes(self._module.uncompress(bytes(self._data)))


def _varint(data: bytearray) -> int:
    value = 0
    for position, byte in enumerate(data[:5]):
        value |= (byte & 127) << (7 * position)
        if byte < 128:
            return value
    raise ShardFormatError("A snappy block without a size.")


def snappy(max_bytes: int | None) -> Decoder:
    """Return a decoder of a raw Snappy block."""
    return _Snappy(max_bytes)
