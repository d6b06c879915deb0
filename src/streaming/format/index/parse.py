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
from streaming.format.index.entry import (
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
from streaming.format.index.fast import FILE_KEYS, Columns, GiveUp, read_alike
from streaming.format.index.files import FileTable, FileTableBuilder, StringColumn
from streaming.format.index.json_stream import READ, read_object
from streaming.format.samples.schema import Schema

__all__ = ["FILE_KEYS", "IndexParts", "parse_index"]

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
    found = _read_fast(data, source)
    if found is not None:
        return found
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
    if "chunks" in top and "config" in top:
        raise IndexFormatError(f"{source} lists chunks of litdata's: to train from them, give format='litdata'.")
    version = top.get("version")
    if type(version) is not int or version != VERSION:
        raise IndexFormatError(f"{source} has version {show(version)}; only version {VERSION} can be read.")
    if top.get("shards") is not READ:
        raise IndexFormatError(
            f"{source} has no list of shards under the key 'shards', so it is not the index of a dataset."
        )
    return builder.build()


def _read_fast(data: bytes, source: str) -> IndexParts | None:
    builder = _Builder(source)
    try:
        runs = list(read_alike(data, builder.check))
    except (GiveUp, EntryError, UnicodeError):
        return None
    total_samples = sum(int(run.samples.sum()) for run in runs)
    total_bytes = sum(float(table.bytes.sum()) for run in runs for table in run.files.values())
    if not runs or max(total_samples, total_bytes) > _MAX_TOTAL / 2:
        return None
    return builder.join(runs)


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

    def check(self, entry: dict[str, Any]) -> None:
        """Check an entry without adding it."""
        _, schema = self._schema(entry)
        if not schema.is_split and (entry.get("raw_meta") or entry.get("zip_meta")):
            raise EntryError("a meta file that nobody reads")
        count(get(entry, "samples"), "samples", MAX_SAMPLES)
        for key in FILE_KEYS:
            read_file(entry, key, schema)

    def join(self, runs: list[Columns]) -> IndexParts:
        """Return the index of runs of entries that are checked."""
        ids = [np.full(len(run.samples), self._schema(run.entry)[0], np.int32) for run in runs]
        tables = {
            key: FileTable.concatenate([run.files.get(key) or _no_files(len(run.samples)) for run in runs])
            for key in FILE_KEYS
        }
        samples = np.concatenate([run.samples for run in runs])
        return IndexParts(samples, tuple(self._schemas), np.concatenate(ids), **tables)

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


def _no_files(count: int) -> FileTable:
    nothing = StringColumn(np.empty(0, np.uint8), np.zeros(count + 1, np.int64))
    return FileTable(nothing, np.full(count, -1, np.int64), nothing)
