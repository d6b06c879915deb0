"""A file of a source, at the version that was listed: read by ranges, or opened as if it were here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from streaming.cache.fetching.parts import PART_BYTES
from streaming.cache.fetching.spans import cut, join
from streaming.core.errors import UnavailableError
from streaming.storage import versions
from streaming.storage.providers.local import LocalStore
from streaming.storage.store import ObjectInfo, Store

__all__ = ["STEP_BYTES", "NotArrivedError", "SourceFile"]

STEP_BYTES = 8 << 20

_REQUESTS = 8
#: So many are soon answered; of more, neighbours are asked for at once.
_FEW_REQUESTS = 4 * _REQUESTS


def _nothing(count: int) -> None:
    del count


class NotArrivedError(Exception):
    """What was fetched of a file already is not enough."""


@dataclass(frozen=True)
class SourceFile:
    """A file.

    Attributes:
        store: Where it is.
        info: Its name there, size and version.
        came: Told of bytes that came from the store.
        step_bytes: How much is fetched at once where it is read from its begin to its end.
        arrived: What was fetched already, by where it begins, until it is read.
        may_fetch: Whether anything else may be read.
    """

    store: Store
    info: ObjectInfo
    came: Callable[[int], Any] = field(default=_nothing, compare=False)
    step_bytes: int = field(default=STEP_BYTES, compare=False)
    arrived: dict[int, bytes] = field(default_factory=dict[int, bytes], compare=False)
    may_fetch: bool = field(default=True, compare=False)

    @property
    def name(self) -> str:
        """Its name, for error texts."""
        return self.info.path

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.info.bytes

    def read(self, begin: int, end: int) -> bytes:
        """Return bytes ``[begin, end)``.

        Raises:
            NotArrivedError: It was not fetched already, and may not be.
            ObjectChangedError: It is another version now.
            StorageError: It cannot be read.
        """
        data = self.arrived.pop(begin, b"")
        if len(data) != end - begin or not data:
            if not self.may_fetch:
                raise NotArrivedError
            data, _ = versions.read(self.store, self.info.path, begin, end, version=self.info.etag)
        self.came(len(data))
        if len(data) != end - begin:
            raise UnavailableError(f"{self.store!r}/{self.name} ended early: {len(data)} bytes came of {end - begin}.")
        return data

    @contextmanager
    def open(self, ranges: Sequence[tuple[int, int]]) -> Iterator[IO[bytes]]:
        """Open a local file that has these ranges of it at their places, and zeros elsewhere.

        Args:
            ranges: First byte and one behind the last of each, in ascending order.

        Raises:
            ObjectChangedError: It is another version now.
            StorageError: It cannot be read.
        """
        if isinstance(self.store, LocalStore):
            self.read(0, 0)  # of the version that was listed
            with open(os.path.join(self.store.directory, self.info.path), "rb") as file:
                yield file
                self.read(0, 0)
            return
        with tempfile.TemporaryFile(prefix="streaming-") as file:
            os.truncate(file.fileno(), self.size)
            self._fill(file.fileno(), ranges)
            yield file

    def _fill(self, fd: int, ranges: Sequence[tuple[int, int]]) -> None:
        begins, ends = np.array(ranges, np.int64).reshape(-1, 2).T
        wanted = list(cut(*join(begins, ends, _FEW_REQUESTS), PART_BYTES))

        def get(part: tuple[int, int]) -> None:
            os.pwrite(fd, self.read(*part), part[0])

        if len(wanted) == 1:
            get(wanted[0])
            return
        with ThreadPoolExecutor(min(_REQUESTS, len(wanted) or 1), "streaming-source") as threads:
            list(threads.map(get, wanted))
