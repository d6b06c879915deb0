"""The dataset that a writer adds to: nothing, for a new one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from streaming.core.errors import ConfigError, ObjectNotFoundError, UploadError
from streaming.format.formats import ShardEncoder
from streaming.format.index import dump_index
from streaming.format.metadata import METADATA_NAME
from streaming.storage.store import Store
from streaming.writing.publish.entries import INDEX_NAME, file_names, read_entries
from streaming.writing.publish.stored import check_stored
from streaming.writing.publish.target import Target

__all__ = ["Base"]

_SHARD_NAME = re.compile(r"shard\.(\d+)\.")
_COLUMNS = ("format", "columns", "column_names", "column_encodings", "column_sizes", "newline", "separator")


@dataclass(frozen=True)
class Base:
    """What was there when a writer began.

    Attributes:
        index: The index as it was found, ``None`` for a new dataset.
        entries: Its entries.
        token: Part of the new shards' names, so that no other writer that appends to the same dataset in a store
            writes files of these names; empty where a directory's lock keeps others out.
    """

    index: bytes | None = None
    entries: tuple[dict[str, Any], ...] = ()
    token: str = ""

    @classmethod
    def open(cls, target: Target, encoder: ShardEncoder, *, append: bool, exist_ok: bool) -> Base:
        """Read what is there, or take it away.

        Args:
            target: Where the writer writes. It is closed if this fails.
            encoder: Of the samples to add.
            append: Whether to add to a dataset that is there.
            exist_ok: Whether a new dataset may replace what is in the local directory.

        Raises:
            FileExistsError: There is something to be replaced that may not be.
            ConfigError: The dataset that is there has other columns.
            UploadError: It lacks files, so that it could not be read with what is added either.
            IndexFormatError: What is there is no dataset.
            StorageError: It cannot be read.
        """
        try:
            if not append:
                target.clear(exist_ok)
                return cls()
            index = _read_index(target.published)
            entries = read_entries(index, f"{INDEX_NAME} of {target!r}") if index else []
            _check_columns(entries, encoder, target)
            check_stored(target.published, entries)
        except BaseException:
            target.close()
            raise
        return cls(index, tuple(entries), secrets.token_hex(4) if target.store is not None else "")

    @cached_property
    def next_number(self) -> int:
        """Number of the first new shard: the first that no shard, wherever it lies, has in its name."""
        found = (_SHARD_NAME.match(name) for entry in self.entries for name in file_names(entry))
        return max((int(match.group(1)) + 1 for match in found if match), default=0)

    def stem(self, number: int) -> str:
        """Return the name, up to the format, of the new shard of a number from 0."""
        stem = f"shard.{self.next_number + number:05}"
        return f"{stem}.{self.token}" if self.token else stem

    def publish(
        self,
        target: Target,
        entries: Sequence[dict[str, Any]],
        before: Callable[[bytes], None] | None = None,
        metadata: bytes | None = None,
    ) -> None:
        """Write and upload the index of what was there and what is new.

        Args:
            target: Where the shards are.
            entries: The entry of each new shard.
            before: Given the contents of the index once nothing speaks against it: writes what belongs to it.

            metadata: Contents of the file of metadata; ``None``: there is none, or that of the dataset that is added to.

        Raises:
            UploadError: A shard is not there, it cannot be uploaded, or another writer has changed the dataset meanwhile.
        """
        check_stored(target.published, entries)
        if self.index is not None and _read_index(target.published) != self.index:
            raise UploadError(
                f"The dataset at {target!r} was changed by another writer while this one appended to it; its index was "
                "left as that writer made it. Append again."
            )
        index = dump_index([*self.entries, *entries])
        if before is not None:
            before(index)
        if metadata is not None:
            target.write(METADATA_NAME, [[metadata]])
            target.upload(METADATA_NAME)
        elif self.index is None and target.store is not None:
            with suppress(ObjectNotFoundError):
                target.store.head(METADATA_NAME)  # of a dataset that was here before
                target.store.delete(METADATA_NAME)
        target.write(INDEX_NAME, [[index]])
        target.upload(INDEX_NAME)


def _read_index(store: Store) -> bytes | None:
    try:
        return store.get(INDEX_NAME)
    except ObjectNotFoundError:
        return None


def _check_columns(entries: Sequence[dict[str, Any]], encoder: ShardEncoder, target: Target) -> None:
    if not entries:
        return
    there, new = entries[-1], encoder.index_fields()
    for key in _COLUMNS:
        if there.get(key) != new.get(key):
            raise ConfigError(
                f"Cannot append to {target!r}: its {key} is {there.get(key)!r}, and what is to be added has "
                f"{new.get(key)!r}. Pass the columns of the dataset, or write to another place."
            )
