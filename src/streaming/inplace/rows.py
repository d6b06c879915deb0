"""How a shard is made of rows of files of which only rows are known: lines, members of archives, files of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import IO, Any

from streaming.core.errors import SampleError, ShardFormatError, SourceError
from streaming.format.encodings import get_encoding
from streaming.format.kinds.mds_columns import Fixed, RowsFile, Varying
from streaming.format.samples.schema import Schema
from streaming.inplace.ahead import begin_ahead
from streaming.sources.contract import Part, Row, Source
from streaming.sources.encode import encode_values
from streaming.sources.pieces import Piece, Scanned
from streaming.storage.store import Store

__all__ = ["RowsRecipe", "known_rows", "read_rows"]

_ROWS = 1 << 10


def known_rows(source: Source) -> Scanned:
    """Return what a source knows of its files without looking at them.

    Args:
        source: One whose ``is_known`` holds.
    """
    pieces: list[list[Piece]] = [[] for _ in range(len(source.files))]
    for part in source.parts:
        pieces[part.file].append(Piece(part.begin, part.end, part.rows, part.bytes))
    return Scanned(source.files.infos, [source.columns], [0] * len(pieces), pieces)


@dataclass(frozen=True)
class RowsRecipe:
    """Makes a shard of rows. It can be pickled.

    Attributes:
        source: What reads them.
        schema: Of the rows.
        runs: Numbers of files, which pieces of each, and the number of the first row of those in the file.
        count: How many rows there are in them.
    """

    source: Source
    schema: Schema
    runs: tuple[tuple[int, tuple[Piece, ...], int], ...]
    count: int

    def __call__(self, store: Store, came: Callable[[int], Any], file: IO[bytes]) -> None:
        """Write the shard.

        Raises:
            SourceError: A row cannot be read, or does not fit the columns.
            ObjectChangedError: A file is not the version that was looked into.
            StorageError: A file cannot be read.
        """
        source = copy(self.source)
        encodings = dict(zip(self.schema.column_names, self.schema.column_encodings, strict=True))
        source.files = replace(source.files, store=store, came=came, encodings=encodings)
        made = RowsFile(self.schema, self.count, file)
        for several in begin_ahead([partial(self._encoded, source, part) for part in _parts(source, self.runs)]):
            for columns, count in several:
                made.add(columns, count)
        try:
            made.finish()
        except ShardFormatError as error:
            names = ", ".join(source.files.infos[number].path for number, *_ in self.runs)
            raise SourceError(f"{names}: {error} The source was changed after it was looked into.") from error

    def _encoded(self, source: Source, part: Part) -> Iterator[tuple[list[Fixed | Varying], int]]:
        """Yield the columns of the rows of a part, and how many there are: all at once, or some after others."""
        names, encodings = self.schema.column_names, self.schema.column_encodings
        found = source.encoded(part, names)
        if found is not None:
            yield found
            return
        for at, rows in _some(part, source.read(part, names)):
            try:
                columns = [
                    encode_values(column, [row.get(column) for row in rows], encoding)
                    for column, encoding in zip(names, encodings, strict=True)
                ]
            except SampleError as error:
                raise SourceError(f"{part.name}, {self._fault(rows, at) or error}") from error
            yield columns, len(rows)

    def _fault(self, rows: Sequence[Row], first: int) -> str | None:
        """Say which value does not fit its column."""
        for number, row in enumerate(rows, first):
            for name, encoding in zip(self.schema.column_names, self.schema.column_encodings, strict=True):
                try:
                    if not isinstance(row.get(name), bytes):
                        get_encoding(encoding).encode(row.get(name))
                except SampleError as error:
                    return f"row {number}, column {name!r} ({encoding}): {error}"
        return None


def read_rows(
    source: Source, runs: Sequence[tuple[int, tuple[Piece, ...], int]], names: Sequence[str]
) -> Iterator[tuple[str, int, list[Row]]]:
    """Yield some rows after others: the name of their file, the number of the first in it, and they.

    Args:
        source: What reads them.
        runs: As :class:`RowsRecipe` has them.
        names: The columns that are wanted.

    Raises:
        SourceError: A row cannot be read.
        StorageError: A file cannot be read.
    """
    parts = _parts(source, runs)
    readers = [partial(source.read, part, names) for part in parts]
    for part, rows in zip(parts, begin_ahead(readers), strict=True):
        for at, some in _some(part, rows):
            yield part.name, at, some


def _parts(source: Source, runs: Sequence[tuple[int, tuple[Piece, ...], int]]) -> list[Part]:
    parts: list[Part] = []
    for number, pieces, first in runs:
        for piece in pieces:
            parts.append(Part(source.files.infos[number].path, number, *piece[:2], first, *piece[2:]))
            first += piece.rows
    return parts


def _some(part: Part, rows: Iterator[Row | SourceError]) -> Iterator[tuple[int, list[Row]]]:
    """Yield some rows of a part after others, and the number of the first in the file."""
    at = part.first_row
    while some := list(islice(rows, _ROWS)):
        good = [row for row in some if not isinstance(row, SourceError)]
        if len(good) < len(some):
            raise next(row for row in some if isinstance(row, SourceError))
        yield at, good
        at += len(good)
