"""Separated values, quoted or not: by Arrow, which tells types by the first lines. A piece is a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streaming.core.errors import SourceError
from streaming.core.imports import optional_import
from streaming.sources.file import SourceFile
from streaming.sources.names import bare_name
from streaming.sources.pieces import Piece, Scan
from streaming.sources.streams import open_stream

__all__ = ["Separated"]

_BLOCK_BYTES = 4 << 20


class Separated:
    """Files of separated values with a line of names: commas, or tabs where the name ends in ``.tsv``.

    Args:
        types: Names of Arrow's types, of columns whose first lines do not tell.
    """

    counts_rows = False

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = dict(types)

    def scan(self, file: SourceFile) -> Scan:
        """Look at the first lines: what types their values are of, and where one is missing."""
        pa = optional_import("pyarrow", "arrow", "Reading separated values")
        batch = next(self._batches(file, None), None)
        if batch is None:
            return Scan(pa.schema([]), [])
        fields = [
            field.with_type(pa.string()).with_nullable(True)
            if pa.types.is_null(field.type)
            else field.with_nullable(bool(column.null_count))
            for field, column in zip(batch.schema, batch.columns, strict=True)
        ]
        return Scan(pa.schema(fields), [Piece(0, 1, -1, file.size)])

    def batches(self, file: SourceFile, pieces: Sequence[Piece], names: Sequence[str]) -> Iterator[Any]:
        """Yield the rows, with the types that the first lines have."""
        del pieces
        schema = self.scan(file).schema
        for batch in self._batches(file, schema):
            yield batch.select([name for name in names if name in schema.names])

    def _batches(self, file: SourceFile, schema: Any) -> Iterator[Any]:
        pa = optional_import("pyarrow", "arrow", "Reading separated values")
        csv: Any = optional_import("pyarrow.csv", "arrow", "Reading separated values")
        is_tabs = bare_name(file.name).lower().endswith(".tsv")
        types: Any = {name: pa.type_for_alias(kind) for name, kind in self._types.items()} if schema is None else schema
        row = 0
        try:
            with open_stream(file) as stream:
                reader = csv.open_csv(
                    pa.PythonFile(stream, "r"),
                    read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                    parse_options=csv.ParseOptions(delimiter="\t" if is_tabs else ",", newlines_in_values=True),
                    convert_options=csv.ConvertOptions(strings_can_be_null=False, column_types=types),
                )
                for batch in reader:
                    row += batch.num_rows
                    yield batch
        except pa.ArrowInvalid as error:
            if row == 0 and "Empty CSV file" in str(error):
                return
            raise SourceError(
                f"{file.name}, after row {row - 1}: {error} If a column's type is another than its first lines tell, say "
                "which by `columns`."
            ) from error
