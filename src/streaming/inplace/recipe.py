"""How a shard is made of pieces of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import SampleError, ShardFormatError, SourceError
from streaming.format.kinds.mds_columns import Fixed, RowsFile, Varying
from streaming.format.samples.schema import Schema
from streaming.inplace.ahead import begin_ahead
from streaming.sources.encode import encode_column
from streaming.sources.features import TableColumns
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece, kinds
from streaming.storage.store import ObjectInfo, Store

__all__ = ["SourceRecipe", "Taken"]


class Taken(NamedTuple):
    """What a shard takes of a file.

    Attributes:
        info: The file.
        pieces: Neighbouring pieces of it.
        values: Values that all its rows have, by column.
        first: Number of the first row in the file, deleted ones counted.
        gone: ``int64[n]``, numbers of those in the file, in ascending order.
    """

    info: ObjectInfo
    pieces: tuple[Piece, ...]
    values: Mapping[str, Any]
    first: int
    gone: NDArray[np.int64] | None


@dataclass(frozen=True)
class SourceRecipe:
    """Makes a shard of pieces of files. It can be pickled.

    Attributes:
        kind: Name of their format.
        schema: Of the rows.
        table: The columns of the files.
        runs: What is taken of each file.
        count: How many rows there are in them.
    """

    kind: str
    schema: Schema
    table: TableColumns
    runs: tuple[Taken, ...]
    count: int

    def __call__(self, store: Store, came: Callable[[int], Any], file: IO[bytes]) -> None:
        """Write the shard.

        Raises:
            SourceError: A file is damaged.
            ObjectChangedError: A file is not the version that was looked into.
            StorageError: A file cannot be read.
        """
        rows = self.begin(file)
        kind, names = kinds[self.kind](), self.schema.column_names
        readers = [partial(kind.batches, SourceFile(store, run.info, came), run.pieces, names) for run in self.runs]
        for taken, batches in zip(self.runs, begin_ahead(readers), strict=True):
            at = taken.first
            for batch in batches:
                self.add(rows, batch, taken, at)
                at += batch.num_rows
        self.finish(rows)

    def begin(self, file: IO[bytes]) -> RowsFile:
        """Return what writes the rows to a file."""
        return RowsFile(self.schema, self.count, file)

    def add(self, rows: RowsFile, batch: Any, taken: Taken, at: int) -> None:
        """Add rows of a file, a ``pyarrow.RecordBatch`` of which the first has the number ``at``, to those that were added.

        Raises:
            SourceError: They do not fit the columns.
        """
        where = f"{taken.info.path}, rows from {at}"
        if taken.gone is not None:
            batch = _without(batch, taken.gone, at)
        try:
            rows.add(list(self._columns(batch, taken.values, where)), batch.num_rows)
        except SampleError as error:
            raise SourceError(f"{where}: {error}") from error

    def finish(self, rows: RowsFile) -> None:
        """Complete the file.

        Raises:
            SourceError: There came more or fewer rows than were to come.
        """
        try:
            rows.finish()
        except ShardFormatError as error:
            names = ", ".join(info.path for info, *_ in self.runs)
            raise SourceError(f"{names}: {error} The source was changed after it was looked into.") from error

    def _columns(self, batch: Any, values: Mapping[str, Any], where: str) -> Iterator[Fixed | Varying]:
        import pyarrow as pa

        for name, encoding in zip(self.schema.column_names, self.schema.column_encodings, strict=True):
            if name in values and name not in batch.schema.names:
                kind = self.table.schema.field(name).type
                array = pa.repeat(pa.scalar(values[name], kind), batch.num_rows)
            else:
                array = self.table.array(batch, name, where)
            yield encode_column(name, array, encoding)


def _without(batch: Any, gone: NDArray[np.int64], at: int) -> Any:
    """Return a batch, whose first row has the number ``at``, without some rows."""
    import pyarrow as pa

    begin, end = np.searchsorted(gone, [at, at + batch.num_rows])
    if begin == end:
        return batch
    stays = np.ones(batch.num_rows, np.bool_)
    stays[gone[begin:end] - at] = False
    return batch.filter(pa.array(stays))
