"""Samples of one size, gathered from many shards into one block of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["gather_rows", "groups_of"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

#: From so many rows a shard on, gathering a shard's rows at once beats copying row by row.
_GROUP = 16


def gather_rows(out: Bytes, shards: Ints, indexes: Ints, rows_of: Callable[[int], Bytes]) -> None:
    """Copy rows of shards.

    Args:
        out: ``uint8[k, row_bytes]``, where they go, in order.
        shards: ``int64[k]``, the shard of each row.
        indexes: ``int64[k]``, its index there.
        rows_of: Returns the rows of a shard, ``uint8[n, row_bytes]``.
    """
    groups = groups_of(shards)
    if groups is not None and len(groups) == 1:
        np.take(rows_of(int(shards[0])), indexes, axis=0, out=out, mode="clip")  # without "clip" it takes a detour
        return
    if groups is not None:
        for shard, places in groups:
            out[places] = rows_of(shard).take(indexes[places], axis=0)
        return
    known: dict[int, Any] = {}
    for place, (shard, index) in enumerate(zip(shards.tolist(), indexes.tolist(), strict=True)):
        rows = known.get(shard)
        if rows is None:
            rows = known[shard] = rows_of(shard)
        out[place] = rows[index]


def groups_of(shards: Ints) -> list[tuple[int, Ints]] | None:
    """Return each shard with the places where it stands, or ``None`` if most stand in too few for groups to be worth it.

    Args:
        shards: ``int64[k]``, not empty.
    """
    order = np.argsort(shards, kind="stable")
    grouped = shards[order]
    edges = np.flatnonzero(np.append(True, grouped[1:] != grouped[:-1]))
    if len(shards) < _GROUP * len(edges) and len(edges) > 1:
        return None
    ends = [*edges[1:].tolist(), len(shards)]
    return [(int(grouped[begin]), order[begin:end]) for begin, end in zip(edges.tolist(), ends, strict=True)]
