"""Columns by what a table knows them by, where that is not what its files call them: a column that was renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["renamed", "stored_names"]

_ID = b"PARQUET:field_id"


def stored_names(schema: Any, keys: Mapping[str, int | str]) -> dict[str, str]:
    """Return what a file calls the columns of a table, those that it has.

    Args:
        schema: The file's ``pyarrow.Schema``.
        keys: By the name of a column in the table, the number of its field, or its name in all files.
    """
    told = [(field.metadata or {}).get(_ID) for field in schema]
    numbers = {int(number): name for name, number in zip(schema.names, told, strict=True) if number is not None}
    if not numbers and any(
        isinstance(key, int) for key in keys.values()
    ):  # written by somebody else, and added as it was
        return {name: name for name in keys if name in schema.names}
    found: dict[str, str | None] = {
        name: numbers.get(key) if isinstance(key, int) else key for name, key in keys.items()
    }
    return {name: stored for name, stored in found.items() if stored is not None and stored in schema.names}


def renamed(schema: Any, stored: Mapping[str, str]) -> Any:
    """Return the schema of a file with its columns called as in the table, without those that the table has not.

    Args:
        schema: The file's ``pyarrow.Schema``.
        stored: What :func:`stored_names` returned.
    """
    import pyarrow as pa

    return pa.schema([schema.field(own).with_name(name) for name, own in stored.items()], schema.metadata)
