"""Shards that are parts of one piece of a file, as of a large row group: it is gone through once, for all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import SourceError
from streaming.inplace.cutting import Run
from streaming.inplace.recipe import SourceRecipe, read_batches, to_columns
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece
from streaming.storage.store import Store

__all__ = ["make_parts", "neighbours", "parts_of"]


def parts_of(
    shards: Sequence[Sequence[Run]], whole: Sequence[Sequence[Piece]], cut: Sequence[Sequence[Piece]]
) -> NDArray[np.int64]:
    """Return ``int64[S]``, a number of the piece of which each of S shards is a part, and nothing else; -1 for others.

    Args:
        shards: What each is made of.
        whole: The pieces of each file.
        cut: The same, the large ones in parts.
    """
    found = np.full(len(shards), -1, np.int64)
    firsts = np.cumsum([0, *map(len, whole)]).tolist()
    for shard, runs in enumerate(shards):
        file = runs[0].file
        if len(runs) == len(runs[0].pieces) == 1 and len(cut[file]) > len(whole[file]):
            at = bisect_right(whole[file], runs[0].pieces[0].begin, key=lambda piece: piece.begin)
            found[shard] = firsts[file] + at
    return found


def neighbours(parts: NDArray[np.int64], shard: int) -> range:
    """Return the shards that are parts of the same piece as one is."""
    if parts[shard] < 0:
        return range(shard, shard + 1)
    begin, end = shard, shard + 1
    while begin and parts[begin - 1] == parts[shard]:
        begin -= 1
    while end < len(parts) and parts[end] == parts[shard]:
        end += 1
    return range(begin, end)


def make_parts(
    recipes: Sequence[SourceRecipe], store: Store, came: Callable[[int], Any], files: Sequence[IO[bytes]]
) -> Iterator[int]:
    """Write shards that are parts of one piece, in ascending order; yields the position of each as it is complete.

    Raises:
        SourceError: The file does not fit the columns, or was changed.
        ObjectChangedError: It is not the version that was looked into.
        StorageError: It cannot be read.
    """
    (taken,) = recipes[0].runs
    spans = [(piece.begin, piece.end) for recipe in recipes for piece in recipe.runs[0].pieces]
    first, last, at = spans[0][0], spans[-1][1], spans[0][0]
    file = SourceFile(store, taken.info, came)
    done, rows = 0, recipes[0].begin(files[0])
    names, table = recipes[0].schema.column_names, recipes[0].table
    taken = taken._replace(pieces=(Piece(first, last, last - first, 0),))
    for batch in read_batches(recipes[0].kind, file, taken, names):
        end = at + batch.num_rows
        while done < len(spans) and spans[done][0] < end:
            begin, stop = max(spans[done][0], at), min(spans[done][1], end)
            columns = to_columns(table, batch.slice(begin - at, stop - begin), taken, names, begin)
            recipes[done].add(rows, *columns, f"{taken.info.path}, rows from {begin}")
            if stop < spans[done][1]:
                break
            recipes[done].finish(rows)
            yield done
            done += 1
            if done < len(spans):
                rows = recipes[done].begin(files[done])
        at = end
    if done < len(spans):
        raise SourceError(f"{taken.info.path} ended early, at row {at:,}. It was changed after it was looked into.")
