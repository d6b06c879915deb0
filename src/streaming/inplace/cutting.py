"""Which pieces of which files make a shard: small neighbours together, large ones cut, so that it is tens of megabytes.

It depends on the files alone, not on which columns are wanted: so the order of samples does not, either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from streaming.sources.pieces import Piece

__all__ = ["Run", "cut_pieces", "cut_shards"]

#: What a shard is to take, decoded. Of a source that is small, shards are: the first batch comes of one or two of them.
SHARD_BYTES = 1 << 26
_SHARDS, _LEAST_BYTES = 128, 1 << 18
#: What is left whole: to cut it would have its bytes fetched more than once.
_WHOLE_BYTES = 2 * SHARD_BYTES


class Run(NamedTuple):
    """Neighbouring pieces of one file.

    Attributes:
        file: Number of the file.
        pieces: The pieces.
    """

    file: int
    pieces: tuple[Piece, ...]


def cut_shards(pieces: Sequence[Sequence[Piece]]) -> Iterator[list[Run]]:
    """Yield what each shard is made of, in order.

    Args:
        pieces: The pieces of each file.
    """
    total = sum(piece.bytes for of_file in pieces for piece in of_file)
    most = min(SHARD_BYTES, max(_LEAST_BYTES, total // _SHARDS))
    runs: list[Run] = []
    size = 0
    for number, of_file in enumerate(pieces):
        some: list[Piece] = []
        for piece in of_file:
            if size and size + piece.bytes > most:
                yield [*runs, *([Run(number, tuple(some))] if some else [])]
                runs, some, size = [], [], 0
            some.append(piece)
            size += piece.bytes
        if some:
            runs.append(Run(number, tuple(some)))
    if runs:
        yield runs


def cut_pieces(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces of a file that begin and end where rows do, those larger than a shard in parts of like size."""
    return [part for piece in pieces for part in _cut(piece)]


def _cut(piece: Piece) -> Iterator[Piece]:
    """Yield the parts of a piece, of like size, none much larger than a shard."""
    count = 1 if piece.bytes <= _WHOLE_BYTES else min(-(-piece.bytes // SHARD_BYTES), piece.rows)
    bounds = [piece.begin + piece.rows * i // count for i in range(count + 1)]
    for begin, end in pairwise(bounds):
        yield Piece(begin, end, end - begin, piece.bytes * (end - begin) // (piece.rows or 1))
