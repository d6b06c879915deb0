"""Separated values, quoted or not: by Arrow, which tells types by the first lines. A piece is a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import IO, Any, TypeVar

from streaming.core.errors import SourceError, StorageError
from streaming.core.imports import optional_import
from streaming.sources.file import SourceFile
from streaming.sources.kinds.cells import MISSING, separator_of
from streaming.sources.pieces import Piece, Scan
from streaming.sources.streams import open_stream

__all__ = ["Separated"]

_BLOCK_BYTES = 4 << 20
_TAIL_BYTES = 1 << 16

_T = TypeVar("_T")
#: Arrow's types of the encodings that a user may have chosen, without question marks.
_TYPES = {"str": "string", "bytes": "binary", "int": "int64", "float64": "float64", "float32": "float64"}


class Separated:
    """Files of separated values with a line of names.

    Args:
        encodings: Of columns, those that the user chose.
        skips: Whether rows that cannot be read come as errors, in place of the file.
    """

    counts_rows = False

    def __init__(self, encodings: Mapping[str, str | None], skips: bool) -> None:
        found = {name: _TYPES.get((encoding or "").rstrip("?")) for name, encoding in encodings.items()}
        self._types = {name: kind for name, kind in found.items() if kind}
        self._skips = skips

    def scan(self, file: SourceFile) -> Scan:
        """Look at the first lines: what types their values are of, and where one is missing."""
        pa = optional_import("pyarrow", "arrow", "Reading separated values")
        batch = next((batch for batch in self._batches(file, None) if not isinstance(batch, SourceError)), None)
        if batch is None:
            return Scan(pa.schema([]), [])
        odd = [field.name for field in batch.schema if pa.types.is_binary(field.type) and field.name not in self._types]
        if odd:
            raise SourceError(
                f"{file.name}, column {odd[0]!r}: not UTF-8. Convert the file, such as by iconv -f latin1 -t utf-8, or have "
                f"its bytes, by columns={{{odd[0]!r}: 'bytes'}}."
            )
        texts = self._other_than_numbers(file, batch.schema)
        fields = [
            field.with_type(pa.string()).with_nullable(field.name not in texts)
            if pa.types.is_null(field.type) or field.name in texts
            else field.with_nullable(bool(column.null_count))
            for field, column in zip(batch.schema, batch.columns, strict=True)
        ]
        return Scan(pa.schema(fields), [Piece(0, 1, -1, file.size)])

    def _other_than_numbers(self, file: SourceFile, schema: Any) -> set[str]:
        """Return the columns of which Arrow would make other numbers than there are, among the first lines.

        They have whole numbers that a float does not hold, digits of another base, or zeros before them, as codes have.
        """
        pa = optional_import("pyarrow", "arrow", "Reading separated values")
        pc: Any = optional_import("pyarrow.compute", "arrow", "Reading separated values")
        looks = {pa.float64(): r"^[+-]?(\d{16,}$|0\d)", pa.int64(): "^[+-]?0[xX0-9]"}
        names = [field.name for field in schema if field.type in looks and field.name not in self._types]
        names = [name for name in names if schema.names.count(name) == 1]  # two are refused later
        if not names:
            return set()
        batch = next(self._batches(file, pa.schema([(name, pa.string()) for name in names]), names))
        found: set[str] = set()
        for name, column in zip(names, batch.columns, strict=True):
            odd = column.filter(pc.match_substring_regex(column, looks[schema.field(name).type])).to_pylist()
            if any(text.lstrip("+-")[:1] == "0" or int(text) != float(text) for text in odd):
                found.add(name)
        return found

    def batches(self, file: SourceFile, pieces: Sequence[Piece], names: Sequence[str]) -> Iterator[Any]:
        """Yield the rows, with the types that the first lines have; errors in place of some, if these are to be left out."""
        del pieces
        schema = self.scan(file).schema
        for batch in self._batches(file, schema):
            yield batch if isinstance(batch, SourceError) else batch.select([n for n in names if n in schema.names])

    def _batches(self, file: SourceFile, schema: Any, names: Sequence[str] = ()) -> Iterator[Any]:
        pa = optional_import("pyarrow", "arrow", "Reading separated values")
        csv: Any = optional_import("pyarrow.csv", "arrow", "Reading separated values")
        types: Any = {name: pa.type_for_alias(kind) for name, kind in self._types.items()} if schema is None else schema
        odd: list[SourceError] = []

        def note(row: Any) -> str:
            where = f"{file.name}, row {row.number - 2}"
            odd.append(
                SourceError(
                    f"{where}: {row.actual_columns} values for {row.expected_columns} columns: {row.text[:80]!r}"
                )
            )
            return "skip" if self._skips else "error"

        at = 0
        try:
            with open_stream(file) as opened:
                stream = _Tail(opened)
                reader = csv.open_csv(
                    pa.PythonFile(stream, "r"),
                    read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                    parse_options=csv.ParseOptions(
                        delimiter=separator_of(file), newlines_in_values=True, invalid_row_handler=note
                    ),
                    convert_options=csv.ConvertOptions(
                        null_values=sorted(MISSING),
                        strings_can_be_null=False,
                        column_types=types,
                        include_columns=names,
                    ),
                )
                for (batch, errors), is_last in _marked((batch, _drained(odd)) for batch in reader):
                    is_open = is_last and not names and stream.leaves_open(batch)
                    odd += errors
                    batch = batch.slice(0, batch.num_rows - is_open)
                    yield from self._without_names(batch, f"{file.name}, row {{}}", at, odd)
                    yield from odd
                    at += batch.num_rows + len(odd)
                    odd.clear()
                    if is_open:
                        raise SourceError(
                            f"{file.name}, row {at}: a quote is not closed, so that all that follows is in it."
                        )
        except StorageError:
            raise
        except (pa.ArrowInvalid, OSError) as error:
            if not at and "Empty CSV file" in str(error):
                return
            raise (odd or [_failure(file, at, error)])[-1] from error

    def _without_names(self, batch: Any, where: str, at: int, odd: list[SourceError]) -> Iterator[Any]:
        """Yield a batch; where it has the line of names once more, without that, which is noted.

        Raises:
            SourceError: It has, and no row is to be left out.
        """
        pa = optional_import("pyarrow", "arrow", "Reading separated values")
        pc: Any = optional_import("pyarrow.compute", "arrow", "Reading separated values")
        if batch.num_columns < 2 or not all(pa.types.is_string(kind) for kind in batch.schema.types):
            yield batch
            return
        same = reduce(
            pc.and_, (pc.equal(column, name) for name, column in zip(batch.schema.names, batch.columns, strict=True))
        )
        again = [row for row, is_same in enumerate(same.to_pylist()) if is_same] if pc.any(same).as_py() else []
        errors = [
            SourceError(f"{where.format(at + row)}: the names of the columns again, not values.") for row in again
        ]
        if errors and not self._skips:
            raise errors[0]
        odd += errors
        yield batch.filter(pc.invert(same)) if again else batch


class _Tail:
    """A file that is read once, whose last bytes are kept."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._tail = b""

    def read(self, count: int = -1) -> bytes:
        data = self._stream.read(count)
        self._tail = data[-_TAIL_BYTES:] if len(data) >= _TAIL_BYTES else (self._tail + data)[-_TAIL_BYTES:]
        return data

    def leaves_open(self, batch: Any) -> bool:
        """Say whether the file ends within quotes, which Arrow takes for their end: its last value is how it ends."""
        value = batch.columns[-1][-1].as_py() if batch.num_rows else None
        data = value.encode() if isinstance(value, str) else value
        if not isinstance(data, bytes) or not data.strip(b'"'):
            return False
        return self._tail.endswith((b'"' + data.replace(b'"', b'""'))[-_TAIL_BYTES:])


def _drained(errors: list[SourceError]) -> list[SourceError]:
    """Return what is in a list, which is emptied."""
    found = errors.copy()
    errors.clear()
    return found


def _marked(items: Iterable[_T]) -> Iterator[tuple[_T, bool]]:
    """Yield items, and whether each is the last."""
    before: list[_T] = []
    for item in items:
        for one in before:
            yield one, False
        before = [item]
    for one in before:
        yield one, True


def _failure(file: SourceFile, at: int, error: Exception) -> SourceError:
    where = f"{file.name}, after row {at - 1}" if at else file.name
    hint = ". The first rows told another type of that column; say which it has, as by columns={'name': 'str'}."
    return SourceError(f"{where}: {error}{hint if 'conversion error' in str(error) else ''}")
