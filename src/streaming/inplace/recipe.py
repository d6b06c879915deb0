"""How a shard is made of pieces of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from streaming.core.errors import SampleError, ShardFormatError, SourceError
from streaming.format.kinds.mds_columns import RowsFile
from streaming.format.samples.schema import Schema
from streaming.sources.encode import encode_column
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece, kinds
from streaming.storage.store import ObjectInfo, Store

__all__ = ["SourceRecipe"]


@dataclass(frozen=True)
class SourceRecipe:
    """Makes a shard of pieces of files. It can be pickled.

    Attributes:
        kind: Name of their format.
        schema: Of the rows.
        types: The ``pyarrow.Schema`` of their columns.
        runs: Files, and which pieces of each.
        count: How many rows there are in them.
    """

    kind: str
    schema: Schema
    types: Any
    runs: tuple[tuple[ObjectInfo, tuple[Piece, ...]], ...]
    count: int

    def __call__(self, store: Store, came: Callable[[int], Any], file: IO[bytes]) -> None:
        """Write the shard.

        Raises:
            SourceError: A file is damaged.
            ObjectChangedError: A file is not the version that was looked into.
            StorageError: A file cannot be read.
        """
        rows = RowsFile(self.schema, self.count, file)
        for info, pieces in self.runs:
            done = 0
            try:
                for batch in self._batches(SourceFile(store, info, came), pieces):
                    rows.add([encode_column(*column) for column in self._columns(batch)], batch.num_rows)
                    done += batch.num_rows
            except SampleError as error:
                raise SourceError(
                    f"{info.path}, rows from {done} of the pieces {pieces[0].begin} to {pieces[-1].end}: {error}"
                ) from error
        try:
            rows.finish()
        except ShardFormatError as error:
            names = ", ".join(info.path for info, _ in self.runs)
            raise SourceError(f"{names}: {error} The source was changed after it was looked into.") from error

    def _batches(self, file: SourceFile, pieces: tuple[Piece, ...]) -> Iterator[Any]:
        return kinds[self.kind]().batches(file, pieces, self.schema.column_names)

    def _columns(self, batch: Any) -> Iterator[tuple[str, Any, str]]:
        import pyarrow as pa

        present = set(batch.schema.names)
        for name, encoding in zip(self.schema.column_names, self.schema.column_encodings, strict=True):
            kind = self.types.field(name).type
            if name not in present:
                yield name, pa.nulls(batch.num_rows, kind), encoding
                continue
            array = batch.column(name)
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            yield name, array if array.type == kind else array.cast(kind), encoding
