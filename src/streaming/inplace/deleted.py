"""Files of which some rows were deleted: what stays of their pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streaming.sources.pieces import Piece

__all__ = ["surviving"]


def surviving(pieces: Sequence[list[Piece]], gone: Mapping[int, NDArray[np.int64]]) -> list[list[Piece]]:
    """Return the pieces of files with the rows that they have left, without those that have none.

    Args:
        pieces: The pieces of each file.
        gone: By the number of a file, the rows of it that were deleted, in ascending order.
    """
    return [_left(of_file, gone[number]) if number in gone else of_file for number, of_file in enumerate(pieces)]


def _left(pieces: list[Piece], gone: NDArray[np.int64]) -> list[Piece]:
    found: list[Piece] = []
    at = 0
    for piece in pieces:
        begin, end = np.searchsorted(gone, [at, at + piece.rows])
        at += piece.rows
        if piece.rows > end - begin:
            found.append(piece._replace(rows=piece.rows - int(end - begin)))
    return found
