"""Datasets of this library's own format, and of the original's: a part is a shard."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from streaming.columns.shards import open_checked
from streaming.core.errors import ConfigError, SourceError, StorageError, StreamingError, UnsafeTypeError
from streaming.format.formats import get_decoder
from streaming.format.index import Index
from streaming.format.metadata import METADATA_NAME, parse_metadata
from streaming.format.shard import Shard
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.streams import fetch
from streaming.storage.providers.local import LocalStore

__all__ = ["Shards", "SortedShards", "open_shards"]

_SORTED_ROWS, _SORTED_PARTS = 4096, 8


def open_shards(files: Files) -> Shards:
    """Open a dataset, in the order of a column if the option ``sort`` names one."""
    return SortedShards(files) if "sort" in files.options else Shards(files)


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

    def stored(self, part: Part) -> Iterator[bytes] | None:
        """Return the samples of a part as they are stored, if their columns are in the order of names."""
        known = self.columns
        return None if known is None or list(known) != sorted(known) else self._stored(part)

    def _stored(self, part: Part) -> Iterator[bytes]:
        with self.open(part) as shard:
            for i in range(len(shard)):
                yield shard.sample_bytes(i)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the samples of a shard."""
        with self.open(part) as shard:
            for i in range(len(shard)):
                try:
                    yield shard.get(i)
                except StreamingError as error:
                    yield SourceError(f"{part.name}, sample {i}: {error}")


class SortedShards(Shards):
    """A dataset's samples in the order of a column; those that are equal stay as they were.

    Shards that are compressed, or in a store, are kept on disk by each process while it reads a part, an eighth of all.

    Args:
        files: Of the dataset. The option ``sort`` names the column.
    """

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        name = files.options["sort"]
        if name not in (self.columns or {}):
            raise ConfigError(
                f"There is no column {name!r} to sort by; there are {', '.join(map(repr, self.columns or ()))}."
            )
        found: list[tuple[Any, int, int]] = []
        self._whole = self.parts
        for part in self._whole:
            read = get_decoder(self.index.schemas[0], (name,)).read
            with self.open(part) as shard:
                for i in range(len(shard)):
                    data = shard.sample_bytes(i)
                    found.append((read(data, 0, len(data))[name], part.begin, i))
        try:
            if any(isinstance(value, (float, np.floating)) and np.isnan(value) for value, *_ in found):
                raise ValueError(
                    "NaN is neither smaller nor larger than any; give it another value by fn, in a call before"
                )
            found.sort(key=lambda entry: entry[0])
        except (TypeError, ValueError) as error:
            raise ConfigError(f"The values of column {name!r} have no order: {error}") from error
        self._order = np.array([entry[1:] for entry in found], np.int32).reshape(-1, 2)
        count = len(self._order)
        in_place = isinstance(files.store, LocalStore) and not any(schema.compression for schema in self.index.schemas)
        # Each part may need every shard, which costs little only where they are mapped as they are.
        step = _SORTED_ROWS if in_place else max(_SORTED_ROWS, -(-count // _SORTED_PARTS))
        begins = range(0, count, step)
        self.parts = [Part("index.json", 0, b, min(b + step, count), b, min(step, count - b)) for b in begins]

    def _stored(self, part: Part) -> Iterator[bytes]:
        for shard, row in self._samples(part):
            yield shard.sample_bytes(row)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the samples of a part."""
        for shard, row in self._samples(part):
            yield shard.get(row)

    def _samples(self, part: Part) -> Iterator[tuple[Shard, int]]:
        with ExitStack() as opened:
            shards: dict[int, Shard] = {}
            for number, row in self._order[part.begin : part.end].tolist():
                if number not in shards:
                    shards[number] = opened.enter_context(self.open(self._whole[number]))
                yield shards[number], row
