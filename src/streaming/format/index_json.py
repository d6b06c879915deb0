"""Checking ``index.json``: one shard at a time, trusting nothing.

The shards of one dataset differ in their files and sample counts alone, so the rest becomes a few
schemas, checked once each, and the files become columns.
"""

from __future__ import annotations

import json
import re
from array import array
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError, IndexFormatError, IndexNotJSONError
from streaming.core.units import bytes_to_int
from streaming.format.compression import is_compression
from streaming.format.encodings import encodings, get_mds_encoded_size
from streaming.format.files import FileInfo, FileTable, FileTableBuilder
from streaming.format.json_stream import read_object
from streaming.format.schema import FORMATS, SEPARATORS, SPLIT_FORMATS, Schema

__all__ = ["FILE_KEYS", "VERSION", "IndexParts", "parse_index"]

#: The version of the index format that is read and written.
VERSION = 2
#: Keys under which a shard's entry names its files.
FILE_KEYS = ("raw_data", "raw_meta", "zip_data", "zip_meta")

_MAX_SAMPLES = (1 << 32) - 1  # a shard counts its samples in 32 bits
_MAX_FILE_BYTES = 1 << 48
_MAX_TOTAL = (1 << 63) - 1
_HASH_NAME = re.compile(r"[A-Za-z0-9_-]+")
_HASH_VALUE = re.compile(r"[0-9A-Za-z]*")


class IndexParts(NamedTuple):
    """What an index consists of, by column; the fields are those of ``Index``."""

    samples: NDArray[np.int64]
    schemas: tuple[Schema, ...]
    schema_ids: NDArray[np.int32]
    raw_data: FileTable
    raw_meta: FileTable
    zip_data: FileTable
    zip_meta: FileTable


def parse_index(data: bytes, source: str) -> IndexParts:
    """Read and check an index.

    Args:
        data: Contents of an ``index.json``.
        source: Where it came from, for error texts.

    Returns:
        The columns.

    Raises:
        IndexNotJSONError: It is not JSON.
        IndexFormatError: It is not a valid version 2 index.
    """
    builder = _Builder(source)
    try:
        text = data.decode("utf-8-sig")
        top = read_object(text, "shards", builder.add)
    except json.JSONDecodeError as error:
        if isinstance(error, IndexFormatError):
            raise
        raise IndexNotJSONError(
            f"{source} is not a JSON object: {error}. It begins with {data[:40]!r}.",
            error.doc,
            error.pos,
        ) from error
    except UnicodeDecodeError as error:
        raise IndexNotJSONError(f"{source} is not JSON: {error}") from error
    except RecursionError as error:
        raise IndexFormatError(f"{source} is nested too deeply to be an index.") from error
    except IndexFormatError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise IndexFormatError(f"{source} is not an index: {error}") from error
    version = top.get("version")
    if type(version) is not int or version != VERSION:
        raise IndexFormatError(
            f"{source} has version {_show(version)}; only version {VERSION} can be read."
        )
    if not isinstance(top.get("shards"), int) or not builder.saw(top["shards"]):
        raise IndexFormatError(
            f"{source} has no list of shards under the key 'shards', so it is not the index of a "
            f"dataset."
        )
    return builder.build()


