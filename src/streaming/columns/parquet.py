"""Files of side columns: Parquet with zstd, and in their metadata the dataset, and the version of it, that they are of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, cast

from streaming.core.errors import ConfigError
from streaming.core.imports import optional_import

__all__ = ["COLUMNS_NAME", "Facts", "Footer", "arrow", "open_parquet", "read_footer", "write_columns", "write_tables"]

#: Name of the side columns that lie beside an ``index.json``.
COLUMNS_NAME = "columns.parquet"
#: Rows that are read or left out together: few enough for several threads to share the work on a million rows.
ROWS_PER_GROUP = 1 << 17

_KEY = b"streaming"
_TAIL_BYTES = 1 << 16
_END_BYTES = 8


@dataclass(frozen=True)
class Facts:
    """What a file says of itself.

    Attributes:
        index: Digest of the ``index.json`` whose samples its rows are of, in hexadecimal.
        samples: Their number.
        columns: For each column, what it was made of, such as ``{"n_tokens": "len(tokens)"}``.
        version: Of the package that wrote it.
    """

    index: str
    samples: int
    columns: Mapping[str, str]
    version: str = ""

    def dump(self) -> dict[bytes, bytes]:
        """Return the facts as Parquet's metadata."""
        return {_KEY: json.dumps({**asdict(self), "version": metadata.version("streaming-dataset")}).encode()}

    @classmethod
    def parse(cls, found: Mapping[bytes, bytes] | None) -> Facts | None:
        """Read Parquet's metadata; ``None`` where nobody of ours has written it."""
        try:
            facts = json.loads((found or {})[_KEY])
            columns = {str(name): str(source) for name, source in facts["columns"].items()}
            return cls(str(facts["index"]), int(facts["samples"]), columns, str(facts["version"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


@dataclass(frozen=True)
class Footer:
    """The end of a Parquet file.

    Attributes:
        names: Of the columns.
        num_rows: Rows of all row groups.
        facts: What we wrote of it, ``None`` in a file of somebody else's.
    """

    names: tuple[str, ...]
    num_rows: int
    facts: Facts | None


def arrow(module: str = "pyarrow.parquet") -> Any:
    """Return a module of pyarrow.

    Raises:
        MissingDependencyError: It is not installed; the text says what to install.
    """
    return optional_import(module, "sql", "A file of side columns")


def open_parquet(path: str) -> Any:
    """Open a local file to be read without threads.

    Raises:
        ConfigError: It is no Parquet file.
        FileNotFoundError: It is not there.
    """
    pa, pq = arrow("pyarrow"), arrow()
    try:
        return pq.ParquetFile(path, memory_map=True, pre_buffer=False)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no Parquet file, or is damaged: {str(error).strip()}") from error


def read_footer(name: str, size: int, read: Callable[[int, int], bytes]) -> Footer:
    """Read the end of a file.

    Args:
        name: Where it is, for error texts.
        size: Its size in bytes.
        read: From first byte and one past the last to the bytes.

    Raises:
        ConfigError: It is no Parquet file.
    """
    pa, pq = arrow("pyarrow"), arrow()
    tail = read(max(0, size - _TAIL_BYTES), size)
    needed = int.from_bytes(tail[-_END_BYTES:-4], "little") + _END_BYTES
    if tail[-4:] == b"PAR1" and len(tail) < needed <= size:
        tail = read(size - needed, size)
    try:
        found = pq.read_metadata(pa.BufferReader(b"PAR1" + tail))
        schema = found.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is no Parquet file, or is damaged: {str(error).strip()}") from error
    return Footer(tuple(schema.names), found.num_rows, Facts.parse(found.metadata))


def write_columns(
    path: str | os.PathLike[str],
    columns: Mapping[str, Any],
    digest: bytes,
    expressions: Mapping[str, str] | None = None,
) -> None:
    """Write side columns to a local file, in one step.

    Args:
        path: The file.
        columns: By name, values in the order of the dataset's samples: lists, NumPy arrays or Arrow arrays, all as long as
            the dataset; ``None`` is NULL.
        digest: Of the ``index.json`` (``Index.digest``).
        expressions: For each column what it was made of; by default its name.

    Raises:
        ConfigError: There are no columns, or they differ in length.
        MissingDependencyError: pyarrow is not installed.

    Example:
        >>> from streaming.columns.parquet import write_columns
        >>> from streaming.format.index import Index
        >>> index = Index.parse(open('data/index.json', 'rb').read(), 'data')
        >>> write_columns('ages.parquet', {'age': np.arange(index.num_samples)}, index.digest)
    """
    pa = arrow("pyarrow")
    lengths = {name: len(values) for name, values in columns.items()}
    if not lengths or len(set(lengths.values())) > 1:
        raise ConfigError(f"Side columns must be at least one, and all of one length; got {lengths}.")
    table = pa.table(dict(columns))
    facts = Facts(digest.hex(), table.num_rows, {name: (expressions or {}).get(name, name) for name in columns})
    write_tables(os.fspath(path), table.schema, [table], facts)


def write_tables(path: str, schema: Any, tables: Iterable[Any], facts: Facts) -> None:
    """Write Arrow tables one after the other to a local file, in one step; a few row groups at most are in memory.

    Args:
        path: The file.
        schema: Of the tables.
        tables: They.
        facts: What the file says of itself.

    Raises:
        ConfigError: They have another number of rows than ``facts`` say.
    """
    pa, pq = arrow("pyarrow"), arrow()
    part = f"{path}.{os.getpid()}.part"
    try:
        with pq.ParquetWriter(part, schema.with_metadata(facts.dump()), compression="zstd") as writer:
            num_rows = 0
            for table in _regrouped(pa, tables):
                writer.write_table(table, ROWS_PER_GROUP)
                num_rows += cast("int", table.num_rows)
        if num_rows != facts.samples:
            raise ConfigError(f"There are {num_rows:,} rows of side columns for {facts.samples:,} samples.")
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise


def _regrouped(pa: Any, tables: Iterable[Any]) -> Iterable[Any]:
    """Yield tables of whole row groups, the last but one."""
    waiting: list[Any] = []
    num_rows = 0
    for table in tables:
        waiting.append(table)
        num_rows += table.num_rows
        whole = num_rows - num_rows % ROWS_PER_GROUP
        if whole:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, whole)
            waiting, num_rows = [joined.slice(whole)], num_rows - whole
    if num_rows:
        yield pa.concat_tables(waiting)
