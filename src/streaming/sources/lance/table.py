"""What is asked of a table of Lance. This runs in the helper process, where its library may start threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError
from streaming.core.imports import optional_import
from streaming.storage.store import ObjectInfo

__all__ = ["list_fragments", "look", "open_table", "read_rows"]

_BATCH_BYTES = 1 << 23
_ROWS = 1 << 13
_AHEAD = 2
#: What a row is taken to have where the table does not say how large its files are.
_ROW_BYTES = 1 << 10


def open_table(uri: str, version: int | str | None, storage: dict[str, str] | None = None, **_: Any) -> Any:
    """Open a table at a version.

    Args:
        uri: Its URL or path.
        version: Number or tag; ``None``: the newest.
        storage: What its library is told to get into the store.

    Raises:
        ConfigError: There is no such version.
        EmptyDatasetError: There is no table.
        MissingDependencyError: ``pylance`` is not installed.
    """
    lance = optional_import("lance", "lance", "Reading Lance tables")
    try:
        return lance.dataset(uri, version=version, storage_options=storage)
    except ValueError as error:
        told = str(error).partition(", /")[0]  # what follows are places in its sources
        if version is None and "was not found" in told:
            raise EmptyDatasetError(f"There is no table of Lance at {uri}. Check the path.") from None
        raise ConfigError(f"{uri} is no table of Lance at version {version}: {told}") from None


def list_fragments(table: Any, _path: str) -> tuple[int, list[ObjectInfo]]:
    """Return the number of the version, and the fragments that have rows: by number, bytes, and what changes with them."""
    return table.version, [_info(each) for each in table.get_fragments() if each.metadata.num_rows]


def _info(fragment: Any) -> ObjectInfo:
    facts = fragment.metadata
    files = fragment.data_files()
    size = sum(file.file_size_bytes or 0 for file in files) or facts.num_rows * _ROW_BYTES
    told = repr([(file.path, file.fields) for file in files]) + repr(facts.deletion_file)
    if facts.deletion_file is not None:
        told += repr((facts.deletion_file.read_version, facts.deletion_file.id))
    return ObjectInfo(str(fragment.fragment_id), size, blake2b(told.encode(), digest_size=8).hexdigest())


def look(table: Any, path: str) -> tuple[bytes, int]:
    """Return the schema of a fragment's rows, as Arrow writes it, and their number."""
    rows = _scanner(table, path, None, limit=0).to_table()
    return rows.schema.serialize().to_pybytes(), _fragment(table, path).metadata.num_rows


def read_rows(table: Any, path: str, begin: int, end: int, row_bytes: int, names: Sequence[str]) -> Iterator[Any]:
    """Yield rows ``[begin, end)`` of those of a fragment that were not deleted, each batch as a stream of Arrow's."""
    import pyarrow as pa

    at_once = min(max(_BATCH_BYTES // (row_bytes + 1), 1), _ROWS)
    scanner = _scanner(
        table, path, list(names), offset=begin, limit=end - begin, batch_size=at_once, batch_readahead=_AHEAD
    )
    for batch in scanner.to_batches():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield sink.getvalue()


def _scanner(table: Any, path: str, names: list[str] | None, **options: Any) -> Any:
    return _fragment(table, path).scanner(columns=names, blob_handling="all_binary", **options)


def _fragment(table: Any, path: str) -> Any:
    fragment = table.get_fragment(int(path))
    if fragment is None:
        raise SourceError(f"The table has no fragment {path} at version {table.version}.")
    return fragment