class _Builder:
    """Turns the entries of shards into columns."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._samples = array("q")
        self._schema_ids = array("i")
        self._schemas: dict[Schema, int] = {}
        self._known: dict[Any, tuple[int, Schema]] = {}
        self._tables = {key: FileTableBuilder() for key in FILE_KEYS}
        self._total_samples = 0
        self._total_bytes = 0

    def saw(self, count: int) -> bool:
        return count == len(self._samples)

    def add(self, entry: Any) -> None:
        try:
            self._add(entry)
        except (_EntryError, UnicodeEncodeError) as error:
            raise IndexFormatError(
                f"{self._source}, shard {len(self._samples)}: {error}."
            ) from error

    def _add(self, entry: Any) -> None:
        if not isinstance(entry, dict):
            raise _EntryError(f"expected an object, got {_show(entry)}")
        entry = cast("dict[str, Any]", entry)
        schema_id, schema = self._schema(entry)
        samples = _count(_get(entry, "samples"), "samples", _MAX_SAMPLES)
        files = {key: _file(entry, key, schema) for key in FILE_KEYS}
        table = files["raw_meta"] if schema.is_split else files["raw_data"]
        if table is not None and table.bytes < 4 * (samples + 2):
            raise _EntryError(f"{samples} samples cannot be in a file of {table.bytes} bytes")
        self._total_samples += samples
        self._total_bytes += sum(file.bytes for file in files.values() if file is not None)
        if max(self._total_samples, self._total_bytes) > _MAX_TOTAL:
            raise _EntryError("the sizes of all shards together pass 2**63")
        for key, builder in self._tables.items():
            builder.append(files[key])
        self._schema_ids.append(schema_id)
        self._samples.append(samples)

    def _schema(self, entry: dict[str, Any]) -> tuple[int, Schema]:
        # Equal static parts of two entries give equal keys, so each is checked once.
        key = repr([entry.get(name) for name in _STATIC_KEYS])
        known = self._known.get(key)
        if known is None:
            schema = read_schema(entry)
            known = self._schemas.setdefault(schema, len(self._schemas)), schema
            self._known[key] = known
        return known

    def build(self) -> IndexParts:
        return IndexParts(
            np.array(self._samples, np.int64),
            tuple(self._schemas),
            np.array(self._schema_ids, np.int32),
            **{key: builder.build() for key, builder in self._tables.items()},
        )


class _EntryError(ValueError):
    """What is wrong with the entry of a shard, without saying which."""


_STATIC_KEYS = (
    "format",
    "version",
    "column_names",
    "column_encodings",
    "column_sizes",
    "columns",
    "compression",
    "hashes",
    "newline",
    "separator",
    "size_limit",
)


def read_schema(entry: dict[str, Any]) -> Schema:
    """Read and check the static part of a shard's entry."""
    if entry.get("version", VERSION) != VERSION:
        raise _EntryError(f"version {_show(entry['version'])}; expected {VERSION}")
    kind = _get(entry, "format")
    if kind not in FORMATS if isinstance(kind, str) else True:
        raise _EntryError(f"unknown format {_show(kind)}; known: {', '.join(sorted(FORMATS))}")
    if kind == "json":
        columns = _get(entry, "columns")
        if not isinstance(columns, dict):
            raise _EntryError(f"columns: expected an object, got {_show(columns)}")
        pairs = sorted(cast("dict[str, Any]", columns).items())
        names = tuple(name for name, _ in pairs)
        column_encodings = _strings([encoding for _, encoding in pairs], "columns")
    else:
        names = _strings(_get(entry, "column_names"), "column_names")
        column_encodings = _strings(_get(entry, "column_encodings"), "column_encodings")
    if len(set(names)) != len(names):
        raise _EntryError(f"column_names: a name comes twice in {_show(names)}")
    if len(column_encodings) != len(names):
        raise _EntryError(f"{len(names)} column_names, but {len(column_encodings)} encodings")
    if kind == "mds":
        sizes = _sizes(_get(entry, "column_sizes"), names, column_encodings)
    else:
        sizes = (None,) * len(names)
    compression = entry.get("compression") or None
    if compression is not None and not is_compression(compression):
        raise _EntryError(f"unknown compression {_show(compression)}")
    newline = _text(_get(entry, "newline"), "newline") if kind in SPLIT_FORMATS else None
    separator = _text(_get(entry, "separator"), "separator") if kind == "xsv" else None
    return Schema(
        format=kind,
        column_names=names,
        column_encodings=column_encodings,
        column_sizes=sizes,
        compression=compression,
        hashes=_strings(entry.get("hashes") or [], "hashes"),
        newline=newline,
        separator=SEPARATORS.get(kind, separator),
        size_limit=_size_limit(entry.get("size_limit")),
    )


