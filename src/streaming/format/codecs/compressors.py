"""Zstandard compressors that are used again: what one allocates costs as much as compressing, for data that is not small."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import zstandard

__all__ = ["borrowed_compressor", "drop_compressors"]

#: Compressors that wait for work, of all threads together. Of high levels, none does: they hold much memory.
_MOST_IDLE = 16
_HIGHEST_IDLE_LEVEL = 9


class _Idle:
    """Compressors that nobody uses at the moment."""

    def __init__(self) -> None:
        self.compressors: list[tuple[int, zstandard.ZstdCompressor]] = []
        self.is_forking = False

    def drop(self) -> None:
        """Free them. Each has a thread, which this ends."""
        self.compressors = []

    def before_fork(self) -> None:
        # A child would have compressors without their threads, and wait for these when it frees them.
        self.is_forking = True
        self.drop()

    def after_fork(self) -> None:
        self.is_forking = False


_idle = _Idle()
os.register_at_fork(before=_idle.before_fork, after_in_parent=_idle.after_fork, after_in_child=_idle.after_fork)


@contextmanager
def borrowed_compressor(level: int) -> Iterator[zstandard.ZstdCompressor]:
    """Lend a compressor that splits its input into jobs, for one input.

    Args:
        level: Of the compression.
    """
    compressor = None
    try:
        found = next(item for item in _idle.compressors if item[0] == level)
        _idle.compressors.remove(found)
        compressor = found[1]
    except (StopIteration, ValueError):  # there is none, or another thread took it just now
        pass
    if compressor is None:
        import zstandard

        compressor = zstandard.ZstdCompressor(level=level, threads=1)
    yield compressor
    # One that failed in the middle of its input is not lent again.
    if level <= _HIGHEST_IDLE_LEVEL and len(_idle.compressors) < _MOST_IDLE and not _idle.is_forking:
        _idle.compressors.append((level, compressor))


def drop_compressors() -> None:
    """Free the compressors that nobody uses at the moment."""
    _idle.drop()
