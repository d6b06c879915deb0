"""Tables: Parquet, Arrow's files, and separated values, as record batches.

Columns of files (of Hugging Face's features ``Image``, ``Audio``, ``Video``) are the bytes of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from typing import Any

from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError, StorageError, StreamingError
from streaming.core.imports import optional_import
from streaming.sources.columns import unite
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.features import TableColumns
from streaming.sources.kinds.arrow import ArrowFiles
from streaming.sources.kinds.cells import Cells, warn_of_names
from streaming.sources.kinds.parquet import Parquet
from streaming.sources.kinds.separated import Separated
from streaming.sources.lance.fragments import Fragments
from streaming.sources.names import partitions
from streaming.sources.pieces import Kind, Piece, Scan, Scanned

__all__ = ["Tables", "arrow", "lance", "parquet", "separated"]

_AT_ONCE = 16
_PEEKED = 32
_JPEG = b"\xff\xd8\xff"


def parquet(files: Files) -> Tables:
    """Open files of Parquet."""
    return Tables(files, Parquet())


def arrow(files: Files) -> Tables:
    """Open files of Arrow, of either kind, such as a saved dataset of Hugging Face."""
    return Tables(files, ArrowFiles())


def lance(files: Files) -> Tables:
    """Open fragments of a table of Lance."""
    return Tables(files, Fragments())


def separated(files: Files) -> Source:
    """Open files of separated values."""
    if files.in_place:
        return Cells(files)
    tables = Tables(files, Separated(files.encodings, files.skips))
    warn_of_names(tables.schema.names, files.origin)
    return tables


class Tables(Source):
    """Tables of a kind that gives record batches.

    Args:
        files: They. The option ``schema='union'`` takes files of different columns.
        kind: How they are read.
    """

    def __init__(self, files: Files, kind: Kind) -> None:
        super().__init__(files)
        optional_import("pyarrow", "arrow", "Reading tables")
        self._kind = kind
        looked = self._look()
        found = [(info, scan) for info, scan in zip(files.infos, looked, strict=True) if isinstance(scan, Scan)]
        if not found:
            error = next(scan for scan in looked if isinstance(scan, StreamingError))
            raise SourceError(f"None of the {len(files)} files at {files.origin} can be read: {error}") from error
        self._told, self._values = self._of_directories()
        self.schema = self._united(found)
        self.parts = list(self._parts(looked))
        if not any(part.rows for part in self.parts):
            raise EmptyDatasetError(f"There are no rows at {files.origin}.")

    def _look(self) -> list[Scan | StreamingError]:
        def look(number: int) -> Scan | StreamingError:
            try:
                return self._kind.scan(self.files[number])
            except (SourceError, StorageError) as error:
                if not self.files.skips:
                    raise
                return error

        with ThreadPoolExecutor(_AT_ONCE, "streaming-scan") as threads:
            return list(threads.map(look, range(len(self.files))))

    def _united(self, found: Sequence[tuple[Any, Scan]]) -> Any:
        texts = [scan.schema.serialize().to_pybytes() for _, scan in found]
        distinct = list(dict.fromkeys(texts))
        schemas = [found[texts.index(text)][1].schema for text in distinct]
        ids = [distinct.index(text) for text in texts]
        how = self.files.options.get("schema", "same")
        if how not in ("same", "union"):
            raise ConfigError(f"schema must be 'same' or 'union', got {how!r}.")
        scanned = Scanned([info for info, _ in found], schemas, ids, [])
        schema = unite(scanned, how, self.files.origin)
        for field in self._told or ():
            schema = schema if field.name in schema.names else schema.append(field)
        return schema

    def _of_directories(self) -> tuple[Any, Sequence[Mapping[str, Any]]]:
        """Return the columns that names of directories make, and their values for each file."""
        if self.files.format == "lance" or self.files.origin.startswith("hf:"):
            return None, []
        return partitions([info.path for info in self.files.infos])

    def _array(self, batch: Any, name: str, part: Part, at: int) -> Any:
        """Return a column of a record batch, or one that the file's directory tells."""
        pa = optional_import("pyarrow", "arrow", "Reading tables")
        if self._values and name in self._values[part.file] and name not in batch.schema.names:
            value = pa.scalar(self._values[part.file][name], self.schema.field(name).type)
            return pa.repeat(value, batch.num_rows)
        return self.table.array(batch, name, f"{part.name}, rows from {at}")

    def _parts(self, looked: Sequence[Scan | StreamingError]) -> Iterator[Part]:
        for number, (info, scan) in enumerate(zip(self.files.infos, looked, strict=True)):
            if not isinstance(scan, Scan):
                yield Part(info.path, number, 0, -1)  # fails again when it is read
                continue
            first = 0
            whole = sum(piece.bytes for piece in scan.pieces) or 1
            for piece in scan.pieces:
                size = info.bytes * piece.bytes // whole
                yield Part(info.path, number, piece.begin, piece.end, first, piece.rows, size)
                first = first + piece.rows if piece.rows >= 0 else -1

    @cached_property
    def table(self) -> TableColumns:
        """The columns of the files."""
        table = TableColumns(self.schema)
        images = [name for name, kind in table.files.items() if kind == "image"]
        return table.with_jpegs({name for name in images if self._are_jpegs(table, name)})

    @property
    def columns(self) -> dict[str, str]:
        """Encoding of each column."""
        return {name: self.table.encoding(name) for name in self.schema.names}

    def _are_jpegs(self, table: TableColumns, name: str) -> bool:
        part = next(part for part in self.parts if part.rows)
        batch = next(self._read(part, [name]))
        first = islice(table.array(batch, name, part.name).to_pylist(), _PEEKED)
        return all(isinstance(value, bytes) and value.startswith(_JPEG) for value in first if value is not None)

    @property
    def metadata(self) -> dict[str, Any]:
        """Names of classes, sampling rates, and what files hold."""
        return self.table.metadata

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the rows of a part."""
        for batch in self.batches(part, names):
            if isinstance(batch, SourceError):
                yield batch
                continue
            columns = [
                self.table.values(column, name) for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
            for values in zip(*columns, strict=True):
                yield dict(zip(batch.schema.names, values, strict=True))

    def batches(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield record batches of plain columns, in the order of the names; errors in place of rows that cannot be read."""
        pa = optional_import("pyarrow", "arrow", "Reading tables")
        wanted = list(names) if names is not None else list(self.schema.names)
        at = part.first_row
        for batch in self._read(part, wanted):
            if isinstance(batch, SourceError):
                yield batch
                continue
            arrays = [self._array(batch, name, part, at) for name in wanted]
            yield pa.RecordBatch.from_arrays(arrays, wanted)
            at += batch.num_rows

    def _read(self, part: Part, names: Sequence[str]) -> Iterator[Any]:
        file = self.files[part.file]
        if part.end < 0:
            self._kind.scan(file)
            raise SourceError(f"{part.name} could not be read at first, and now can. Convert again.")
        return self._kind.batches(file, [Piece(part.begin, part.end, part.rows, part.bytes)], names)
