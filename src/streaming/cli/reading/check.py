"""Checking one shard: its files and offsets, and its samples if asked for."""

from __future__ import annotations

from streaming.columns.shards import open_checked
from streaming.core.errors import ChecksumError, ObjectNotFoundError, ShardFormatError
from streaming.format.index import ShardInfo
from streaming.storage.store import Store

__all__ = ["check_shard"]

_DAMAGE = (ObjectNotFoundError, ChecksumError, ShardFormatError)


def check_shard(store: Store, info: ShardInfo, directory: str, decode: bool) -> list[str]:
    """Check a shard.

    Args:
        store: Where the dataset is.
        info: The shard's entry in the index.
        directory: An empty directory for temporary files.
        decode: Decode every sample, too.

    Returns:
        What is wrong, a text for each; empty if all is well.

    Raises:
        StorageError: The store could not be asked, which says nothing of the shard.
        MissingDependencyError: A package that decompresses is not installed.
        UnknownNameError: A column has an encoding that nobody registered.
    """
    try:
        shard = open_checked(store, info, directory)
    except _DAMAGE as error:
        return [str(error)]
    problems: list[str] = []
    try:
        for sample_id in range(len(shard) if decode else 0):
            try:
                shard.get(sample_id)
            except _DAMAGE as error:
                problems.append(str(error))
    finally:
        shard.close()
    return problems
