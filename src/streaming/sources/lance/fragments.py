"""The fragments of a table of Lance as files, whose rows its library reads in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from streaming.core.errors import ConfigError, EmptyDatasetError
from streaming.core.imports import optional_import
from streaming.sources.file import SourceFile
from streaming.sources.pieces import Piece, Scan
from streaming.sources.types import storage_of
from streaming.storage.helper.runtime import helper
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.location import Location
from streaming.storage.providers.local import LocalStore
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store

__all__ = ["Fragments", "find_lance", "is_lance"]

_TABLE = "streaming.sources.lance.table"
_STALL_S = 120.0
_SCHEMES = {"S3Store": "s3", "GCSStore": "gs", "AzureStore": "az"}


def is_lance(place: Location) -> bool:
    """Say whether a place is named as tables of Lance are."""
    return place.base.rstrip("/").lower().endswith(".lance")


def find_lance(place: Location, options: Mapping[str, str]) -> tuple[Store, list[ObjectInfo]]:
    """Return a table, and its fragments.

    Args:
        place: Its directory.
        options: ``version``, a number or a tag; the newest by default.

    Raises:
        ConfigError: There is no such version, or Lance does not reach into this store.
        EmptyDatasetError: There is no table, or nothing in it.
        StorageError: It cannot be read.
        MissingDependencyError: ``pylance`` is not installed.
    """
    optional_import("pyarrow", "lance", "Reading Lance tables")
    store = open_store(place)
    if not isinstance(store, (LocalStore, RemoteStore)):
        raise ConfigError(f"Tables of Lance are read from disks, S3, Google Cloud Storage and Azure, not from {place}.")
    version = options.get("version")
    asked = int(version) if version is not None and version.isdecimal() else version
    number, fragments = _ask(store, asked, "list_fragments", opened=uuid4().hex)
    if not fragments:
        raise EmptyDatasetError(f"There are no rows in the table {place}{'' if version is None else f'@{version}'}.")
    return store, [info._replace(path=f"{number}/{info.path}") for info in fragments]


def _ask(store: Store, version: int | str | None, name: str, path: str = "", opened: str = "") -> Any:
    return helper().call(_spec(store, version, opened), f"{_TABLE}:{name}", path, stall_s=_STALL_S)


def _spec(store: Store, version: int | str | None, opened: str = "") -> ClientSpec:
    """Return how a table is opened. It stays open: what may be another version later says ``opened``, anew each time."""
    settings: dict[str, Any]
    if isinstance(store, RemoteStore):
        own = store.described()
        settings = {"uri": _uri(store.url, own), "storage": _told(own.settings)}
    else:
        directory = store.directory if isinstance(store, LocalStore) else ""
        own, settings = ClientSpec(directory, "", {}), {"uri": directory}
    settings = {**settings, "version": version, "opened": opened}
    return own._replace(builder=f"{_TABLE}:open_table", settings=settings, write_headers={}, public=None)


def _uri(url: str, own: ClientSpec) -> str:
    """Return the place as Lance calls it, which knows fewer schemes: by what our client talks to."""
    bucket = own.settings.get("bucket") or own.settings.get("container_name")
    scheme = "s3" if own.builder.endswith(":build_s3") else _SCHEMES.get(str(own.settings.get("kind")))
    return url if scheme is None or bucket is None else f"{scheme}://{bucket}/{own.settings.get('prefix') or ''}"


def _told(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as Lance takes them: it names them as our client does, and all are text."""
    every = {**settings, **settings.get("config", {}), **settings.get("client_options", {})}
    plain = {name: value for name, value in every.items() if isinstance(value, (str, bool, int)) and name != "prefix"}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in plain.items()}


class Fragments:
    """Fragments of tables of Lance, called ``version/number``; a piece is rows of one that were not deleted."""

    counts_rows = True

    def scan(self, file: SourceFile) -> Scan:
        """Look at a fragment."""
        import pyarrow as pa

        version, _, number = file.name.partition("/")
        schema, rows = _ask(file.store, int(version), "look", number)
        return Scan(storage_of(pa.ipc.read_schema(pa.BufferReader(schema))), [Piece(0, rows, rows, file.size)])

    def batches(self, file: SourceFile, pieces: Sequence[Piece], names: Sequence[str]) -> Iterator[Any]:
        """Have the columns read; the pieces are neighbours."""
        import pyarrow as pa

        begin, end = pieces[0].begin, pieces[-1].end
        row_bytes = sum(piece.bytes for piece in pieces) // max(end - begin, 1)
        version, _, number = file.name.partition("/")
        asked = (number, begin, end, row_bytes, list(names))
        spec = _spec(file.store, int(version))
        for data in helper().stream(spec, f"{_TABLE}:read_rows", *asked, stall_s=_STALL_S):
            file.came(len(data))
            yield from pa.ipc.open_stream(pa.py_buffer(data))
