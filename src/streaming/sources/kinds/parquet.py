"""Parquet: a piece is a row group, of which the chunks of the columns that are wanted are fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from streaming.core.errors import SourceError
from streaming.core.imports import optional_import
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece, Scan

__all__ = ["Parquet"]

_TAIL_BYTES = 1 << 16
_END_BYTES = 8
_ROWS = 1 << 13


class Parquet:
    """Files of Parquet."""

    def scan(self, file: SourceFile) -> Scan:
        """Read the footer."""
        found = _footer(file)
        pieces: list[Piece] = []
        for i in range(found.num_row_groups):
            group = found.row_group(i)
            if group.num_rows:
                pieces.append(Piece(i, i + 1, group.num_rows, group.total_byte_size))
        with _named(file):
            return Scan(_without_nulls(found), pieces)

    def batches(self, file: SourceFile, pieces: Sequence[Piece], names: Sequence[str]) -> Iterator[Any]:
        """Fetch the chunks, and decode them some rows at a time."""
        pq = _pyarrow(".parquet")
        found = _footer(file)
        groups = [group for piece in pieces for group in range(piece.begin, piece.end)]
        if groups and groups[-1] >= found.num_row_groups:
            raise SourceError(f"{file.name} has {found.num_row_groups} row groups now. It was changed; index it again.")
        ranges = sorted(chunk for group in groups for chunk in _chunks(found.row_group(group), set(names)))
        with file.open(ranges) as local, _named(file):
            opened = pq.ParquetFile(local, metadata=found, pre_buffer=False)
            present = set(opened.schema_arrow.names)
            wanted = [name for name in names if name in present]
            yield from opened.iter_batches(_ROWS, row_groups=groups, columns=wanted, use_threads=False)

    def misses(self, file: SourceFile, name: str) -> bool:
        """Say whether a value of a column, or one within, may be missing, or a list be empty.

        Of a struct, its first field tells.
        """
        found = _footer(file)
        for g in range(found.num_row_groups):
            group = found.row_group(g)
            chunk = next(c for i in range(group.num_columns) if _is_of(c := group.column(i), name))
            statistics = chunk.statistics if chunk.is_stats_set else None
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                return True
        return False


def _is_of(chunk: Any, name: str) -> bool:
    return chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}.")


def _without_nulls(footer: Any) -> Any:
    """Return the schema, its fields nullable only where a value is missing, or nobody counted."""
    schema = footer.schema.to_arrow_schema()
    may_miss: set[str] = set()
    leaves: dict[str, int] = {}
    for i in range(footer.num_columns):
        name = footer.schema.column(i).path.partition(".")[0]
        leaves[name] = leaves.get(name, 0) + 1
    for g in range(footer.num_row_groups):
        group = footer.row_group(g)
        for i in range(footer.num_columns):
            chunk = group.column(i)
            statistics = chunk.statistics if chunk.is_stats_set else None
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                may_miss.add(chunk.path_in_schema.partition(".")[0])
    for i, field in enumerate(schema):
        if field.name not in may_miss and leaves[field.name] == 1 and footer.schema.column(i).max_repetition_level == 0:
            schema = schema.set(i, field.with_nullable(False))
    return schema


def _pyarrow(module: str = "") -> Any:
    return optional_import(f"pyarrow{module}", "arrow", "Reading Parquet")


@lru_cache(64)
def _footer(file: SourceFile) -> Any:
    pa, pq = _pyarrow(), _pyarrow(".parquet")
    tail = file.read(max(0, file.size - _TAIL_BYTES), file.size)
    if tail[-4:] == b"PARE":
        raise SourceError(f"{file.name} is encrypted, which is not supported. Decrypt it, and give the result.")
    needed = int.from_bytes(tail[-_END_BYTES:-4], "little") + _END_BYTES
    if tail[-4:] != b"PAR1" or needed > file.size:
        raise SourceError(
            f"{file.name} is no Parquet file, or is cut off: its {file.size:,} bytes do not end in a footer."
        )
    if len(tail) < needed:
        tail = file.read(file.size - needed, file.size)
    with _named(file):
        return pq.read_metadata(pa.BufferReader(b"PAR1" + tail))


def _chunks(group: Any, names: set[str]) -> Iterator[tuple[int, int]]:
    """Yield where the chunks of some columns of a row group begin and end."""
    for i in range(group.num_columns):
        chunk = group.column(i)
        if chunk.path_in_schema.partition(".")[0] in names:
            begin = chunk.data_page_offset
            if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < begin:
                begin = chunk.dictionary_page_offset
            yield begin, begin + chunk.total_compressed_size


@contextmanager
def _named(file: SourceFile) -> Iterator[None]:
    """Say which file it is that Arrow cannot read."""
    pa = _pyarrow()
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{file.name} cannot be read as Parquet: {error}") from error
