"""Datasets of this library's own format, and of the original's: a part is a shard."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from streaming.columns.shards import open_checked
from streaming.core.errors import SourceError, StorageError, StreamingError, UnsafeTypeError
from streaming.format.index import Index
from streaming.format.metadata import METADATA_NAME, parse_metadata
from streaming.format.shard import Shard
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.streams import fetch

__all__ = ["Shards"]


class Shards(Source):
    """A dataset's shards."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.index = Index.parse(fetch(files[0]), f"index.json of {files.origin}")
        unsafe = sorted({name for schema in self.index.schemas for name in schema.unsafe_columns})
        if unsafe:
            raise UnsafeTypeError(
                f"Columns {unsafe} of {files.origin} are pickles: whoever wrote them could run code here. Read them with "
                "StreamingDataset(..., allow_unsafe_types=True), and write what they give by streaming.write."
            )
        shards = map(self.index.shard, range(self.index.num_shards))
        self.parts = [
            Part(info.raw[-1].basename, 0, i, i + 1, 0, info.samples, sum(raw.bytes for raw in info.raw))
            for i, info in enumerate(shards)
        ]

    @property
    def columns(self) -> dict[str, str] | None:
        """Encoding of each column; ``None`` where shards differ, or are of lines."""
        schemas = self.index.schemas
        if len({(s.column_names, s.column_encodings) for s in schemas}) != 1 or schemas[0].format != "mds":
            return None
        return dict(zip(schemas[0].column_names, schemas[0].column_encodings, strict=True))

    @property
    def metadata(self) -> dict[str, Any]:
        """What is known of the dataset."""
        try:
            return parse_metadata(self.files.store.get(METADATA_NAME), METADATA_NAME)
        except StorageError:
            return {}

    @contextmanager
    def open(self, part: Part) -> Iterator[Shard]:
        """Open the shard of a part.

        Raises:
            SourceError: It is damaged.
        """
        info = self.index.shard(part.begin)
        with tempfile.TemporaryDirectory(prefix="streaming-convert-") as directory:
            try:
                shard = open_checked(self.files.store, info, os.path.join(directory, ""))
            except StorageError:
                raise
            except (StreamingError, OSError) as error:
                raise SourceError(f"{part.name}: {error}") from error
            try:
                yield shard
            finally:
                shard.close()

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the samples of a shard."""
        with self.open(part) as shard:
            for i in range(len(shard)):
                try:
                    yield shard.get(i)
                except StreamingError as error:
                    yield SourceError(f"{part.name}, sample {i}: {error}")
