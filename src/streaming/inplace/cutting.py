"""Which pieces of which files make a shard: small neighbours together, so that it is tens of megabytes.

It depends on the files alone, not on which columns are wanted: so the order of samples does not, either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from streaming.sources.pieces import Piece, Scanned

__all__ = ["Run", "cut_shards"]

#: What a shard is to take, decoded.
SHARD_BYTES = 1 << 26


class Run(NamedTuple):
    """Neighbouring pieces of one file.

    Attributes:
        file: Number of the file.
        pieces: The pieces.
    """

    file: int
    pieces: tuple[Piece, ...]


def cut_shards(scanned: Scanned) -> Iterator[list[Run]]:
    """Yield what each shard is made of, in order."""
    runs: list[Run] = []
    size = 0
    for number, pieces in enumerate(scanned.pieces):
        some: list[Piece] = []
        for piece in pieces:
            if size and size + piece.bytes > SHARD_BYTES:
                yield [*runs, *([Run(number, tuple(some))] if some else [])]
                runs, some, size = [], [], 0
            some.append(piece)
            size += piece.bytes
        if some:
            runs.append(Run(number, tuple(some)))
    if runs:
        yield runs
