"""What the columns of a source are: one schema for all of its files, and an encoding for each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streaming.columns.words import unknown_column
from streaming.core.errors import SourceError
from streaming.format.encodings import get_mds_encoded_size
from streaming.format.samples.schema import Schema
from streaming.sources.features import TableColumns, is_full, mark_full
from streaming.sources.pieces import Scanned

__all__ = ["row_schema", "unite"]


def unite(scanned: Scanned, how: str, origin: str) -> Any:
    """Return the schema of all files.

    Args:
        scanned: The files.
        how: ``'same'``: they must have the same columns. ``'union'``: a column that a file lacks is missing in its rows,
            and types are widened to what holds the values of all.
        origin: Where the source is, for error texts.

    Raises:
        SourceError: They do not go together.
    """
    import pyarrow as pa

    first = scanned.schemas[0]
    if how == "union":
        names = {name for schema in scanned.schemas for name in schema.names}
        missing = {name for name in names for schema in scanned.schemas if name not in schema.names}
        try:
            united = pa.unify_schemas(scanned.schemas, promote_options="permissive")
        except pa.ArrowException as error:
            raise SourceError(
                f"The files of {origin} have columns of types that do not go together: {error}"
            ) from error
        fields = [_joined(field, scanned.schemas, field.name in missing) for field in united]
        return pa.schema(fields, united.metadata)
    for number, schema in enumerate(scanned.schemas[1:], 1):
        difference = _difference(first, schema)
        if difference:
            names = [scanned.files[scanned.schema_ids.index(i)].path for i in (0, number)]
            raise SourceError(
                f"The files of {origin} differ: {difference.format(*names)} Give schema='union' to take both (what a file "
                "lacks is then missing in its rows), or name those that are alike."
            )
    return pa.schema([_joined(field, scanned.schemas, False) for field in first], first.metadata)


def _joined(field: Any, schemas: Sequence[Any], is_missing: bool) -> Any:
    """Return a field of all schemas: without gaps only if it is in every file."""
    found = [schema.field(field.name) for schema in schemas if field.name in schema.names]
    nullable = is_missing or any(each.nullable for each in found)
    return mark_full(field.with_nullable(nullable), not is_missing and all(map(is_full, found)))


def _difference(one: Any, other: Any) -> str | None:
    """Say how two schemas differ, with places for the names of their files; ``None`` if they do not."""
    only = [name for name in one.names if name not in other.names]
    more = [name for name in other.names if name not in one.names]
    if only or more:
        parts = [f"{{0}} has {', '.join(map(repr, only))}, which {{1}} has not" if only else ""]
        parts += [f"{{1}} has {', '.join(map(repr, more))}, which {{0}} has not" if more else ""]
        return "; ".join(part for part in parts if part) + "."
    for field in one:
        kind = other.field(field.name).type
        if field.type != kind:
            return f"column {field.name!r} is {field.type} in {{0}}, and {kind} in {{1}}."
    return None


def row_schema(table: TableColumns, columns: Sequence[str] | None, origin: str) -> Schema:
    """Return what rows of a source look like.

    Args:
        table: The columns of all files.
        columns: Names of the columns that rows are to have, in that order; ``None``: all.
        origin: Where the source is, for error texts.

    Raises:
        ConfigError: There is no such column, or no encoding for one.
    """
    known = table.schema.names
    names = tuple(known if columns is None else columns)
    for name in names:
        if name not in known:
            raise unknown_column(name, known, origin)
    encodings = tuple(table.encoding(name) for name in names)
    sizes = tuple(get_mds_encoded_size(encoding) or None for encoding in encodings)
    return Schema("mds", names, encodings, sizes, None, (), None, None, None)
