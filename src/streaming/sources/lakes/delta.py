"""Tables of Delta Lake: which files a version has, by its log, and which rows of them were deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError
from streaming.core.imports import optional_import
from streaming.sources.lakes.found import Found, as_version
from streaming.storage.location import Location
from streaming.storage.providers.local import LocalStore
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store

__all__ = ["find_delta"]

_LOG = "_delta_log"
_AT_ONCE = 16
_PARTITION = "partition."
_PHYSICAL = "delta.columnMapping.physicalName"


def find_delta(place: Location, options: Mapping[str, str]) -> Found:
    """Return the files of a table.

    Args:
        place: Its directory.
        options: ``version``, a number; the newest by default.

    Raises:
        ConfigError: There is no such version, or it uses what is not supported.
        EmptyDatasetError: There is no table, or nothing in it.
        StorageError: Its log cannot be read.
        MissingDependencyError: ``deltalake`` is not installed.
    """
    pa: Any = optional_import("pyarrow", "delta", "Reading Delta tables")
    deltalake: Any = optional_import("deltalake", "delta", "Reading Delta tables")
    store = open_store(place)
    version = as_version(options, place)
    with _log_here(store, place) as directory:
        try:
            table = deltalake.DeltaTable(directory, version=version)
            keys = _keys(table, place)
            actions = pa.table(table.get_add_actions(flatten=True))
            masks = pa.table(table.deletion_vectors())
            schema = pa.schema(table.schema().to_arrow())
        except deltalake.exceptions.DeltaError as error:
            asked = "" if version is None else f" at version {version}"
            told = str(error).partition("\n")[0]  # what follows are places in its sources
            raise ConfigError(f"{place} is no table of Delta{asked} that can be read: {told}") from error
        files = [_info(row, place) for row in actions.to_pylist()]
        numbers = {os.path.join(directory, info.path): number for number, info in enumerate(files)}
        stays = zip(masks["filepath"].to_pylist(), masks["selection_vector"], strict=True)
        gone = {numbers[_local(path)]: _deleted(mask.values) for path, mask in stays}
    if not files:
        raise EmptyDatasetError(f"There are no files in the table {place}{'' if version is None else f'@{version}'}.")
    kept = [column for column in actions.column_names if column.startswith(_PARTITION)]
    types = [pa.field(c[len(_PARTITION) :], actions.schema.field(c).type) for c in kept]
    values = [{c[len(_PARTITION) :]: row[c] for c in kept} for row in actions.select(kept).to_pylist()] if kept else []
    return Found(store, "parquet", files, pa.schema(types), values, gone, schema, keys)


def _keys(table: Any, place: Location) -> dict[str, str] | None:
    """Return what files call the columns, where the table maps names; ``None`` if it does not."""
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") == "none":
        return None
    fields = table.schema().fields
    nested = [field.name for field in fields if '"struct"' in field.type.to_json()]
    if nested:
        raise ConfigError(
            f"The table {place} maps names of columns (delta.columnMapping.mode), and {nested[0]!r} has columns within, for "
            "which that is not supported. Write it anew without, or export it as Parquet."
        )
    return {field.name: str(field.metadata.get(_PHYSICAL, field.name)) for field in fields}


def _info(row: Mapping[str, Any], place: Location) -> ObjectInfo:
    path = unquote(row["path"])
    if "://" in path or path.startswith("/"):
        raise SourceError(
            f"The table {place} has a file elsewhere ({path}), as clones have. Give the table that it is of."
        )
    return ObjectInfo(path, int(row["size_bytes"]), None, row["modification_time"] / 1000)


def _local(uri: str) -> str:
    return unquote(urlsplit(uri).path) if "://" in uri else uri


def _deleted(mask: Any) -> NDArray[np.int64]:
    return np.flatnonzero(~mask.to_numpy(zero_copy_only=False)).astype(np.int64)


@contextmanager
def _log_here(store: Store, place: Location) -> Iterator[str]:
    """Give a local directory that has the log of a table, and what it says is deleted."""
    if isinstance(store, LocalStore):
        yield os.path.realpath(store.directory)
        return
    wanted = list(store.list(_LOG))
    if not wanted:
        raise EmptyDatasetError(f"There is no table of Delta at {place}: it has no {_LOG}. Check the path.")
    wanted += [info for info in store.list() if info.path.rpartition("/")[2].startswith("deletion_vector_")]
    with TemporaryDirectory(prefix="streaming-") as directory:
        directory = os.path.realpath(directory)

        def get(info: ObjectInfo) -> None:
            path = os.path.join(directory, info.path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(store.get(info.path))

        with ThreadPoolExecutor(_AT_ONCE, "streaming-log") as threads:
            list(threads.map(get, wanted))
        yield directory
