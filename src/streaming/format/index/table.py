"""The index of a dataset: which shards there are, with which files, columns and sample counts.

Held as columns, not as one object per shard, so that ten million shards take arrays alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.format.index.entry import VERSION
from streaming.format.index.files import FileInfo, FileTable
from streaming.format.index.parse import parse_index
from streaming.format.samples.schema import Schema

__all__ = ["Index", "ShardInfo", "digest_of", "dump_index"]


@dataclass(frozen=True)
class ShardInfo:
    """One shard of an index.

    Args:
        schema: What it shares with other shards.
        samples: Number of samples.
        raw: Its files as they are read, the meta file before the data file if there are two.
        zip: The compressed file of each of ``raw``, ``None`` where there is none.
    """

    schema: Schema
    samples: int
    raw: tuple[FileInfo, ...]
    zip: tuple[FileInfo | None, ...]


@dataclass(frozen=True, eq=False)
class Index:
    """All shards of a dataset, by column. Plain arrays throughout; ``n`` is the number of shards.

    Args:
        samples: ``int64[n]``, samples of each shard.
        schemas: The distinct schemas.
        schema_ids: ``int32[n]``, which schema each shard has.
        raw_data: The data file of each shard.
        raw_meta: The meta file of each shard (split formats).
        zip_data: The compressed data file of each shard.
        zip_meta: The compressed meta file of each shard (split formats).
        digest: 16 bytes that identify the ``index.json``, all of it; empty where there is none.
    """

    samples: NDArray[np.int64]
    schemas: tuple[Schema, ...]
    schema_ids: NDArray[np.int32]
    raw_data: FileTable
    raw_meta: FileTable
    zip_data: FileTable
    zip_meta: FileTable
    digest: bytes = b""

    @classmethod
    def parse(cls, data: bytes, source: str) -> Index:
        """Read an ``index.json``.

        Args:
            data: Its contents.
            source: Its path or URL, for error texts.

        Returns:
            The index.

        Raises:
            IndexNotJSONError: It is not JSON.
            IndexFormatError: It is not a valid version 2 index.
        """
        return cls(*parse_index(data, source), digest=digest_of(data))

    @classmethod
    def concatenate(cls, indexes: Sequence[Index]) -> Index:
        """Join indexes: all shards of the first, then all of the second, and so on."""
        schemas: dict[Schema, int] = {}
        schema_ids = [np.empty(0, np.int32)]
        for index in indexes:
            new_ids = [schemas.setdefault(schema, len(schemas)) for schema in index.schemas]
            schema_ids.append(np.array(new_ids, np.int32)[index.schema_ids])
        return cls(
            np.concatenate([np.empty(0, np.int64), *(index.samples for index in indexes)]),
            tuple(schemas),
            np.concatenate(schema_ids),
            FileTable.concatenate([index.raw_data for index in indexes]),
            FileTable.concatenate([index.raw_meta for index in indexes]),
            FileTable.concatenate([index.zip_data for index in indexes]),
            FileTable.concatenate([index.zip_meta for index in indexes]),
        )

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return len(self.samples)

    @cached_property
    def num_samples(self) -> int:
        """Number of samples of all shards."""
        return int(self.samples.sum())

    @cached_property
    def raw_bytes(self) -> NDArray[np.int64]:
        """``int64[n]``, bytes of each shard as it is read, its meta file included."""
        return _total(self.raw_data, self.raw_meta)

    @cached_property
    def zip_bytes(self) -> NDArray[np.int64]:
        """``int64[n]``, bytes of each shard compressed; 0 where it is not."""
        return _total(self.zip_data, self.zip_meta)

    def __len__(self) -> int:
        return len(self.samples)

    def begins_with(self, other: Index) -> bool:
        """Say whether its first shards are those of another index: whether it may be that one, appended to."""
        count = other.num_shards
        return (
            np.array_equal(self.samples[:count], other.samples)
            and [self.schemas[i] for i in self.schema_ids[:count].tolist()]
            == [other.schemas[i] for i in other.schema_ids.tolist()]
            and self.raw_data.begins_with(other.raw_data)
            and self.raw_meta.begins_with(other.raw_meta)
            and self.zip_data.begins_with(other.zip_data)
            and self.zip_meta.begins_with(other.zip_meta)
        )

    def raw_names(self, shard_id: int) -> list[str]:
        """Return the names of a shard's files as they are read, the meta file before the data file if there are two."""
        names = [self.raw_data.names[shard_id]]
        if self.schemas[int(self.schema_ids[shard_id])].is_split:
            names.insert(0, self.raw_meta.names[shard_id])
        return names

    def shard(self, shard_id: int) -> ShardInfo:
        """Return a shard's entry, made for the occasion.

        Args:
            shard_id: From 0 up to, not including, the number of shards.

        Raises:
            IndexError: There is no such shard.
        """
        if not 0 <= shard_id < len(self.samples):
            raise IndexError(f"No shard {shard_id}: the index has {len(self.samples)} shards.")
        schema = self.schemas[int(self.schema_ids[shard_id])]
        pairs = [(self.raw_data[shard_id], self.zip_data[shard_id])]
        if schema.is_split:
            pairs.insert(0, (self.raw_meta[shard_id], self.zip_meta[shard_id]))
        return ShardInfo(
            schema,
            int(self.samples[shard_id]),
            tuple(raw for raw, _ in pairs if raw is not None),
            tuple(zipped for _, zipped in pairs),
        )


def digest_of(data: bytes) -> bytes:
    """Return 16 bytes that identify the contents of an ``index.json``."""
    return blake2b(data, digest_size=16).digest()


def _total(data: FileTable, meta: FileTable) -> NDArray[np.int64]:
    return np.maximum(data.bytes, 0) + np.maximum(meta.bytes, 0)


def dump_index(entries: Sequence[dict[str, Any]]) -> bytes:
    """Return the contents of an ``index.json``.

    Args:
        entries: The entry of each shard: the encoder's static fields, ``samples``, and the files.
    """
    return json.dumps({"shards": list(entries), "version": VERSION}, sort_keys=True).encode()
