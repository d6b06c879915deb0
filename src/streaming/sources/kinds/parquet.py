"""Parquet: a piece is rows, of a row group, of which the chunks of the columns that are wanted are fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple

from streaming.core.errors import SourceError
from streaming.core.imports import optional_import
from streaming.format.arrow_types import is_list
from streaming.sources.features import mark_full
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece, Scan
from streaming.sources.types import storage_of
from streaming.storage.providers.local import LocalStore

__all__ = ["Parquet"]

_TAIL_BYTES = 1 << 16
_END_BYTES = 8
#: What follows a footer that is not encrypted, while columns are. Arrow ends the process when it looks at one of these.
_SIGNATURE_BYTES = 28
_ROWS = 1 << 13
_BATCH_BYTES = 1 << 23
#: Chunks of columns are read so much at a time, not whole.
_BUFFER_BYTES = 1 << 20


class Parquet:
    """Files of Parquet."""

    counts_rows = True
    end_bytes = _TAIL_BYTES

    def scan(self, file: SourceFile) -> Scan:
        """Read the footer."""
        found = _end(file).footer
        pieces: list[Piece] = []
        begin = 0
        for i in range(found.num_row_groups):
            group = found.row_group(i)
            if group.num_rows:
                pieces.append(Piece(begin, begin + group.num_rows, group.num_rows, group.total_byte_size))
                begin += group.num_rows
        with _named(file):
            return Scan(_without_nulls(found), pieces)

    def batches(self, file: SourceFile, pieces: Sequence[Piece], names: Sequence[str]) -> Iterator[Any]:
        """Fetch the chunks, and decode them some rows at a time; the pieces are neighbours."""
        found, whole = _end(file)
        begin, end = (pieces[0].begin, pieces[-1].end) if pieces else (0, 0)
        if end > found.num_rows:
            raise SourceError(f"{file.name} has {found.num_rows:,} rows now. It was changed; index it again.")
        at, groups = _groups(found, begin, end)
        with _named(file):
            leaves = _leaves(found, set(names))
            ranges = sorted(_chunk(found.row_group(group).column(i)) for group in groups for i in leaves)
        with file.open(ranges) if whole is None else BytesIO(whole) as local, _named(file):
            opened = _opened(local, found)
            rows = _rows_at_once(found, groups, leaves)
            for batch in opened.iter_batches(rows, groups, leaves, use_threads=False):
                first, last = max(begin - at, 0), min(end - at, batch.num_rows)
                if last > first:
                    yield batch.slice(first, last - first)
                at += batch.num_rows
                if at >= end:
                    return


def _opened(local: Any, footer: Any) -> Any:
    """Return what decodes a file.

    It takes memory from the system: Arrow's own allocator takes much at once for every thread, all of which is cleared.
    """
    reader = _pyarrow(".parquet").ParquetReader(_pyarrow().system_memory_pool())
    reader.open(local, metadata=footer, buffer_size=_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)
    return reader


def _leaves(footer: Any, names: set[str]) -> list[int]:
    """Return the numbers of the columns as they are stored, where those of a struct are several, of some columns."""
    paths = [footer.schema.column(i).path for i in range(footer.num_columns)]
    return [i for i, path in enumerate(paths) if any(name in names for name in _names(path))]


def _names(path: str) -> list[str]:
    """Return what the column may be called that a path is of, which may have dots itself; the longest first."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _rows_at_once(footer: Any, groups: Sequence[int], leaves: Sequence[int]) -> int:
    """Return how many rows are to be decoded at a time, so that they take some megabytes."""
    size, count = 0, 1
    for i in groups:
        group = footer.row_group(i)
        count += group.num_rows
        size += sum(group.column(leaf).total_uncompressed_size for leaf in leaves)
    return min(max(_BATCH_BYTES * count // (size + 1), 1), _ROWS)


def _groups(footer: Any, begin: int, end: int) -> tuple[int, list[int]]:
    """Return the row groups that hold rows ``[begin, end)``, and the number of the first row in them."""
    first, at, groups = 0, 0, list[int]()
    for i in range(footer.num_row_groups):
        rows = footer.row_group(i).num_rows
        if at < end and at + rows > begin:
            first = first if groups else at
            groups.append(i)
        at += rows
    return first, groups


def _without_nulls(footer: Any) -> Any:
    """Return the schema, its fields nullable only where a value is missing, or nobody counted; and full as counted."""
    paths = tuple(footer.schema.column(i).path for i in range(footer.num_columns))
    stored = footer.schema.to_arrow_schema().serialize().to_pybytes()
    return _counted(stored, paths, frozenset(_paths_with_nulls(footer)))


@lru_cache(64)
def _counted(stored: bytes, paths: tuple[str, ...], gaps: frozenset[str]) -> Any:
    """Return the same for a schema, which most files of a source have, its columns' paths, and those with gaps."""
    pa = _pyarrow()
    schema = storage_of(pa.ipc.read_schema(pa.py_buffer(stored)))
    known, leaves = set(schema.names), dict[str, list[str]]()
    for path in paths:
        leaves.setdefault(next(name for name in _names(path) if name in known), []).append(path)
    for i, field in enumerate(schema):
        own = leaves.get(field.name, [])
        # A value in which something is there is there; of files, the bytes count.
        is_there = any(path not in gaps for path in own)
        told = [path for path in own if path.endswith(".bytes")] or own
        full = all(path not in gaps for path in told)
        may_lack = field.nullable or (is_list(field.type) and field.type.value_field.nullable)
        schema = schema.set(i, mark_full(field.with_nullable(may_lack and not is_there), full and is_there))
    return schema


def _paths_with_nulls(footer: Any) -> Iterator[str]:
    for g in range(footer.num_row_groups):
        group = footer.row_group(g)
        for i in range(footer.num_columns if group.num_rows else 0):
            chunk = group.column(i)
            statistics = chunk.statistics if chunk.is_stats_set else None
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                yield chunk.path_in_schema


def _pyarrow(module: str = "") -> Any:
    return optional_import(f"pyarrow{module}", "arrow", "Reading Parquet")


class _End(NamedTuple):
    """What is known of a file.

    Attributes:
        footer: Its metadata.
        whole: All of it, if it is so small that it came with them: it need not come again.
    """

    footer: Any
    whole: bytes | None


@lru_cache(256)
def _end(file: SourceFile) -> _End:
    pa, pq = _pyarrow(), _pyarrow(".parquet")
    tail = file.read(max(0, file.size - _TAIL_BYTES), file.size)
    encrypted = f"{file.name} is encrypted, which is not supported. Decrypt it, and give the result."
    if tail[-4:] == b"PARE":
        raise SourceError(encrypted)
    needed = int.from_bytes(tail[-_END_BYTES:-4], "little") + _END_BYTES
    if tail[-4:] != b"PAR1" or needed > file.size:
        raise SourceError(
            f"{file.name} is no Parquet file, or is cut off: its {file.size:,} bytes do not end in a footer."
        )
    whole = None if len(tail) < file.size or isinstance(file.store, LocalStore) else tail
    if len(tail) < needed:
        tail = file.read(file.size - needed, file.size)
    with _named(file):
        found = pq.read_metadata(pa.BufferReader(b"PAR1" + tail[-needed:]))
    if needed - _END_BYTES - found.serialized_size == _SIGNATURE_BYTES:
        raise SourceError(encrypted)
    return _End(found, whole)


def _chunk(chunk: Any) -> tuple[int, int]:
    """Return where a chunk of a column begins and ends."""
    begin = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < begin:
        begin = chunk.dictionary_page_offset
    return begin, begin + chunk.total_compressed_size


@contextmanager
def _named(file: SourceFile) -> Iterator[None]:
    """Say which file it is that Arrow cannot read."""
    pa = _pyarrow()
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file.name} cannot be read as Parquet: {str(error).strip()}") from error
