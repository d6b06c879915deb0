"""Tables of Apache Iceberg: which files a snapshot has, by its manifests, and which rows of them were deleted."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError, StreamingError
from streaming.core.imports import optional_import
from streaming.sources.lakes.found import Found, as_version
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store

__all__ = ["find_iceberg"]

_METADATA = re.compile(r"metadata/v?(\d+)[^/]*\.metadata\.json")


def find_iceberg(place: Location, options: Mapping[str, str]) -> Found:
    """Return the files of a table.

    Args:
        place: Its directory, which has a directory ``metadata``.
        options: ``version``, the number of a snapshot; the current one by default.

    Raises:
        ConfigError: There is no such snapshot, or it uses what is not supported.
        EmptyDatasetError: There is no table, or nothing in it.
        StorageError: Its metadata cannot be read.
        MissingDependencyError: ``pyiceberg`` is not installed.
    """
    pa: Any = optional_import("pyarrow", "iceberg", "Reading Iceberg tables")
    optional_import("pyiceberg", "iceberg", "Reading Iceberg tables")
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    store = open_store(place)
    table = _open(store, place)
    version = as_version(options, place)
    snapshot = table.metadata.current_snapshot_id if version is None else version
    if snapshot is None:
        raise EmptyDatasetError(f"There are no rows in the table {place}.")
    if table.snapshot_by_id(snapshot) is None:
        known = ", ".join(str(each.snapshot_id) for each in table.metadata.snapshots)
        raise ConfigError(f"{place} has no snapshot {snapshot}; it has {known}.")
    scan = table.scan(snapshot_id=version)
    _check_names(table, place)
    try:
        tasks = sorted(scan.plan_files(), key=lambda task: task.file.file_path)
    except (ValueError, NotImplementedError) as error:
        if isinstance(error, StreamingError):
            raise
        raise ConfigError(
            f"The table {place} cannot be read: {error}. Have its engine rewrite the data files."
        ) from error
    if not tasks:
        raise EmptyDatasetError(f"There are no rows in the snapshot {snapshot} of the table {place}.")
    files = [_info(task.file, table, place) for task in tasks]
    gone: dict[int, NDArray[np.int64]] = {}
    for number, task in enumerate(tasks):
        rows = [_deleted(store, each, task.file.file_path, table, place) for each in task.delete_files]
        if rows:
            gone[number] = np.unique(np.concatenate(rows))
    schema = scan.projection()
    keys = {field.name: int(field.field_id) for field in schema.fields}
    told = {field.name: field.initial_default for field in schema.fields if field.initial_default is not None}
    table = schema_to_pyarrow(schema, include_field_ids=False)
    defaults = pa.schema([table.field(name) for name in told])
    return Found(store, "parquet", files, defaults, [told] * len(files) if told else [], gone, table, keys)


def _open(store: Store, place: Location) -> Any:
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.serializers import FromInputFile
    from pyiceberg.table import StaticTable

    found = {info.path: int(match[1]) for info in store.list("metadata") if (match := _METADATA.fullmatch(info.path))}
    if not found:
        raise EmptyDatasetError(
            f"There is no table of Iceberg at {place}: it has no metadata/*.metadata.json. Check the path."
        )
    newest = max(found, key=lambda path: (found[path], path))
    metadata = FromInputFile.table_metadata(_input(newest, store, newest))
    return StaticTable(("table",), metadata, newest, _io(store, metadata.location), NoopCatalog("none"))


def _io(store: Store, root: str) -> Any:
    """Return what Iceberg reads files by: the store, below the table's directory."""
    from pyiceberg.io import FileIO

    class StoreIO(FileIO):
        def new_input(self, location: str) -> Any:
            return _input(location, store, _below(root, location))

        def new_output(self, location: str) -> Any:
            raise NotImplementedError(location)

        def delete(self, location: Any) -> None:
            raise NotImplementedError(location)

    return StoreIO({})


def _input(location: str, store: Store, path: str) -> Any:
    return _InputFile(location, store, path)


class _InputFile:
    """A file of a store, as Iceberg opens it."""

    def __init__(self, location: str, store: Store, path: str) -> None:
        self.location = location
        self._store, self._path = store, path

    def __len__(self) -> int:
        return self._store.head(self._path).bytes

    def exists(self) -> bool:
        return True

    def open(self, seekable: bool = True) -> io.BytesIO:
        del seekable
        return io.BytesIO(self._store.get(self._path))


def _below(root: str, location: str) -> str:
    """Return a file's name below the table's directory, wherever that was when it was written.

    Raises:
        SourceError: It is not below.
    """
    bare, base = (text.removeprefix("file://") for text in (location, root))
    if not bare.startswith(base.rstrip("/") + "/"):
        raise SourceError(f"The file {location} is not below its table {root}, which is not supported.")
    return bare[len(base.rstrip("/")) + 1 :]


def _info(file: Any, table: Any, place: Location) -> ObjectInfo:
    if str(file.file_format.value).lower() != "parquet":
        raise ConfigError(f"The table {place} has files of {file.file_format.value}; only Parquet is supported.")
    return ObjectInfo(_below(table.metadata.location, file.file_path), int(file.file_size_in_bytes), None)


def _check_names(table: Any, place: Location) -> None:
    """Check that no column within another one was renamed: those are read by the names that they have.

    Raises:
        ConfigError: One was.
    """
    names: dict[int, str] = {}
    for schema in table.metadata.schemas:
        own = {field.field_id for field in schema.fields}
        for number in set(schema.field_ids) - own:
            name = schema.find_column_name(number).rpartition(".")[2]
            if names.setdefault(number, name) != name:
                raise ConfigError(
                    f"The table {place} has a column within another one that was called {names[number]!r} and {name!r}; "
                    "that is not supported. Write the table anew."
                )


def _deleted(store: Store, file: Any, of: str, table: Any, place: Location) -> NDArray[np.int64]:
    """Return the numbers of the rows of a file that another one says are deleted."""
    kind = str(file.file_format.value).lower()
    if str(file.content) != "DataFileContent.POSITION_DELETES" or kind not in ("parquet", "puffin"):
        raise ConfigError(
            f"The table {place} has rows that are deleted by their values, which is not supported. Have its engine rewrite "
            "the data files."
        )
    name = _below(table.metadata.location, file.file_path)
    data = store.get(name)
    if kind == "puffin":
        try:
            return _of_vectors(data, of)
        except (ValueError, IndexError) as error:
            raise SourceError(f"{store!r}/{name} cannot be read as vectors of deleted rows: {error}") from error
    pa: Any = optional_import("pyarrow", "iceberg", "Reading Iceberg tables")
    pq: Any = optional_import("pyarrow.parquet", "iceberg", "Reading Iceberg tables")
    compute: Any = optional_import("pyarrow.compute", "iceberg", "Reading Iceberg tables")
    found = pq.read_table(pa.BufferReader(data), columns=["file_path", "pos"])
    return found.filter(compute.equal(found["file_path"], of))["pos"].to_numpy().astype(np.int64)


def _of_vectors(data: bytes, of: str) -> NDArray[np.int64]:
    from pyiceberg.table.puffin import PuffinFile

    file = PuffinFile(data)
    try:
        from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
    except ImportError:  # before 0.12
        vectors: dict[str, Any] = file.to_vector()
    else:
        vectors = {each.referenced_data_file: each.to_vector() for each in deletion_vectors_from_puffin_file(file)}
    return vectors[of].to_numpy().astype(np.int64) if of in vectors else np.empty(0, np.int64)
