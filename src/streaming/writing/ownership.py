"""Whose a writer is, and what it still holds: a process of its own, any of its threads, and nothing lost in silence."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any, Protocol

__all__ = ["Unfinished", "watch_forks"]

logger = logging.getLogger(__name__)


class Unfinished:
    """Counts what a writer has been given; tells it if the writer goes away before its dataset is published.

    Args:
        writer: The writer. When it is collected, or the interpreter ends, while it holds samples, a line is logged.
        where: Where it writes to, for that line.

    Attributes:
        in_shards: Samples of the shards that were ended.
        new: The encoded samples of the present shard.
    """

    def __init__(self, writer: Any, where: str) -> None:
        self.in_shards = 0
        self.new: list[bytes] = []
        self._where = where
        self._pid = os.getpid()
        self._finalizer = weakref.finalize(writer, self._tell)

    def dismiss(self) -> None:
        """Say nothing: the dataset is published, or the caller was told why it is not."""
        self._finalizer.detach()

    def _tell(self) -> None:
        count = self.in_shards + len(self.new)
        if count and os.getpid() == self._pid:
            logger.warning(
                "A writer to %s was dropped with %s samples that no index lists: they are lost. Call its finish(), or use "
                "it as a context manager: `with MDSWriter(...) as out:`.",
                self._where,
                f"{count:,}",
            )


class Forked(Protocol):
    """A writer that can be told that it is a forked copy."""

    def leave_to_parent(self) -> None:
        """Refuse all further use, and touch nothing that the parent's own writer needs."""
        ...


_writers: weakref.WeakSet[Any] = weakref.WeakSet()


def watch_forks(writer: Forked) -> None:
    """Have a writer told when it finds itself in a forked process, where its threads, and what they do, are missing."""
    _writers.add(writer)


def _after_fork() -> None:
    for writer in list(_writers):
        writer.leave_to_parent()
    _writers.clear()


os.register_at_fork(after_in_child=_after_fork)
