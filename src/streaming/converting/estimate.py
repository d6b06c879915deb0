"""How much a conversion would write, and how long it would take: by doing a little of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from streaming.converting.reading import Made, Reader
from streaming.core.errors import StreamingError
from streaming.format.encodings import mds_encode
from streaming.writing.rows.encoded import EncodedRows

__all__ = ["Estimate", "estimate"]

_STEP_BYTES = 1 << 17  # what came is about what was used


class Estimate(NamedTuple):
    """What a conversion comes to, about.

    Attributes:
        samples: How many there are, ``None`` if nothing tells, like the others.
        raw_bytes: How much they take without compression.
        seconds: How long one process takes to read and encode them.
        is_all: Whether that is not estimated.
    """

    samples: int | None
    raw_bytes: int | None
    seconds: float | None
    is_all: bool


class _Counter:
    """Counts rows of the source and bytes of its files that were read."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0

    def __call__(self, rows: Iterable[Made], at: Callable[[int], str]) -> Iterator[Made]:
        del at
        for row in rows:
            self.rows += 1
            yield row

    def came(self, count: int) -> None:
        self.bytes += count


def estimate(reader: Reader, limit_s: float = 2.0) -> Estimate:
    """Read and encode for a while, and tell from that what all will come to.

    Args:
        reader: Reads the source.
        limit_s: How long, in seconds.
    """
    source, parts = reader.source, reader.source.parts
    counter, kept = _Counter(), source.files
    counted = replace(reader, steps=(counter, *reader.steps)) if reader.steps else reader
    source.files = replace(kept, came=counter.came, step_bytes=_STEP_BYTES)
    began = time.perf_counter()
    count = size = 0
    is_all = True
    try:
        for part in parts:
            for made in counted(part):
                if isinstance(made, StreamingError):
                    if not kept.skips:
                        raise made
                    continue
                count += len(made.sizes) if isinstance(made, EncodedRows) else 1
                size += _size(made, reader)
                if time.perf_counter() - began > limit_s:
                    is_all = False
                    break
            if not is_all:
                break
    finally:
        source.files = kept
    seconds = time.perf_counter() - began
    if is_all:
        return Estimate(count, size, seconds, True)
    if all(part.rows >= 0 for part in parts):
        done = (counter.rows if reader.steps else count) / max(1, sum(part.rows for part in parts))
    else:
        done = min(1.0, counter.bytes / max(1, sum(info.bytes for info in kept.infos)))
    if not done:
        return Estimate(None, None, None, False)
    return Estimate(round(count / done), round(size / done), seconds / done, False)


def _size(made: Made, reader: Reader) -> int:
    if isinstance(made, EncodedRows):
        return len(made.data)
    rows = made if not isinstance(made, StreamingError) else {}
    return sum(len(mds_encode(encoding, rows[name])) for name, encoding in reader.encodings.items())
