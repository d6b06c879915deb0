"""Compression of whole shard files, by name: ``'family'`` or ``'family:level'``.

Sizes are bounded while decompressing: the index states how large a file is, and none may pass that.
"""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from streaming.core.errors import ShardFormatError, UnknownNameError
from streaming.core.imports import optional_import
from streaming.format.codecs import decoders
from streaming.format.codecs.compressors import borrowed_compressor

__all__ = [
    "StreamDecompressor",
    "compress",
    "compress_pieces",
    "decompress",
    "get_compression_extension",
    "get_compressions",
    "is_compression",
    "stream_decompressor",
]

# From this size on, other writers of the format split the input into jobs, as zstd does when it has
# a worker thread. The bytes are the same whatever the number of threads.
_ZSTD_JOB_BYTES = 1 << 19
# Up to this size, putting the pieces together costs less than compressing them one by one.
_ZSTD_AT_ONCE = 8 << 20


def get_compressions() -> set[str]:
    """Return every spelling of every compression, such as ``'gz'`` and ``'gz:6'``.

    Example:
        >>> {'br', 'gz:6', 'zstd'} <= get_compressions()
        True
    """
    return set(_spellings())


def is_compression(algo: Any) -> bool:
    """Tell whether ``algo`` is the spelling of a compression.

    Args:
        algo: Text that may be one.

    Example:
        >>> is_compression('zstd:22'), is_compression('zstd:23')
        (True, False)
    """
    return isinstance(algo, str) and algo in _spellings()


def get_compression_extension(algo: str) -> str:
    """Return the file extension of a compression, without a dot.

    Args:
        algo: ``'family'`` or ``'family:level'``.

    Raises:
        UnknownNameError: There is no such compression.

    Example:
        >>> get_compression_extension('zstd:9')
        'zstd'
    """
    family, _ = _parse(algo)
    return family


def compress(algo: str | None, data: bytes) -> bytes:
    """Compress ``data``.

    Args:
        algo: ``'family'`` or ``'family:level'``; ``None`` returns the data as it is.
        data: The bytes.

    Raises:
        UnknownNameError: There is no such compression.
        MissingDependencyError: Its package is not installed.

    Example:
        >>> from streaming.base.compression import compress, decompress
        >>> decompress('zstd', compress('zstd:9', b'text'))
        b'text'
    """
    if algo is None:
        return data
    family, level = _parse(algo)
    return _FAMILIES[family].compress(data, level)


def compress_pieces(algo: str, pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Compress bytes that come in pieces. The result is that of :func:`compress`, to the byte.

    Args:
        algo: ``'family'`` or ``'family:level'``. Only zstd works piece by piece; the others put the pieces together.
        pieces: The bytes, in order. They are taken once.
        size: Their number.

    Yields:
        The compressed bytes, in order.

    Raises:
        UnknownNameError: There is no such compression.
        MissingDependencyError: Its package is not installed.
    """
    family, level = _parse(algo)
    # At the very end of a job, a stream would add an empty block.
    if family != "zstd" or size <= _ZSTD_JOB_BYTES or size % _ZSTD_JOB_BYTES == 0:
        yield _FAMILIES[family].compress(b"".join(pieces), level)
        return
    if size <= _ZSTD_AT_ONCE:
        yield _compress_zstd(b"".join(pieces), level)
        return
    with borrowed_compressor(level) as compressor:
        stream = compressor.compressobj(size=size)
        for piece in pieces:
            if out := stream.compress(piece):
                yield out
        yield stream.flush()


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

    Example:
        >>> from streaming.base.compression import compress, decompress
        >>> decompress('gz', compress('gz', b'text' * 100), max_bytes=400) == b'text' * 100
        True
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

    def __init__(self, family: str, decoder: decoders.Decoder, max_bytes: int | None) -> None:
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
                        f"{self._family} data decompresses to more than the {self._max_bytes} bytes it should have."
                    )
                parts.append(piece)
        except ShardFormatError:
            raise
        except Exception as error:  # each library has exceptions of its own
            raise ShardFormatError(f"Damaged {self._family} data: {error}") from error
        return b"".join(parts)


@dataclass(frozen=True)
class _Family:
    """A kind of compression."""

    levels: range
    default: int
    compress: Callable[[bytes, int], bytes]
    decoder: Callable[[int | None], decoders.Decoder]


def _compress_br(data: bytes, level: int) -> bytes:
    return optional_import("brotli", "compression", "Brotli").compress(data, quality=level)


def _compress_bz2(data: bytes, level: int) -> bytes:
    return bz2.compress(data, level)


def _compress_gz(data: bytes, level: int) -> bytes:
    # A fixed time stamp: equal data gives equal files and hashes.
    return gzip.compress(data, level, mtime=0)


def _compress_snappy(data: bytes, _level: int) -> bytes:
    return bytes(optional_import("snappy", "compression", "Snappy").compress(data))


def _compress_zstd(data: bytes, level: int) -> bytes:
    if len(data) <= _ZSTD_JOB_BYTES:
        import zstandard

        return zstandard.ZstdCompressor(level=level).compress(data)
    with borrowed_compressor(level) as compressor:
        return compressor.compress(data)


_FAMILIES = {
    "br": _Family(range(12), 11, _compress_br, decoders.brotli),
    "bz2": _Family(range(1, 10), 9, _compress_bz2, decoders.bzip2),
    "gz": _Family(range(10), 9, _compress_gz, decoders.gzip),
    "snappy": _Family(range(0), 0, _compress_snappy, decoders.snappy),
    "zstd": _Family(range(1, 23), 3, _compress_zstd, decoders.zstd),
}


@lru_cache(maxsize=1)
def _spellings() -> dict[str, tuple[str, int]]:
    names: dict[str, tuple[str, int]] = {}
    for name, family in _FAMILIES.items():
        names[name] = name, family.default
        names.update({f"{name}:{level}": (name, level) for level in family.levels})
    return names


def _parse(algo: str) -> tuple[str, int]:
    try:
        return _spellings()[algo]
    except (KeyError, TypeError):
        known = ", ".join(
            f"{name} (levels {family.levels[0]} to {family.levels[-1]})" if family.levels else name
            for name, family in _FAMILIES.items()
        )
        raise UnknownNameError(f"Unknown compression {algo!r}. Known: {known}.") from None
