"""The one index of all parts, and nothing beside it that it does not list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streaming.writing.parts.shards import PART_FILE
from streaming.writing.publish.base import Base
from streaming.writing.publish.entries import file_names
from streaming.writing.publish.target import Target

__all__ = ["publish"]


def publish(target: Target, entries: Iterable[dict[str, Any]], metadata: bytes | None = None) -> list[dict[str, Any]]:
    """Write the index of a dataset, and remove the shards of parts that it does not list: what attempts have left that died.

    Args:
        target: Where the dataset is.
        entries: The entries of its shards, in order; one that is there twice counts once.
        metadata: Contents of the file of metadata.

    Returns:
        The entries of the index.

    Raises:
        UploadError: A shard is not there, or the index could not be written.
    """
    listed = list({tuple(file_names(entry)): entry for entry in entries}.values())
    Base().publish(target, listed, metadata=metadata)
    names = {name for entry in listed for name in file_names(entry)}
    for info in list(target.published.list()):
        if PART_FILE.fullmatch(info.path) and info.path not in names:
            target.published.delete(info.path)
    return listed
