"""What the columns of a source are: one schema for all of its files, and an encoding for each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from streaming.columns.words import unknown_column
from streaming.core.errors import SourceError
from streaming.format.encodings import get_mds_encoded_size
from streaming.format.samples.schema import Schema
from streaming.sources.pieces import Scanned

__all__ = ["encoding_of", "row_schema", "unite"]


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
        fields = [field.with_nullable(True) if field.name in missing else field for field in united]
        return pa.schema(fields, united.metadata)
    for number, schema in enumerate(scanned.schemas[1:], 1):
        difference = _difference(first, schema)
        if difference:
            names = [scanned.files[scanned.schema_ids.index(i)].path for i in (0, number)]
            raise SourceError(
                f"The files of {origin} differ: {difference.format(*names)} Give schema='union' to take both (what a file "
                "lacks is then missing in its rows), or name those that are alike."
            )
    nullable = [any(schema.field(field.name).nullable for schema in scanned.schemas) for field in first]
    return pa.schema([f.with_nullable(n) for f, n in zip(first, nullable, strict=True)], first.metadata)


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


def row_schema(schema: Any, columns: Sequence[str] | None, origin: str) -> Schema:
    """Return what rows of a source look like.

    Args:
        schema: The ``pyarrow.Schema`` of all files.
        columns: Names of the columns that rows are to have, in that order; ``None``: all.
        origin: Where the source is, for error texts.

    Raises:
        ConfigError: There is no such column.
    """
    names = tuple(schema.names if columns is None else columns)
    for name in names:
        if name not in schema.names:
            raise unknown_column(name, schema.names, origin)
    encodings = tuple(encoding_of(schema.field(name)) for name in names)
    sizes = tuple(get_mds_encoded_size(encoding) or None for encoding in encodings)
    return Schema("mds", names, encodings, sizes, None, (), None, None, None)


def encoding_of(field: Any) -> str:
    """Return the encoding of a column of Arrow's.

    Args:
        field: A ``pyarrow.Field``; if it is nullable, values may be missing.
    """
    encoding = _encoding(field.type)
    return encoding if encoding == "json" or not field.nullable else f"{encoding}?"


def _encoding(kind: Any) -> str:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _encoding(kind.value_type)
    if types.is_boolean(kind):
        return "bool"
    if types.is_integer(kind) or types.is_floating(kind):
        name = np.dtype(kind.to_pandas_dtype()).name
        return "int" if name == "int64" else name
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "str"
    if (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    ):
        return "bytes"
    if types.is_decimal(kind):
        return "str_decimal"
    return "json"
