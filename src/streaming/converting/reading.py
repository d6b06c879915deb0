"""Parts of a source as samples: what runs in the worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from streaming.core.errors import ConfigError, EmptyDatasetError, SampleError, SourceError, StreamingError
from streaming.format.encodings import get_mds_encoded_size
from streaming.format.kinds.mds_columns import lay_columns
from streaming.format.samples.schema import Schema
from streaming.sources.contract import Part, Row, Source
from streaming.sources.encode import encode_column
from streaming.writing.rows.encoded import EncodedRows
from streaming.writing.rows.infer import infer_column
from streaming.writing.rows.inputs import made_rows

__all__ = ["Made", "Reader", "choose_columns"]

Made = Row | EncodedRows | StreamingError

_PEEKED = 256


@dataclass(frozen=True)
class Reader:
    """Makes samples of a part. It can be pickled, if the functions can.

    Attributes:
        source: The source.
        names: The columns that are read, ``None`` for all.
        encodings: Encoding of each column that is written; empty until it is known.
        steps: What is done with rows before they are written, one after the other: from rows to rows.
    """

    source: Source
    names: tuple[str, ...] | None
    encodings: Mapping[str, str]
    steps: tuple[Callable[[Iterable[Made]], Iterable[Made]], ...] = ()

    def __call__(self, part: Part) -> Iterator[Made]:
        """Yield the samples of a part; errors in place of those that cannot be made."""
        if not self.steps and self._is_known():
            batches = self.source.batches(part, list(self.encodings))
            if batches is not None:
                yield from self._encoded(part, batches)
                return
        for row in self.rows(part):
            yield row if isinstance(row, (StreamingError, EncodedRows)) else self._whole(row)

    def rows(self, part: Part) -> Iterator[Made]:
        """Yield the rows of a part as they are, the steps done."""
        rows: Iterable[Made] = self.source.read(part, self.names)
        for step in self.steps:
            rows = step(rows)
        yield from rows

    def _is_known(self) -> bool:
        known = self.source.columns
        return known is not None and all(known.get(name) == encoding for name, encoding in self.encodings.items())

    def _whole(self, row: Row) -> Row:
        """Return a row with ``None`` for each column that it lacks, without those that nobody asked for."""
        missing = self.encodings.keys() - row.keys()
        if self.names is not None and not self.steps:
            return {name: row.get(name) for name in self.encodings}
        return {**row, **dict.fromkeys(missing)} if missing else row

    def _encoded(self, part: Part, batches: Iterator[Any]) -> Iterator[Made]:
        names = tuple(sorted(self.encodings))
        encodings = tuple(self.encodings[name] for name in names)
        sizes = tuple(get_mds_encoded_size(encoding) or None for encoding in encodings)
        schema = Schema("mds", names, encodings, sizes, None, (), None, None, None)
        at = max(part.first_row, 0)
        for batch in batches:
            try:
                columns = [
                    encode_column(name, batch.column(name), encoding)
                    for name, encoding in zip(names, encodings, strict=True)
                ]
            except SampleError as error:
                yield SourceError(f"{part.name}, rows from {at}: {error}")
                continue
            finally:
                at += batch.num_rows
            data, row_sizes = lay_columns(schema, columns, batch.num_rows)
            yield EncodedRows(data.tobytes(), row_sizes.tolist())


@dataclass(frozen=True)
class Step:
    """A user's function, called with each row; it returns a row, ``None``, or many.

    Attributes:
        function: The function.
    """

    function: Callable[[Row], Any]

    def __call__(self, rows: Iterable[Made]) -> Iterator[Made]:
        """Yield what it makes of rows."""
        for row in rows:
            if isinstance(row, (StreamingError, EncodedRows)):
                yield row
                continue
            try:
                yield from made_rows(self.function(row))
            except Exception as error:
                brief = {name: value if isinstance(value, (str, int, float)) else "..." for name, value in row.items()}
                yield SourceError(f"fn failed for the row {str(brief)[:200]}: {type(error).__name__}: {error}")


def choose_columns(reader: Reader, given: Mapping[str, str] | Sequence[str] | None) -> dict[str, str]:
    """Return the encoding of each column that is to be written.

    Args:
        reader: Reads the source.
        given: Encodings by name, or names alone, or nothing.

    Raises:
        ConfigError: There is no such column, or no encoding fits one.
        EmptyDatasetError: There are no rows.
    """
    if isinstance(given, Mapping):
        return dict(given)
    known = reader.source.columns
    if known is None or reader.steps:
        known = _inferred(reader, known or {})
    if given is None:
        return known
    for name in given:
        if name not in known:
            raise ConfigError(f"{reader.source.files.origin} has no column {name!r}; it has {', '.join(known)}.")
    return {name: known[name] for name in given}


def _inferred(reader: Reader, known: Mapping[str, str]) -> dict[str, str]:
    rows = peek(reader, _PEEKED)
    if not rows:
        raise EmptyDatasetError(f"There are no rows at {reader.source.files.origin}.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    found: dict[str, str] = {}
    for name in names:
        encoding = known.get(name) or infer_column(name, [row.get(name) for row in rows])
        hint = reader.source.hint(name) if encoding.rstrip("?") == "bytes" else None
        found[name] = encoding.replace("bytes", hint) if hint else encoding
    return found


def _readable(reader: Reader, part: Part) -> Iterator[Row]:
    for row in reader.rows(part):
        if isinstance(row, Mapping):
            yield row
        elif isinstance(row, StreamingError) and not reader.source.files.skips:
            raise row


def peek(reader: Reader, count: int) -> list[Row]:
    """Return the first rows of a source, of those that can be read if others are to be left out.

    Raises:
        SourceError: One cannot be read.
    """
    rows: list[Row] = []
    for part in reader.source.parts:
        try:
            rows += islice(_readable(reader, part), count - len(rows))
        except SourceError:
            if not reader.source.files.skips:
                raise
        if len(rows) >= count:
            break
    return rows
