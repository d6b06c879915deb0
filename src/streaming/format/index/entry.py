"""Checking one shard's entry of an index, trusting nothing."""

from __future__ import annotations

import re
from typing import Any, cast

from streaming.core.errors import ConfigError
from streaming.core.text import has_controls
from streaming.core.units import bytes_to_int
from streaming.format.codecs.compression import is_compression
from streaming.format.encodings import base_name, encodings, get_mds_encoded_size
from streaming.format.formats import formats
from streaming.format.index.files import FileInfo
from streaming.format.samples.schema import SEPARATORS, SPLIT_FORMATS, Schema

__all__ = [
    "MAX_SAMPLES",
    "STATIC_KEYS",
    "VERSION",
    "EntryError",
    "count",
    "get",
    "read_file",
    "read_schema",
    "show",
]

#: The version of the index format that is read and written.
VERSION = 2
#: A shard counts its samples in 32 bits.
MAX_SAMPLES = (1 << 32) - 1

_MAX_FILE_BYTES = 1 << 48
_MAX_NAME_BYTES = 255  # of a file system's
_HASH_NAME = re.compile(r"[A-Za-z0-9_-]+")
_HASH_VALUE = re.compile(r"[0-9A-Za-z]*")


class EntryError(ValueError):
    """What is wrong with the entry of a shard, without saying which."""


#: Keys of what the entries of a dataset's shards have in common.
STATIC_KEYS = (
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
    """Read the static part of a shard's entry.

    Raises:
        EntryError: It is wrong.
    """
    if entry.get("version", VERSION) != VERSION:
        raise EntryError(f"version {show(entry['version'])}; expected {VERSION}")
    kind = get(entry, "format")
    if kind not in formats if isinstance(kind, str) else True:
        raise EntryError(f"unknown format {show(kind)}; known: {', '.join(sorted(formats))}")
    if kind == "json":
        columns = get(entry, "columns")
        if not isinstance(columns, dict):
            raise EntryError(f"columns: expected an object, got {show(columns)}")
        pairs = sorted(cast("dict[str, Any]", columns).items())
        names = tuple(name for name, _ in pairs)
        column_encodings = _strings([encoding for _, encoding in pairs], "columns")
    else:
        names = _strings(get(entry, "column_names"), "column_names")
        column_encodings = _strings(get(entry, "column_encodings"), "column_encodings")
    if len(set(names)) != len(names):
        raise EntryError(f"column_names: a name comes twice in {show(names)}")
    if len(column_encodings) != len(names):
        raise EntryError(f"{len(names)} column_names, but {len(column_encodings)} encodings")
    if kind == "mds":
        sizes = _sizes(get(entry, "column_sizes"), names, column_encodings)
    else:
        sizes = (None,) * len(names)
    compression = entry.get("compression") or None
    if compression is not None and not is_compression(compression):
        raise EntryError(f"unknown compression {show(compression)}")
    newline = _text(get(entry, "newline"), "newline", True) if kind in SPLIT_FORMATS else None
    separator = _text(get(entry, "separator"), "separator") if kind == "xsv" else None
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


def _sizes(value: Any, names: tuple[str, ...], column_encodings: tuple[str, ...]) -> tuple[int | None, ...]:
    if not isinstance(value, list) or len(cast("list[Any]", value)) != len(names):
        raise EntryError(f"column_sizes: expected a list of {len(names)}, got {show(value)}")
    sizes = tuple(
        count(size, "column_sizes", MAX_SAMPLES) or None if size is not None else None
        for size in cast("list[Any]", value)
    )
    for name, encoding, size in zip(names, column_encodings, sizes, strict=True):
        if base_name(encoding) not in encodings:
            continue  # may be registered later, or its column never be read
        try:
            expected = get_mds_encoded_size(encoding)
        except ConfigError as error:
            raise EntryError(f"column {name!r}: {error}") from error
        if (expected or None) != size:
            raise EntryError(f"column {name!r} of encoding {encoding!r} has size {size}, expected {expected}")
    return sizes


def read_file(entry: dict[str, Any], key: str, schema: Schema) -> FileInfo | None:
    """Read what an entry says of one of the shard's files; ``None`` if it has no such file.

    Raises:
        EntryError: It is wrong, or the file is missing that every shard of its format has.
    """
    if key.endswith("_meta") and not schema.is_split:
        return None
    value = entry.get(key)
    if value is None:
        if key.startswith("raw_"):
            raise EntryError(f"{key} is missing")
        return None
    if schema.compression is None and key.startswith("zip_"):
        raise EntryError(f"{key} names a file, but compression is null")
    if not isinstance(value, dict):
        raise EntryError(f"{key}: expected an object, got {show(value)}")
    value = cast("dict[str, Any]", value)
    hashes: Any = value.get("hashes") or {}
    if not isinstance(hashes, dict):
        raise EntryError(f"{key}, hashes: expected an object, got {show(hashes)}")
    hashes = cast("dict[str, Any]", hashes)
    for algo, digest in hashes.items():
        if not (_HASH_NAME.fullmatch(algo) and isinstance(digest, str) and _HASH_VALUE.fullmatch(digest)):
            raise EntryError(f"{key}: not a hash: {show(algo)}: {show(digest)}")
    size = count(get(value, "bytes", key), f"{key}, bytes", _MAX_FILE_BYTES)
    return FileInfo(_basename(get(value, "basename", key), key), size, hashes)


def _basename(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise EntryError(f"{key}, basename: expected the name of a file, got {show(value)}")
    parts = value.split("/")
    if "\\" in value or "\0" in value or any(part in {"", ".", ".."} for part in parts):
        raise EntryError(
            f"{key}, basename {show(value)} is not a plain relative path, so it could leave the dataset's directory"
        )
    if any(len(part.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES for part in parts):
        raise EntryError(f"{key}, basename {show(value)}: the name of a file has at most {_MAX_NAME_BYTES} bytes")
    if has_controls(value):
        raise EntryError(f"{key}, basename {show(value)} holds control characters")
    if value.casefold() == "index.json" or value.casefold().endswith(".part") or ".streaming-" in value.casefold():
        raise EntryError(f"{key}, basename {show(value)} is a name that the cache uses for itself")
    return value


def get(obj: dict[str, Any], key: str, where: str = "") -> Any:
    """Return a member of an object that must have it, or raise ``EntryError``."""
    try:
        return obj[key]
    except KeyError:
        raise EntryError(f"{where + ', ' if where else ''}{key} is missing") from None


def count(value: Any, what: str, limit: int) -> int:
    """Return a number from 0 to ``limit``, or raise ``EntryError``."""
    if type(value) is not int or not 0 <= value <= limit:
        raise EntryError(f"{what}: expected a number from 0 to {limit}, got {show(value)}")
    return value


def _text(value: Any, what: str, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or may_be_empty):
        raise EntryError(f"{what}: expected text, got {show(value)}")
    return value


def _strings(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in cast("list[Any]", value)):
        raise EntryError(f"{what}: expected a list of strings, got {show(value)}")
    return tuple(cast("list[str]", value))


def _size_limit(value: Any) -> int | None:
    try:
        limit = 0 if value is None else bytes_to_int(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        limit = -1
    if limit < 0 or isinstance(value, (bool, float)):
        raise EntryError(f"size_limit: expected a number of bytes, got {show(value)}")
    return limit or None


def show(value: Any, limit: int = 80) -> str:
    """Return a value for an error text, cut to a length."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
