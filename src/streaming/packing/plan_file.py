"""The plan of a packed stream: the length of every document, and how the bins are filled.

Neighbouring shards of few documents are packed together: such a group is planned as if it were its first shard.

It is a function of the lengths, made once and kept in a file, which processes map: a start costs what it takes to read one
number for each shard.

Layout: for each group its lengths, ``<u4`` or ``<f8``, its slots and how many each bin has, ``<u4``, filled up to eight
bytes; then a NumPy array of :data:`_ROW`, one for each shard; then what identifies the plan, JSON; then the length of that,
``<u8``, and a mark.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable
from hashlib import blake2b
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streaming.packing.groups import groups
from streaming.packing.options import Bucket, Pack
from streaming.packing.pieces import cut, fit

__all__ = ["PlanFile", "read_plan", "write_plan"]

_MARK = b"STRMPACK"
_VERSION = 2
#: ``shards`` are those of the group, 0 for shards that are in one whose first they are not.
_ROW = np.dtype([(name, "<i8") for name in ("begin", "shards", "documents", "pieces", "bins")])


class PlanFile:
    """A plan in a file, or in memory where there is no place for one.

    Legend: S shards.

    Args:
        source: Path of the file, or what it would hold.

    Attributes:
        name: What the plan was made of, as :func:`write_plan` was told.
        digest: 16 hexadecimal digits of all lengths, and of which shards are packed together.
        counts: ``int64[S]``, bins of each shard.
        reach: ``int64[S]``, one past the last shard whose documents are in these; ``None`` where that is always the same.
        num_documents: Documents of all shards.

    Raises:
        ValueError: It is no plan, or not a whole one.
    """

    def __init__(self, source: str | bytes) -> None:
        self._source = source
        self._map()

    def _map(self) -> None:
        if isinstance(self._source, str):
            with open(self._source, "rb") as file:
                self._data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        else:
            self._data = self._source
        end = len(self._data) - len(_MARK) - 8
        if end < 0 or self._data[end + 8 :] != _MARK:
            raise ValueError("no plan of bins, or not a whole one")
        begin = end - int.from_bytes(self._data[end : end + 8], "little")
        facts: dict[str, Any] = json.loads(self._data[begin:end])
        if facts["version"] != _VERSION:
            raise ValueError("a plan of bins of another version")
        self.name: str = facts["name"]
        self.digest: str = facts["digest"]
        self._dtype = np.dtype(facts["dtype"])
        shards: int = facts["shards"]
        self._table: Any = np.frombuffer(self._data, _ROW, shards, begin - shards * _ROW.itemsize)
        self.counts: NDArray[np.int64] = self._table["bins"].astype(np.int64)
        self.num_documents = int(self._table["documents"].sum())
        together: NDArray[np.int64] = self._table["shards"].astype(np.int64)
        self.reach = None if (together == 1).all() else np.arange(shards) + np.maximum(together, 1)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the place of the file."""
        return {"_source": self._source}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map it again."""
        self.__dict__.update(state)
        self._map()

    def lengths(self, shard: int) -> NDArray[Any]:
        """Return the length of each document of a shard, and of those that are packed with it."""
        row = self._table[shard]
        return np.frombuffer(self._data, self._dtype, int(row["documents"]), int(row["begin"]))

    def slots(self, shard: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the slots of a shard, bin after bin, and how many each bin has: what :func:`fit` made."""
        row = self._table[shard]
        pieces, bins = int(row["pieces"]), int(row["bins"]) if row["pieces"] else 0
        begin = int(row["begin"]) + int(row["documents"]) * self._dtype.itemsize
        found = np.frombuffer(self._data, "<u4", pieces + bins, begin).astype(np.int64)
        return found[:pieces], found[pieces:]


def write_plan(
    file: IO[bytes],
    sizes: NDArray[np.int64],
    lengths: Iterable[NDArray[Any]],
    rule: Pack | Bucket,
    name: str,
    first_id: int = 0,
) -> None:
    """Plan every shard.

    Args:
        file: Where the plan goes.
        sizes: ``int64[S]``, bytes of each shard.
        lengths: Yields the length of each document of each shard.
        rule: How they are put into bins.
        name: What the plan is made of.
        first_id: Id of the first document, for error texts.

    Raises:
        ConfigError: A document is too long for the rule.
    """
    dtype = np.dtype("<f8" if isinstance(rule, Bucket) else "<u4")
    shards = len(sizes)
    table = np.zeros(shards, _ROW)
    digest = blake2b(digest_size=8)
    at = shard = documents = 0
    for together, given in groups(sizes, lengths, rule):
        found = np.ascontiguousarray(given.astype(dtype))
        pieces = cut(found, rule, first_id + documents)
        slots, counts = fit(pieces, rule)
        number = len(counts)
        if isinstance(rule, Pack) and rule.method == "concat":
            number = -(-int(pieces.lengths.sum()) // rule.to)
        data = found.tobytes() + np.concatenate([slots, counts]).astype("<u4").tobytes()
        data += bytes(-len(data) % 8)
        table[shard] = at, together, len(found), len(slots), number
        at, shard, documents = at + len(data), shard + together, documents + len(found)
        digest.update(found.data)
        file.write(data)
        file.flush()
    if (table["shards"] != 1).any():
        digest.update(table["shards"].tobytes())
    facts = json.dumps(
        {"version": _VERSION, "name": name, "digest": digest.hexdigest(), "dtype": dtype.str, "shards": shards}
    ).encode()
    file.write(table.tobytes() + facts + len(facts).to_bytes(8, "little") + _MARK)
    file.flush()


def read_plan(path: str, name: str) -> PlanFile | None:
    """Return a plan if there is one, and it is of what is asked for."""
    try:
        found = PlanFile(path) if os.path.exists(path) else None
    except (OSError, ValueError):
        return None
    return found if found is not None and found.name == name else None
