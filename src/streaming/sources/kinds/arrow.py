"""Arrow's files: those with a footer, and streams, as Hugging Face saves them. A piece is a run of record batches."""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from streaming.core.errors import SourceError, StreamingError
from streaming.core.imports import optional_import
from streaming.format.arrow_types import is_list
from streaming.sources.features import mark_full
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece, Scan
from streaming.sources.types import storage_of

__all__ = ["ArrowFiles"]

_PIECE_BYTES = 1 << 25
_ROWS = 1 << 13
#: What files end in, and streams.
_MAGIC, _END = b"ARROW1", b"\xff\xff\xff\xff\0\0\0\0"
#: What files of Feather's first version begin with.
_OLD = b"FEA1"


class ArrowFiles:
    """Files of Arrow."""

    counts_rows = False

    def scan(self, file: SourceFile) -> Scan:
        """Go through the record batches of a file."""
        if not file.read(max(0, file.size - len(_END)), file.size).endswith((_MAGIC, _END)):
            warnings.warn(
                f"{file.store!r}/{file.name} has no mark at its end: it may be cut off. Write it anew.", stacklevel=2
            )
        missing: set[str] = set()
        lacking: set[str] = set()
        pieces: list[Piece] = []
        with _opened(file) as (schema, batches):
            begin = rows = size = number = 0
            for number, batch in enumerate(batches, 1):
                batch.validate(full=True)  # Arrow follows offsets wherever they lead
                columns = list(zip(schema.names, batch.columns, strict=True))
                missing |= {name for name, column in columns if column.null_count or _has_gaps(column)}
                lacking |= {name for name, column in columns if name not in lacking and _lacks(column)}
                rows += batch.num_rows
                size += batch.nbytes
                if size >= _PIECE_BYTES:
                    pieces.append(Piece(begin, number, rows, size))
                    begin, rows, size = number, 0, 0
            if rows:
                pieces.append(Piece(begin, number, rows, size))
        for i, field in enumerate(schema):
            marked = mark_full(field.with_nullable(field.name in missing), field.name not in lacking)
            schema = schema.set(i, marked)
        return Scan(storage_of(schema), pieces)

    def batches(self, file: SourceFile, pieces: Sequence[Piece], names: Sequence[str]) -> Iterator[Any]:
        """Yield the record batches, not more than some thousand rows at a time."""
        for piece in pieces:
            with _opened(file) as (schema, batches):
                present = [name for name in names if name in schema.names]
                for number, batch in enumerate(batches):
                    if number >= piece.end:
                        break
                    if number < piece.begin:
                        continue
                    chosen = batch.select(present)
                    chosen.validate(full=True)
                    for at in range(0, chosen.num_rows, _ROWS):
                        yield chosen.slice(at, _ROWS)


def _lacks(array: Any) -> bool:
    """Say whether a value is missing, or one within, or a list is empty; of files only their bytes count."""
    import pyarrow as pa

    array = array.storage if hasattr(array.type, "storage_type") else array
    if array.null_count:
        return True
    if hasattr(array.type, "storage_type"):
        array = array.storage
    if pa.types.is_struct(array.type):
        inner = array.type.get_field_index("bytes")
        return array.field(max(inner, 0)).null_count > 0 if array.type.num_fields else False
    if not is_list(array.type):
        return False
    is_fixed = pa.types.is_fixed_size_list(array.type)
    if not is_fixed and not _has_no_empty(array):
        return True
    return _lacks(array.flatten())


def _has_gaps(array: Any) -> bool:
    """Say whether a value in a list is missing."""
    return is_list(array.type) and array.flatten().null_count > 0


def _has_no_empty(array: Any) -> bool:
    """Say whether no list is empty."""
    import pyarrow.compute

    pc: Any = pyarrow.compute
    shortest = pc.min(pc.list_value_length(array)).as_py()
    return shortest is None or shortest > 0


@contextmanager
def _opened(file: SourceFile) -> Iterator[tuple[Any, Iterator[Any]]]:
    pa = optional_import("pyarrow", "arrow", "Reading Arrow's files")
    is_old = False
    try:
        with file.open([(0, file.size)]) as local:
            # Arrays look into the map: it goes when the last of them does.
            mapped = pa.BufferReader(pa.py_buffer(mmap.mmap(local.fileno(), 0, access=mmap.ACCESS_READ)))
            begins = mapped.read(len(_MAGIC))
            mapped.seek(0)
            is_old = begins.startswith(_OLD)
            if begins == _MAGIC:
                reader = pa.ipc.open_file(mapped)
                yield reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                reader = pa.ipc.open_stream(mapped)
                yield reader.schema, iter(reader)
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        if isinstance(error, StreamingError):
            raise
        hint = ". It is of Feather's first version: write it again by pyarrow.feather.write_feather" if is_old else ""
        raise SourceError(f"{file.name} cannot be read as a file of Arrow: {error}{hint}.") from error
