"""Parts of a source as samples: what runs in the worker processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

from streaming.core.errors import ConfigError, EmptyDatasetError, SampleError, SourceError, StorageError, StreamingError
from streaming.format.encodings import get_mds_encoded_size, mds_encode
from streaming.format.kinds.mds_columns import lay_columns
from streaming.format.samples.schema import Schema
from streaming.sources.contract import Part, Row, Source
from streaming.sources.encode import encode_column
from streaming.sources.types import column_values
from streaming.writing.rows.encoded import EncodedRows
from streaming.writing.rows.failures import failed_on
from streaming.writing.rows.infer import infer_column
from streaming.writing.rows.inputs import made_rows

__all__ = ["Call", "Made", "Reader", "Step", "choose_columns", "peek"]

Made = Row | EncodedRows | StreamingError

_PEEKED = 256


class Step(Protocol):
    """Makes rows of rows; of what it cannot, errors that say where the row is."""

    def __call__(self, rows: Iterable[Made], at: Callable[[int], str], /) -> Iterable[Made]:
        """Yield what it makes.

        Args:
            rows: Rows of a part, and errors in place of some, which it passes on.
            at: Tells for people where a row is, by its number.
        """
        ...


_BLOCK_BYTES = 2 << 20


@dataclass(frozen=True)
class Reader:
    """Makes samples of a part. It can be pickled, if the functions can.

    Attributes:
        source: The source.
        names: The columns that are read, ``None`` for all.
        encodings: Encoding of each column that is written; empty until it is known.
        steps: What is done with rows before they are written, one after the other.
    """

    source: Source
    names: tuple[str, ...] | None
    encodings: Mapping[str, str]
    steps: tuple[Step, ...] = ()

    def __call__(self, part: Part) -> Iterator[Made]:
        """Yield the samples of a part; errors in place of those that cannot be made."""
        try:
            encoded = None if self.steps else self._stored(part) or self._batches(part)
            if encoded is not None:
                yield from encoded
                return
            for row in self.rows(part):
                yield row if isinstance(row, (StreamingError, EncodedRows)) else self._whole(row)
        except (SourceError, StorageError) as error:  # of the source, not of a function of the user's
            yield error

    def rows(self, part: Part) -> Iterator[Made]:
        """Yield the rows of a part as they are, the steps done."""
        rows: Iterable[Made] = self.source.read(part, self.names)
        at = part.at
        for step in self.steps:
            rows = step(rows, at)
            at = partial(_made_at, part)
        yield from rows

    def _whole(self, row: Row) -> Row:
        """Return a row with ``None`` for each column that it lacks, without those that nobody asked for."""
        missing = self.encodings.keys() - row.keys()
        if self.names is not None and not self.steps:
            return {name: row.get(name) for name in self.encodings}
        return {**row, **dict.fromkeys(missing)} if missing else row

    def _stored(self, part: Part) -> Iterator[Made] | None:
        """Return the samples of a part of MDS as they are, if they are to be written so."""
        samples = self.source.stored(part) if self.source.columns == self.encodings else None
        return None if samples is None else _joined(samples)

    def _batches(self, part: Part) -> Iterator[Made] | None:
        """Return the samples of a part of a table, encoded by columns."""
        known = self.source.columns
        if known is None or any(known.get(name) != encoding for name, encoding in self.encodings.items()):
            return None
        batches = self.source.batches(part, sorted(self.encodings))
        return None if batches is None else self._encoded(batches)

    def _encoded(self, batches: Iterator[Any]) -> Iterator[Made]:
        names = tuple(sorted(self.encodings))
        encodings = tuple(self.encodings[name] for name in names)
        sizes = tuple(get_mds_encoded_size(encoding) or None for encoding in encodings)
        schema = Schema("mds", names, encodings, sizes, None, (), None, None, None)
        for batch in batches:
            if isinstance(batch, SourceError):
                yield batch
                continue
            step = max(1, _BLOCK_BYTES * batch.num_rows // max(batch.nbytes, 1))
            for at in range(0, batch.num_rows, step):
                some = batch.slice(at, step)
                try:
                    columns = [
                        encode_column(name, some.column(name), encoding)
                        for name, encoding in zip(names, encodings, strict=True)
                    ]
                except SampleError:  # one by one: only that which does not fit is told of, or left out
                    values = zip(*(column_values(some.column(name)) for name in names), strict=True)
                    yield from (dict(zip(names, row, strict=True)) for row in values)
                    continue
                data, row_sizes = lay_columns(schema, columns, some.num_rows)
                yield EncodedRows(data.tobytes(), row_sizes.tolist())


def _made_at(part: Part, number: int) -> str:
    return f"{part!r}, row {number} of what fn made"


def _joined(samples: Iterable[bytes]) -> Iterator[EncodedRows]:
    """Yield samples in blocks."""
    block: list[bytes] = []
    size = 0
    for sample in samples:
        block.append(sample)
        size += len(sample)
        if size >= _BLOCK_BYTES:
            yield EncodedRows(b"".join(block), list(map(len, block)))
            block, size = [], 0
    if block:
        yield EncodedRows(b"".join(block), list(map(len, block)))


@dataclass(frozen=True)
class Call:
    """A user's function, called with each row; it returns a row, ``None``, or many.

    Attributes:
        function: The function.
    """

    function: Callable[[Row], Any]

    def __call__(self, rows: Iterable[Made], at: Callable[[int], str]) -> Iterator[Made]:
        """Yield what it makes of rows."""
        for number, row in enumerate(rows):
            if isinstance(row, (StreamingError, EncodedRows)):
                yield row
                continue
            try:
                yield from made_rows(self.function(row))
            except (Exception, SystemExit) as error:
                brief = {name: value if isinstance(value, (str, int, float)) else "..." for name, value in row.items()}
                yield failed_on(f"{at(number)}: {str(brief)[:200]}", self.function, error)


def choose_columns(reader: Reader, given: Mapping[str, str | None] | Sequence[str] | None) -> dict[str, str]:
    """Return the encoding of each column that is to be written.

    Args:
        reader: Reads the source.
        given: Encodings by name (``None``: as the source tells), or names alone, or nothing.

    Raises:
        ConfigError: There is no such column, or no encoding fits one.
        EmptyDatasetError: There are no rows.
    """
    wanted = given if given is None or isinstance(given, Mapping) else dict.fromkeys(given)
    if wanted is not None and len(wanted) < len(given or ()):
        raise ConfigError(f"columns names one twice: {', '.join(given or ())}. Name each once.")
    known = None if reader.steps else reader.source.columns
    if known is None:
        if wanted is not None and all(wanted.values()):
            _warn_of_unknown(reader, wanted)
            return {name: str(encoding) for name, encoding in wanted.items()}
        known = _inferred(reader, wanted or {})
    if wanted is None:
        return known
    for name in wanted:
        if name not in known:
            raise ConfigError(f"{reader.source.files.origin} has no column {name!r}; it has {', '.join(known)}.")
    return {name: encoding or known[name] for name, encoding in wanted.items()}


def _warn_of_unknown(reader: Reader, wanted: Mapping[str, Any]) -> None:
    """Warn of columns that none of the first rows has: they would be missing in all."""
    rows = [] if reader.steps else peek(reader, _PEEKED)
    unknown = [name for name in wanted if not any(name in row for row in rows)] if rows else []
    if unknown:
        warnings.warn(
            f"None of the first {len(rows)} rows at {reader.source.files.origin} has the columns "
            f"{', '.join(map(repr, unknown))}; they have {', '.join(map(repr, rows[0]))}. Check `columns`.",
            stacklevel=5,
        )


def _inferred(reader: Reader, given: Mapping[str, str | None]) -> dict[str, str]:
    places, rows = _peeked(reader, _PEEKED)
    if not rows and reader.steps:
        raise EmptyDatasetError(
            f"Nothing was made of the rows at {reader.source.files.origin}: fn returned no row, or failed."
        )
    if not rows:
        raise EmptyDatasetError(f"There are no rows at {reader.source.files.origin}.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise ConfigError(f"The rows of {reader.source.files.origin} have no columns: nothing would be stored of them.")
    known = reader.source.columns or {}
    found: dict[str, str] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        encoding = given.get(name) or known.get(name)
        if not (encoding and _takes(encoding, values)):
            encoding = given.get(name) or _inferred_column(name, values, places)
        hint = reader.source.hint(name) if encoding.rstrip("?") == "bytes" else None
        found[name] = encoding.replace("bytes", hint) if hint else encoding
    return found


def _inferred_column(name: str, values: Sequence[Any], places: Sequence[str]) -> str:
    """Choose the encoding of a column; an error says where the first value is that is of another type than the first."""
    try:
        return infer_column(name, values)
    except ConfigError as error:
        types = [type(value) for value in values if value is not None]
        odd = next((i for i, value in enumerate(values) if value is not None and type(value) is not types[0]), None)
        raise ConfigError(str(error) if odd is None else f"{error} The first that differs: {places[odd]}.") from error


def _takes(encoding: str, values: Sequence[Any]) -> bool:
    """Say whether an encoding of the source's also is that of what a function made of its values."""
    try:
        for value in values:
            mds_encode(encoding, value)
    except SampleError:
        return False
    return True


def _readable(reader: Reader, part: Part) -> Iterator[tuple[str, Row]]:
    for number, row in enumerate(reader.rows(part)):
        if isinstance(row, Mapping):
            yield (_made_at(part, number) if reader.steps else part.at(number)), row
        elif isinstance(row, StreamingError) and not reader.source.files.skips:
            raise row


def peek(reader: Reader, count: int) -> list[Row]:
    """Return the first rows of a source, of those that can be read if others are to be left out.

    Raises:
        SourceError: One cannot be read.
    """
    return _peeked(reader, count)[1]


def _peeked(reader: Reader, count: int) -> tuple[list[str], list[Row]]:
    """Return the same, and where each of them is."""
    rows: list[tuple[str, Row]] = []
    for part in reader.source.parts:
        try:
            rows += islice(_readable(reader, part), count - len(rows))
        except (SourceError, StorageError):
            if not reader.source.files.skips:
                raise
        if len(rows) >= count:
            break
    return [place for place, _ in rows], [row for _, row in rows]
