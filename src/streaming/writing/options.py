"""The options that all writers share, checked in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np

from streaming.columns.expressions import Expression, parse_expressions
from streaming.core.arguments import as_flag
from streaming.core.errors import ConfigError
from streaming.core.names import Compression, HashName
from streaming.core.units import bytes_to_int
from streaming.format.codecs.compression import is_compression
from streaming.format.codecs.hashing import get_hashes, is_hash
from streaming.storage.options import StorageOptions, seal

__all__ = ["WriterArguments", "WriterOptions", "checked_columns", "checked_workers"]

NoneType = type(None)


class WriterArguments(TypedDict, total=False):
    """What each writer takes by name besides what its format needs, for editors and type checkers.

    Each is explained at :class:`streaming.MDSWriter`; the defaults are those of :class:`WriterOptions`.
    """

    keep_local: bool
    compression: Compression | None
    hashes: Sequence[HashName] | None
    size_limit: int | str | None
    progress_bar: bool
    max_workers: int | None
    retry: int
    exist_ok: bool
    append: bool
    side_columns: str | Sequence[str] | None
    storage_options: StorageOptions | None


@dataclass(frozen=True, kw_only=True)
class WriterOptions:
    """The same with their defaults, checked.

    Raises:
        ConfigError: One cannot have this value, or two contradict each other.
    """

    keep_local: bool = False
    compression: Compression | None = None
    hashes: Sequence[HashName] | None = None
    size_limit: int | str | None = 1 << 26
    progress_bar: bool = False
    max_workers: int | None = None
    retry: int = 2
    exist_ok: bool = False
    append: bool = False
    side_columns: str | Sequence[str] | None = None
    storage_options: StorageOptions | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check them."""
        for name, value in {
            "max_workers": checked_workers(self.max_workers, "max_workers", 1),
            "retry": _checked_count("retry", self.retry, 0),
            "compression": _checked_compression(self.compression),
            "hashes": _checked_hashes(self.hashes),
            "size_limit": _checked_size_limit(self.size_limit),
            "keep_local": as_flag("keep_local", self.keep_local),
            "exist_ok": as_flag("exist_ok", self.exist_ok),
            "append": as_flag("append", self.append),
            "progress_bar": as_flag("progress_bar", self.progress_bar),
        }.items():
            object.__setattr__(self, name, value)
        if self.append and self.exist_ok:
            raise ConfigError("append=True adds to a dataset and exist_ok=True replaces it: pass one of them.")
        _ = self.expressions, seal(self.storage_options)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The side columns, none by default."""
        return () if self.side_columns is None else parse_expressions(self.side_columns)

    @property
    def most_bytes(self) -> int | None:
        """Largest raw size of a shard, ``None`` for no limit."""
        return None if self.size_limit is None else int(self.size_limit)


def _checked_compression(compression: Compression | None) -> Compression | None:
    """Return the compression, ``None`` for none.

    Raises:
        ConfigError: There is no such compression.
    """
    if compression is None or is_compression(compression):
        return compression
    if isinstance(compression, str) and not compression:  # pyright: ignore[reportUnnecessaryIsInstance]
        return None
    raise ConfigError(
        f"compression={compression!r} is not known. Use br, bz2, gz, snappy or zstd, with a level such as 'zstd:7' where it "
        "has levels."
    )


def _checked_hashes(hashes: Sequence[HashName] | None) -> list[HashName]:
    """Return the names of the hash algorithms.

    Raises:
        ConfigError: One is unknown, or they are not in ascending order.
    """
    given: Any = hashes
    single = isinstance(given, str)
    names: list[Any] = [] if given is None else list(given) if isinstance(given, Iterable) and not single else [None]
    if not all(isinstance(name, str) for name in names):
        example = [given] if single else ["sha1", "xxh64"]
        raise ConfigError(f"hashes must be a list of names such as {example}, got {given!r}.")
    if names != sorted(set(names)):
        raise ConfigError(f"hashes must be in ascending order without repeats, got {names}.")
    for name in names:
        if not is_hash(name):
            raise ConfigError(f"Unknown hash {name!r}. Known: {', '.join(sorted(get_hashes()))}.")
    return names


def _checked_size_limit(size_limit: int | str | None) -> int | None:
    """Return a size limit in bytes, ``None`` for none.

    Raises:
        ConfigError: It is no number of bytes, or more than a shard can hold.
    """
    if isinstance(size_limit, bool) or not isinstance(size_limit, (int, str, np.integer, NoneType)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"size_limit must be a number of bytes, text such as '64mb', or None; got {size_limit!r}.")
    if not size_limit:
        return None
    limit = bytes_to_int(size_limit if isinstance(size_limit, str) else int(size_limit))
    if limit < 0:
        raise ConfigError(f"size_limit must not be negative, got {size_limit!r}.")
    if limit >= 1 << 32:
        raise ConfigError(
            f"size_limit must be below 4 GiB, which is what a shard's offsets can address; got {size_limit!r}."
        )
    return limit or None


def checked_workers(workers: int | None, name: str = "workers", least: int = 0) -> int | None:
    """Return a number of workers, or ``None`` if none is given.

    Raises:
        ConfigError: It is no such number.
    """
    return None if workers is None else _checked_count(name, workers, least)


def checked_columns(columns: Mapping[str, str]) -> Mapping[str, str]:
    """Return the encodings of columns.

    Raises:
        ConfigError: They are not given by name, or there are none.
    """
    if not isinstance(columns, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"columns must be a dict of encodings by name, such as {{'text': 'str'}}; got {columns!r:.200}."
        )
    if not columns:
        raise ConfigError("columns is empty, so that nothing of a sample would be stored. Name one at least.")
    return columns


def _checked_count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigError(f"{name} must be an integer of at least {least}, got {value!r}.")
    return int(value)
