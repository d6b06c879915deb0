"""How a shard is made of pieces of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import SampleError, ShardFormatError, SourceError
from streaming.format.kinds.mds_columns import RowsFile
from streaming.format.samples.schema import Schema
from streaming.sources.encode import encode_column
from streaming.sources.features import TableColumns
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece, kinds
from streaming.storage.store import ObjectInfo, Store

__all__ = ["SourceRecipe", "Taken", "read_columns"]


class Taken(NamedTuple):
    """What a shard takes of a file.

    Attributes:
        info: The file.
        pieces: Neighbouring pieces of it.
        values: Values that all its rows have, by column.
        first: Number of the first row in the file, where some were deleted.
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
        rows = RowsFile(self.schema, self.count, file)
        names, encodings = self.schema.column_names, self.schema.column_encodings
        for taken in self.runs:
            done = 0
            try:
                for count, arrays in read_columns(
                    self.kind, self.table, SourceFile(store, taken.info, came), taken, names
                ):
                    columns = zip(names, arrays, encodings, strict=True)
                    rows.add([encode_column(name, array, encoding) for name, array, encoding in columns], count)
                    done += count
            except SampleError as error:
                begin, end = taken.pieces[0].begin, taken.pieces[-1].end
                raise SourceError(
                    f"{taken.info.path}, rows from {done} of the pieces {begin} to {end}: {error}"
                ) from error
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
    import pyarrow as pa

    stored = {name: name for name in names} if taken.stored is None else taken.stored
    at, done = taken.first, 0
    for batch in kinds[kind]().batches(file, taken.pieces, [stored[name] for name in names if name in stored]):
        if taken.stored is not None:
            called = {own: name for name, own in stored.items()}
            batch = batch.rename_columns([called[own] for own in batch.schema.names])
        if taken.gone is not None:
            count = batch.num_rows
            batch = _without(batch, taken.gone, at)
            at += count
        arrays: list[Any] = []
        for name in names:
            if name in taken.values and name not in batch.schema.names:
                value = pa.scalar(taken.values[name], table.schema.field(name).type)
                arrays.append(pa.repeat(value, batch.num_rows))
            else:
                arrays.append(table.array(batch, name, f"{taken.info.path}, rows from {done}"))
        yield batch.num_rows, arrays
        done += batch.num_rows


def _without(batch: Any, gone: NDArray[np.int64], at: int) -> Any:
    """Return a batch, whose first row has the number ``at``, without some rows."""
    import pyarrow as pa

    begin, end = np.searchsorted(gone, [at, at + batch.num_rows])
    if begin == end:
        return batch
    stays = np.ones(batch.num_rows, np.bool_)
    stays[gone[begin:end] - at] = False
    return batch.filter(pa.array(stays))
