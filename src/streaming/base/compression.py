"""Compression of shard files: the functions, and a class for each algorithm as user code knows them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from streaming.core.errors import ConfigError
from streaming.format.codecs.compression import (
    compress,
    decompress,
    get_compression_extension,
    get_compressions,
    is_compression,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Brotli",
    "Bzip2",
    "Compression",
    "Gzip",
    "LevelledCompression",
    "Snappy",
    "Zstandard",
    "compress",
    "decompress",
    "get_compression_extension",
    "get_compressions",
    "is_compression",
]


class Compression(ABC):
    """An algorithm.

    Attributes:
        extension: Of compressed files, without a dot.

    Example:
        >>> [spelling for spelling, _ in Snappy.each()]
        ['snappy']
    """

    extension: ClassVar[str]

    @classmethod
    def each(cls) -> Iterator[tuple[str, Self]]:
        """Yield every spelling of the algorithm, and the object for it."""
        yield cls.extension, cls()

    @abstractmethod
    def compress(self, data: bytes) -> bytes:
        """Compress data."""

    @abstractmethod
    def decompress(self, data: bytes) -> bytes:
        """Decompress data."""


class LevelledCompression(Compression):
    """An algorithm with levels.

    Args:
        level: How hard to try, one of :attr:`levels`.

    Raises:
        ConfigError: There is no such level.

    Example:
        >>> [spelling for spelling, _ in Bzip2.each()][:3]
        ['bz2', 'bz2:1', 'bz2:2']
    """

    levels: ClassVar[Sequence[int]]
    default_level: ClassVar[int]

    def __init__(self, level: int | None = None) -> None:
        self.level: int = self.default_level if level is None else level
        if self.level not in self.levels:
            raise ConfigError(f"{self.extension} has levels {self.levels[0]} to {self.levels[-1]}, got {level!r}.")

    @classmethod
    def each(cls) -> Iterator[tuple[str, Self]]:
        """Yield every spelling of the algorithm, and the object for it."""
        yield cls.extension, cls()
        for level in cls.levels:
            yield f"{cls.extension}:{level}", cls(level)

    def compress(self, data: bytes) -> bytes:
        """Compress data."""
        return compress(f"{self.extension}:{self.level}", data)

    def decompress(self, data: bytes) -> bytes:
        """Decompress data."""
        return decompress(self.extension, data)


class Brotli(LevelledCompression):
    """Brotli (RFC 7932).

    Args:
        level: How hard to try, 0 (fastest) to 11 (smallest).

    Example:
        >>> Brotli().decompress(Brotli(5).compress(b'text'))
        b'text'
    """

    extension = "br"
    levels: ClassVar[Sequence[int]] = list(range(12))
    default_level = 11

    def __init__(self, level: int = 11) -> None:
        super().__init__(level)


class Bzip2(LevelledCompression):
    """Bzip2 (https://sourceware.org/bzip2).

    Args:
        level: How hard to try, 1 (fastest) to 9 (smallest).

    Example:
        >>> Bzip2().decompress(Bzip2(9).compress(b'text'))
        b'text'
    """

    extension = "bz2"
    levels: ClassVar[Sequence[int]] = list(range(1, 10))
    default_level = 9

    def __init__(self, level: int = 9) -> None:
        super().__init__(level)


class Gzip(LevelledCompression):
    """Gzip (RFC 1952), with a fixed time stamp: equal data gives equal files.

    Args:
        level: How hard to try, 0 (not at all) to 9 (smallest).

    Example:
        >>> Gzip().decompress(Gzip(6).compress(b'text'))
        b'text'
    """

    extension = "gz"
    levels: ClassVar[Sequence[int]] = list(range(10))
    default_level = 9

    def __init__(self, level: int = 9) -> None:
        super().__init__(level)


class Snappy(Compression):
    """Snappy (https://github.com/google/snappy), which has no levels.

    Example:
        >>> Snappy().decompress(Snappy().compress(b'text'))
        b'text'
    """

    extension = "snappy"

    def compress(self, data: bytes) -> bytes:
        """Compress data."""
        return compress(self.extension, data)

    def decompress(self, data: bytes) -> bytes:
        """Decompress data."""
        return decompress(self.extension, data)


class Zstandard(LevelledCompression):
    """Zstandard (RFC 8878).

    Args:
        level: How hard to try, 1 (fastest) to 22 (smallest).

    Example:
        >>> Zstandard().decompress(Zstandard(7).compress(b'text'))
        b'text'
    """

    extension = "zstd"
    levels: ClassVar[Sequence[int]] = list(range(1, 23))
    default_level = 3

    def __init__(self, level: int = 3) -> None:
        super().__init__(level)
