"""Tables: Parquet, Arrow's files, and separated values, as record batches.

Columns of files (of Hugging Face's features ``Image``, ``Audio``, ``Video``) are the bytes of the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from typing import Any, cast

from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError, StorageError, StreamingError
from streaming.core.imports import optional_import
from streaming.sources.columns import unite
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.kinds.arrow import ArrowFiles
from streaming.sources.kinds.parquet import Parquet
from streaming.sources.kinds.separated import Separated
from streaming.sources.kinds.types import array_encoding, column_values, encoding_for, is_list_of_numbers, plain
from streaming.sources.pieces import Kind, Piece, Scan, Scanned

__all__ = ["Tables", "arrow", "parquet", "separated"]

_AT_ONCE = 16
_PEEKED = 32
_JPEG = b"\xff\xd8\xff"
_FILES = {"Image": "image", "Audio": "audio", "Video": "video"}


def parquet(files: Files) -> Tables:
    """Open files of Parquet."""
    return Tables(files, Parquet())


def arrow(files: Files) -> Tables:
    """Open files of Arrow, of either kind, such as a saved dataset of Hugging Face."""
    return Tables(files, ArrowFiles())


def separated(files: Files) -> Tables:
    """Open files of separated values."""
    types = dict(pair.split("=") for pair in files.options.get("types", "").split(",") if pair)
    return Tables(files, Separated(types))


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
        self.schema = self._united(found)
        self.parts = list(self._parts(looked))
        if not any(part.rows for part in self.parts):
            raise EmptyDatasetError(f"There are no rows in the {len(files)} files at {files.origin}.")

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
        return unite(scanned, how, self.files.origin)

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
    def _features(self) -> dict[str, dict[str, Any]]:
        """What Hugging Face noted of the columns."""
        try:
            noted = json.loads((self.schema.metadata or {})[b"huggingface"])["info"]["features"]
            return cast("dict[str, dict[str, Any]]", noted)
        except (KeyError, ValueError, TypeError):
            return {}

    @cached_property
    def _kept_files(self) -> dict[str, str]:
        """Columns of files, and what is in the files."""
        found = {
            name: _FILES[feature["_type"]]
            for name, feature in self._features.items()
            if isinstance(feature, dict) and feature.get("_type") in _FILES and name in self.schema.names  # pyright: ignore[reportUnnecessaryIsInstance]
        }
        for field in self.schema:
            if field.name not in found and _is_file(field.type):
                found[field.name] = "bytes"
        return found

    @cached_property
    def _encodings(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for field in self.schema:
            kind = self._kept_files.get(field.name)
            if is_list_of_numbers(field.type) and not self._misses(field.name):
                found[field.name] = array_encoding(field.type)
            elif kind is None:
                found[field.name] = encoding_for(field)
            else:
                encoding = self._jpeg_or_not(field.name) if kind == "image" else kind
                found[field.name] = f"{encoding}?" if self._misses(field.name) else encoding
        return found

    @property
    def columns(self) -> dict[str, str]:
        """Encoding of each column."""
        return self._encodings

    def _first(self, name: str) -> list[Any]:
        part = next(part for part in self.parts if part.rows)
        batch = next(self.batches(part, [name]))
        return [value for value in islice(batch.column(name).to_pylist(), _PEEKED) if value is not None]

    def _jpeg_or_not(self, name: str) -> str:
        return "jpeg" if all(value.startswith(_JPEG) for value in self._first(name)) else "image"

    def _misses(self, name: str) -> bool:
        """Say whether a file is missing, or may be, as nobody counted."""
        found = getattr(self._kind, "misses", None)
        numbers = {part.file for part in self.parts if part.end >= 0}
        return True if found is None else any(found(self.files[number], name) for number in numbers)

    @property
    def metadata(self) -> dict[str, Any]:
        """Names of classes, sampling rates, and what files hold."""
        facts = {name: _facts(feature) for name, feature in self._features.items()}
        facts = {name: fact for name, fact in facts.items() if fact}
        return {"columns": facts} if facts else {}

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows of a part."""
        for batch in self.batches(part, names):
            columns = [column_values(column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                yield dict(zip(batch.schema.names, values, strict=True))

    def batches(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield record batches of plain columns, in the order of the names."""
        pa = optional_import("pyarrow", "arrow", "Reading tables")
        wanted = list(names) if names is not None else list(self.schema.names)
        file = self.files[part.file]
        if part.end < 0:
            self._kind.scan(file)
            raise SourceError(f"{part.name} could not be read at first, and now can. Convert again.")
        at = part.first_row
        for batch in self._kind.batches(file, [Piece(part.begin, part.end, part.rows, part.bytes)], wanted):
            arrays = [self._column(batch, name, f"{part.name}, rows from {at}", pa) for name in wanted]
            yield pa.RecordBatch.from_arrays(arrays, wanted)
            at += batch.num_rows

    def _column(self, batch: Any, name: str, where: str, pa: Any) -> Any:
        kind = self.schema.field(name).type
        if name not in batch.schema.names:
            return plain(pa.nulls(batch.num_rows, kind))
        array = batch.column(name)
        try:
            array = plain(array if array.type == kind or pa.types.is_dictionary(kind) else array.cast(kind))
            return _contents(array, where, name) if name in self._kept_files else array
        except pa.ArrowException as error:
            raise SourceError(f"{where}, column {name!r}: {error}") from error


def _is_file(kind: Any) -> bool:
    """Say whether a type is that of files kept as bytes or path."""
    import pyarrow as pa

    names = {kind.field(i).name for i in range(kind.num_fields)} if pa.types.is_struct(kind) else set[str]()
    return names == {"bytes", "path"}


def _contents(array: Any, where: str, name: str) -> Any:
    """Return the bytes of files.

    Raises:
        SourceError: One is elsewhere.
    """
    import pyarrow as pa

    if not pa.types.is_struct(array.type):  # paths, or the bytes themselves
        return array
    data = array.field("bytes")
    data = plain(data.cast(pa.large_binary()))
    for i, (missing, there) in enumerate(zip(data.is_null().to_pylist(), array.is_valid().to_pylist(), strict=True)):
        if missing and there:
            path = array.field("path")[i].as_py()
            raise SourceError(
                f"{where}, row {i} of them, column {name!r}: the file {path!r} is not in the table. Save it with it."
            )
    return data


def _facts(feature: Any) -> dict[str, Any]:
    """Return what a feature of Hugging Face says besides the type of its values."""
    if not isinstance(feature, dict):
        return {}
    of = cast("dict[str, Any]", feature)
    kind = of.get("_type")
    if kind == "ClassLabel":
        return {"names": list(of["names"])}
    if kind in _FILES:
        rate = of.get("sampling_rate")
        return {"type": _FILES[kind], **({"sampling_rate": rate} if rate else {})}
    return _facts(of["feature"]) if "feature" in of else {}
