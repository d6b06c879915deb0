"""How a shard is made of pieces of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import SampleError, ShardFormatError, SourceError
from streaming.format.kinds.mds_columns import RowsFile
from streaming.format.samples.schema import Schema
from streaming.inplace.ahead import begin_ahead
from streaming.sources.encode import encode_column
from streaming.sources.features import TableColumns
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece, kinds
from streaming.storage.store import ObjectInfo, Store

__all__ = ["SourceRecipe", "Taken", "as_of_table", "read_batches", "read_columns"]


class Taken(NamedTuple):
    """What a shard takes of a file.

    Attributes:
        info: The file.
        pieces: Neighbouring pieces of it.
        values: Values that all its rows have, by column.
        first: Number of the first row in the file, deleted ones counted.
        gone: ``int64[n]``, numbers of those in the file, in ascending order.
        stored: What the file calls its columns, where a table calls them otherwise; ``None``: as they are called.
    """

    info: ObjectInfo
    pieces: tuple[Piece, ...]
    values: Mapping[str, Any]
    first: int
    gone: NDArray[np.int64] | None
    stored: Mapping[str, str] | None = None


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
        rows, names = self.begin(file), self.schema.column_names
        readers = [
            partial(read_columns, self.kind, self.table, SourceFile(store, run.info, came), run, names)
            for run in self.runs
        ]
        for taken, parts in zip(self.runs, begin_ahead(readers), strict=True):
            done = 0
            for count, arrays in parts:
                self.add(rows, count, arrays, f"{taken.info.path}, rows from {done}")
                done += count
        self.finish(rows)

    def begin(self, file: IO[bytes]) -> RowsFile:
        """Return what writes the rows to a file."""
        return RowsFile(self.schema, self.count, file)

    def add(self, rows: RowsFile, count: int, arrays: Sequence[Any], where: str) -> None:
        """Add rows, of which each column is an array of Arrow's, to those that were added.

        Raises:
            SourceError: They do not fit the columns.
        """
        columns = zip(self.schema.column_names, arrays, self.schema.column_encodings, strict=True)
        try:
            rows.add([encode_column(name, array, encoding) for name, array, encoding in columns], count)
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


def read_columns(
    kind: str, table: TableColumns, file: SourceFile, taken: Taken, names: Sequence[str]
) -> Iterator[tuple[int, list[Any]]]:
    """Yield how many rows there are, and their columns as Arrow's arrays, some rows of a file after others.

    Args:
        kind: Name of the format.
        table: The columns of the files.
        file: It.
        taken: What is taken of it.
        names: The columns that are wanted.

    Raises:
        SourceError: It is damaged.
        StorageError: It cannot be read.
    """
    at = taken.first
    for batch in read_batches(kind, file, taken, names):
        yield to_columns(table, batch, taken, names, at)
        at += batch.num_rows


def read_batches(kind: str, file: SourceFile, taken: Taken, names: Sequence[str]) -> Iterator[Any]:
    """Yield the rows of a file, also those that were deleted, as ``pyarrow.RecordBatch``."""
    stored = taken.stored
    return kinds[kind]().batches(
        file, taken.pieces, names if stored is None else [stored[n] for n in names if n in stored]
    )


def to_columns(table: TableColumns, batch: Any, taken: Taken, names: Sequence[str], at: int) -> tuple[int, list[Any]]:
    """Return how many rows there are in a batch, whose first has a number in its file, and their columns."""
    import pyarrow as pa

    batch = as_of_table(batch, taken, at)
    arrays: list[Any] = []
    for name in names:
        if name in taken.values and name not in batch.schema.names:
            value = pa.scalar(taken.values[name], table.schema.field(name).type)
            arrays.append(pa.repeat(value, batch.num_rows))
        else:
            arrays.append(table.array(batch, name, f"{taken.info.path}, rows from {at}"))
    return batch.num_rows, arrays


def as_of_table(batch: Any, taken: Taken, at: int) -> Any:
    """Return a batch, whose first row has the number ``at`` in its file, with the table's names, without deleted rows."""
    if taken.stored is not None:
        called = {own: name for name, own in taken.stored.items()}
        batch = batch.rename_columns([called[own] for own in batch.schema.names])
    return batch if taken.gone is None else _without(batch, taken.gone, at)


def _without(batch: Any, gone: NDArray[np.int64], at: int) -> Any:
    """Return a batch, whose first row has the number ``at``, without some rows."""
    import pyarrow as pa

    begin, end = np.searchsorted(gone, [at, at + batch.num_rows])
    if begin == end:
        return batch
    stays = np.ones(batch.num_rows, np.bool_)
    stays[gone[begin:end] - at] = False
    return batch.filter(pa.array(stays))
