"""Checking ``index.json``: one shard at a time, trusting nothing.

The shards of one dataset differ in their files and sample counts alone, so the rest becomes a few
schemas, checked once each, and the files become columns.
"""

from __future__ import annotations

import json
from array import array
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import IndexFormatError, IndexNotJSONError
from streaming.format.entry import (
    MAX_SAMPLES,
    STATIC_KEYS,
    VERSION,
    EntryError,
    count,
    get,
    read_file,
    read_schema,
    show,
)
from streaming.format.files import FileTable, FileTableBuilder
from streaming.format.json_stream import READ, read_object
from streaming.format.schema import Schema

__all__ = ["FILE_KEYS", "IndexParts", "parse_index"]

#: Keys under which a shard's entry names its files.
FILE_KEYS = ("raw_data", "raw_meta", "zip_data", "zip_meta")

_MAX_TOTAL = (1 << 63) - 1


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
        raise IndexFormatError(f"{source} has version {show(version)}; only version {VERSION} can be read.")
    if top.get("shards") is not READ:
        raise IndexFormatError(
            f"{source} has no list of shards under the key 'shards', so it is not the index of a dataset."
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

    def add(self, entry: Any) -> None:
        try:
            self._add(entry)
        except (EntryError, UnicodeEncodeError) as error:
            raise IndexFormatError(f"{self._source}, shard {len(self._samples)}: {error}.") from error

    def _add(self, entry: Any) -> None:
        if not isinstance(entry, dict):
            raise EntryError(f"expected an object, got {show(entry)}")
        entry = cast("dict[str, Any]", entry)
        schema_id, schema = self._schema(entry)
        samples = count(get(entry, "samples"), "samples", MAX_SAMPLES)
        files = {key: read_file(entry, key, schema) for key in FILE_KEYS}
        table = files["raw_meta"] if schema.is_split else files["raw_data"]
        if table is not None and table.bytes < 4 * (samples + 2):
            raise EntryError(f"{samples} samples cannot be in a file of {table.bytes} bytes")
        names = [file.basename for file in files.values() if file is not None]
        if len(set(names)) != len(names):
            raise EntryError(f"two of its files have the same name: {show(names)}")
        self._total_samples += samples
        self._total_bytes += sum(file.bytes for file in files.values() if file is not None)
        if max(self._total_samples, self._total_bytes) > _MAX_TOTAL:
            raise EntryError("the sizes of all shards together pass 2**63")
        for key, builder in self._tables.items():
            builder.append(files[key])
        self._schema_ids.append(schema_id)
        self._samples.append(samples)

    def _schema(self, entry: dict[str, Any]) -> tuple[int, Schema]:
        # Equal static parts of two entries give equal keys, so each is checked once.
        key = repr([entry.get(name) for name in STATIC_KEYS])
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
