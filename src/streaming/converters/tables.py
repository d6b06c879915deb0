"""Rows of Arrow's tables and record batches as engines hand them over, and the encodings of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from streaming.format.arrow_types import encoding_of
from streaming.sources.types import column_values, plain

__all__ = ["encodings_of", "rows_of"]

#: How names of types of tensors begin.
_TENSORS = ("ray.data.arrow", "arrow.fixed_shape_tensor")


def encodings_of(schema: Any) -> dict[str, str]:
    """Return the encoding of each column of a ``pyarrow.Schema``. Those that may lack values take ``None``.

    Raises:
        ConfigError: A column has none.
    """
    return {field.name: _tensor_encoding(field.type) or encoding_of(field) for field in schema}


def rows_of(table: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a ``pyarrow.Table`` or ``RecordBatch``: lists of numbers as arrays, all else as Python's values."""
    names = list(table.schema.names)
    for batch in table.to_batches() if hasattr(table, "to_batches") else [table]:
        columns = [_values(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            yield dict(zip(names, row, strict=True))


def _values(array: Any) -> list[Any]:
    if _tensor_encoding(array.type):
        array = array.combine_chunks() if hasattr(array, "combine_chunks") else array
        is_arrows = hasattr(array, "to_numpy_ndarray")
        return list(array.to_numpy_ndarray() if is_arrows else array.to_numpy(zero_copy_only=False))
    array = plain(array)
    values = column_values(array)
    return [_with_dicts(value, array.type) for value in values] if "map<" in str(array.type) else values


def _with_dicts(value: Any, kind: Any) -> Any:
    """Return a value with dicts for maps, which come as lists of pairs."""
    import pyarrow as pa

    if value is None:
        return None
    if pa.types.is_map(kind):
        return {key: _with_dicts(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        return {field.name: _with_dicts(value[field.name], field.type) for field in kind}
    return [_with_dicts(item, kind.value_type) for item in value] if hasattr(kind, "value_type") else value


def _tensor_encoding(kind: Any) -> str | None:
    """Return the encoding of tensors, Ray's or Arrow's own; ``None`` for another type."""
    if not str(getattr(kind, "extension_name", "")).startswith(_TENSORS):
        return None
    numbers = getattr(kind, "scalar_type", None) or kind.value_type  # so older versions of Ray call it
    return f"ndarray:{np.dtype(numbers.to_pandas_dtype()).name}"