def _sizes(
    value: Any, names: tuple[str, ...], column_encodings: tuple[str, ...]
) -> tuple[int | None, ...]:
    if not isinstance(value, list) or len(cast("list[Any]", value)) != len(names):
        raise _EntryError(f"column_sizes: expected a list of {len(names)}, got {_show(value)}")
    sizes = tuple(
        _count(size, "column_sizes", _MAX_SAMPLES) or None if size is not None else None
        for size in cast("list[Any]", value)
    )
    for name, encoding, size in zip(names, column_encodings, sizes, strict=True):
        if encoding.partition(":")[0] not in encodings:
            continue  # may be registered later, or its column never be read
        try:
            expected = get_mds_encoded_size(encoding)
        except ConfigError as error:
            raise _EntryError(f"column {name!r}: {error}") from error
        if (expected or None) != size:
            raise _EntryError(
                f"column {name!r} of encoding {encoding!r} has size {size}, expected {expected}"
            )
    return sizes


def _file(entry: dict[str, Any], key: str, schema: Schema) -> FileInfo | None:
    if key.endswith("_meta") and not schema.is_split:
        return None
    value = entry.get(key)
    if value is None:
        if key.startswith("raw_"):
            raise _EntryError(f"{key} is missing")
        return None
    if schema.compression is None and key.startswith("zip_"):
        raise _EntryError(f"{key} names a file, but compression is null")
    if not isinstance(value, dict):
        raise _EntryError(f"{key}: expected an object, got {_show(value)}")
    value = cast("dict[str, Any]", value)
    hashes: Any = value.get("hashes") or {}
    if not isinstance(hashes, dict):
        raise _EntryError(f"{key}, hashes: expected an object, got {_show(hashes)}")
    hashes = cast("dict[str, Any]", hashes)
    for algo, digest in hashes.items():
        if not (
            _HASH_NAME.fullmatch(algo) and isinstance(digest, str) and _HASH_VALUE.fullmatch(digest)
        ):
            raise _EntryError(f"{key}: not a hash: {_show(algo)}: {_show(digest)}")
    size = _count(_get(value, "bytes", key), f"{key}, bytes", _MAX_FILE_BYTES)
    return FileInfo(_basename(_get(value, "basename", key), key), size, hashes)


def _basename(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise _EntryError(f"{key}, basename: expected the name of a file, got {_show(value)}")
    parts = value.split("/")
    if "\\" in value or "\0" in value or any(part in {"", ".", ".."} for part in parts):
        raise _EntryError(
            f"{key}, basename {_show(value)} is not a plain relative path, so it could leave the "
            f"dataset's directory"
        )
    return value


def _get(obj: dict[str, Any], key: str, where: str = "") -> Any:
    try:
        return obj[key]
    except KeyError:
        raise _EntryError(f"{where + ', ' if where else ''}{key} is missing") from None


def _count(value: Any, what: str, limit: int) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        raise _EntryError(f"{what}: expected a number from 0 to {limit}, got {_show(value)}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise _EntryError(f"{what}: expected text, got {_show(value)}")
    return value


def _strings(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(item, str) for item in cast("list[Any]", value)
    ):
        raise _EntryError(f"{what}: expected a list of strings, got {_show(value)}")
    return tuple(cast("list[str]", value))


def _size_limit(value: Any) -> int | None:
    if value is None or isinstance(value, bool) or not isinstance(value, (int, str)):
        if value is not None:
            raise _EntryError(f"size_limit: expected a number of bytes, got {_show(value)}")
        return None
    try:
        limit = bytes_to_int(value)
    except ConfigError as error:
        raise _EntryError(f"size_limit: {error}") from error
    if limit < 0:
        raise _EntryError(f"size_limit: expected a number of bytes, got {_show(value)}")
    return limit or None


def _show(value: Any, limit: int = 80) -> str:
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
