"""What the columns of a source are: one schema for all of its files, and an encoding for each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streaming.columns.words import unknown_column
from streaming.core.errors import SourceError
from streaming.format.encodings import get_mds_encoded_size
from streaming.format.samples.schema import Schema
from streaming.sources.features import TableColumns, is_full, mark_full
from streaming.sources.learning import NOTHING, common_encoding
from streaming.sources.pieces import Scanned

__all__ = ["choose_columns", "encoded_schema", "row_schema", "unite", "unite_encodings"]


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

    for number, schema in enumerate(scanned.schemas):
        twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
        if twice is not None:
            name = scanned.files[scanned.schema_ids.index(number)].path
            raise SourceError(f"{name} has two columns {twice!r}, of which nobody can tell which is meant. Rename one.")
    first = scanned.schemas[0]
    if how == "union":
        names = {name for schema in scanned.schemas for name in schema.names}
        missing = {name for name in names for schema in scanned.schemas if name not in schema.names}
        try:
            united = pa.unify_schemas(scanned.schemas, promote_options="permissive")
        except pa.ArrowException as error:
            raise SourceError(
                f"The files of {origin} have columns of types that do not go together: {_clash(scanned) or error} Leave "
                "out the files of one, or write them anew."
            ) from error
        fields = [_joined(field, scanned.schemas, field.name in missing) for field in united]
        return pa.schema(fields, united.metadata)
    for number, schema in enumerate(scanned.schemas[1:], 1):
        _check_same(scanned, number, _types(first), _types(schema), origin)
    return pa.schema([_joined(field, scanned.schemas, False) for field in first], first.metadata)


def _clash(scanned: Scanned) -> str | None:
    """Name two files, and the column whose types in them do not go together."""
    import pyarrow as pa

    first = scanned.schemas[0]
    for number, schema in enumerate(scanned.schemas):
        for field in schema:
            own = first.field(field.name) if field.name in first.names else field
            try:
                pa.unify_schemas([pa.schema([own]), pa.schema([field])], promote_options="permissive")
            except pa.ArrowException:
                names = [scanned.files[scanned.schema_ids.index(i)].path for i in (0, number)]
                return f"column {field.name!r} is {own.type} in {names[0]}, and {field.type} in {names[1]}."
        first = pa.unify_schemas([first, schema], promote_options="permissive")
    return None


def _joined(field: Any, schemas: Sequence[Any], is_missing: bool) -> Any:
    """Return a field of all schemas: without gaps only if it is in every file."""
    found = [schema.field(field.name) for schema in schemas if field.name in schema.names]
    nullable = is_missing or any(each.nullable for each in found)
    return mark_full(field.with_nullable(nullable), not is_missing and all(map(is_full, found)))


def unite_encodings(scanned: Scanned, how: str, origin: str) -> dict[str, str]:
    """Return the encoding of each column of files of rows, whose schemas are the encodings of their columns.

    Args:
        scanned: The files.
        how: As for :func:`unite`.
        origin: Where the source is, for error texts.

    Raises:
        SourceError: They do not go together.
    """
    scanned = _with_rows(scanned)
    bare = [{name: each.rstrip("?") for name, each in schema.items()} for schema in scanned.schemas]
    names = dict.fromkeys(name for schema in bare for name in schema)
    found = {name: _united({schema[name] for schema in bare if name in schema} - {NOTHING}, how) for name in names}
    if how == "same":
        for number in range(1, len(bare)):
            one, other = dict(bare[0]), dict(bare[number])
            for name in one.keys() & other.keys():  # numbers, images and arrays of several kinds go together
                kind = _united({one[name], other[name]} - {NOTHING}, how)
                one[name], other[name] = kind or one[name], kind or other[name]
            _check_same(scanned, number, one, other, origin)
    columns: dict[str, str] = {}
    for name, kind in found.items():
        each = [schema.get(name, NOTHING) for schema in scanned.schemas]
        if kind is None:
            raise SourceError(f"The files of {origin} have {' and '.join(sorted(set(each)))} in column {name!r}.")
        lacks = any(one == NOTHING or one.endswith("?") for one in each)
        columns[name] = f"{kind}?" if lacks and kind != "json" else kind
    return columns


def _with_rows(scanned: Scanned) -> Scanned:
    """Leave out files without a column, such as an index beside data, if others have some."""
    if {} not in scanned.schemas or len(scanned.schemas) == 1:
        return scanned
    empty = scanned.schemas.index({})
    kept = [number for number, each in enumerate(scanned.schema_ids) if each != empty]
    return Scanned(
        [scanned.files[number] for number in kept],
        [schema for schema in scanned.schemas if schema],
        [scanned.schema_ids[number] - (scanned.schema_ids[number] > empty) for number in kept],
        [scanned.pieces[number] for number in kept],
    )


def _united(kinds: set[str], how: str) -> str | None:
    """Return the encoding that holds the values of several; ``None`` if there is none, or they are not the same at all."""
    kind = common_encoding(kinds) if kinds else "json"
    return None if how == "same" and kind == "json" and len(kinds) > 1 else kind


def _types(schema: Any) -> dict[str, Any]:
    return {field.name: field.type for field in schema}


def _check_same(scanned: Scanned, number: int, one: dict[str, Any], other: dict[str, Any], origin: str) -> None:
    difference = _difference(one, other)
    if difference:
        names = [scanned.files[scanned.schema_ids.index(i)].path for i in (0, number)]
        raise SourceError(
            f"The files of {origin} differ: {difference.format(*names)} Give schema='union' to take both (what a file "
            "lacks is then missing in its rows), or name those that are alike."
        )


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Say how two schemas differ, with places for the names of their files; ``None`` if they do not."""
    only = [name for name in one if name not in other]
    more = [name for name in other if name not in one]
    if only or more:
        parts = [f"{{0}} has {', '.join(map(repr, only))}, which {{1}} has not" if only else ""]
        parts += [f"{{1}} has {', '.join(map(repr, more))}, which {{0}} has not" if more else ""]
        return "; ".join(part for part in parts if part) + "."
    for name, kind in one.items():
        if kind != other[name]:
            return f"column {name!r} is {kind} in {{0}}, and {other[name]} in {{1}}."
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
    names = choose_columns(dict.fromkeys(table.schema.names, ""), columns, origin)
    return encoded_schema({name: table.encoding(name) for name in names})


def choose_columns(known: Mapping[str, str], columns: Sequence[str] | None, origin: str) -> dict[str, str]:
    """Return those columns that are wanted, in that order.

    Args:
        known: Encoding of each column by its name.
        columns: Names of the columns that rows are to have; ``None``: all.
        origin: Where the source is, for error texts.

    Raises:
        ConfigError: There is no such column.
    """
    names = list(known) if columns is None else columns
    for name in names:
        if name not in known:
            raise unknown_column(name, list(known), origin)
    return {name: known[name] for name in names}


def encoded_schema(columns: Mapping[str, str]) -> Schema:
    """Return what rows look like.

    Args:
        columns: Encoding of each column by its name, in the order that rows are to have.
    """
    names, encodings = tuple(columns), tuple(columns.values())
    sizes = tuple(get_mds_encoded_size(encoding) or None for encoding in encodings)
    return Schema("mds", names, encodings, sizes, None, (), None, None, None)
