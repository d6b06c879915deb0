"""Arrow's types: what a column's values are, however they are kept, and the values as Python's and NumPy's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from streaming.format.arrow_types import is_list, is_list_of_numbers

__all__ = [
    "SHAPE",
    "array_encoding",
    "as_told",
    "column_values",
    "plain",
    "storage_of",
]

#: Where the metadata of a field has the shape of its values, if their type told one.
SHAPE = b"streaming.shape"
#: How names of Ray's types of tensors of a shape begin.
_RAYS = "ray.data.arrow_tensor"
#: Truth values that are kept in a byte each.
_TRUTH = "arrow.bool8"


def array_encoding(kind: Any) -> str:
    """Return the encoding of lists of numbers of which none is empty, and none lacks a number."""
    import pyarrow as pa

    shape = f":{kind.list_size}" if pa.types.is_fixed_size_list(kind) else ""
    return f"ndarray:{np.dtype(kind.value_type.to_pandas_dtype()).name}{shape}"


def storage_of(schema: Any) -> Any:
    """Return a schema whose types say what values are, not how a writer kept them.

    Without dictionaries and types that packages register (Hugging Face's arrays); with one type of text, and one of bytes.
    """
    for i, field in enumerate(schema):
        kind = _storage_type(field.type)
        shape = _shape_of(field.type) or _noted_shape(field.metadata or {})
        if kind != field.type or shape:
            noted = {**(field.metadata or {}), SHAPE: shape} if shape else field.metadata
            schema = schema.set(i, field.with_type(kind).with_metadata(noted))
    return schema


def as_told(field: Any, told: Any) -> Any:
    """Return a field of files with the fields within that a table has now: some were added since, and others left out.

    Args:
        field: A ``pyarrow.Field`` of files.
        told: The type that the table has.
    """
    import pyarrow as pa

    types, kind = pa.types, field.type
    if types.is_struct(kind) and types.is_struct(told):
        known = {kind.field(i).name: kind.field(i) for i in range(kind.num_fields)}
        every = [told.field(i) for i in range(told.num_fields)]
        inner = [as_told(known[one.name], one.type) if one.name in known else one.with_nullable(True) for one in every]
        return field.with_type(pa.struct(inner))
    is_long = types.is_large_list(kind)
    if (is_long or types.is_list(kind)) and (types.is_list(told) or types.is_large_list(told)):
        inner = as_told(kind.value_field, told.value_type)
        return field.with_type(pa.large_list(inner) if is_long else pa.list_(inner))
    return field


def _shape_of(kind: Any) -> str:
    """Return the shape of a type of tensors of a shape, as text; ``''`` of any other."""
    name = getattr(kind, "extension_name", "")
    if name != "arrow.fixed_shape_tensor" and not name.startswith(_RAYS):
        return ""
    order = getattr(kind, "permutation", None) or []
    return ",".join(map(str, kind.shape)) if list(order) == sorted(order) else ""


def _noted_shape(metadata: dict[bytes, bytes]) -> str:
    """Return the shape of Ray's tensors, whose type nobody knows who has not imported Ray; ``''`` if they are none."""
    if not metadata.get(b"ARROW:extension:name", b"").startswith(_RAYS.encode()):
        return ""
    try:
        return ",".join(map(str, json.loads(metadata[b"ARROW:extension:metadata"])))
    except (KeyError, TypeError, ValueError):
        return ""


def _storage_type(kind: Any) -> Any:
    import pyarrow as pa

    types = pa.types
    if getattr(kind, "extension_name", "") == _TRUTH:
        return pa.bool_()
    if hasattr(kind, "storage_type"):
        return _storage_type(kind.storage_type)
    if types.is_dictionary(kind):
        return _storage_type(kind.value_type)
    if types.is_list(kind) and hasattr(kind.value_type, "storage_type"):
        return pa.list_(kind.value_field.with_type(_storage_type(kind.value_type)))
    if types.is_string(kind) or types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if types.is_binary(kind) or types.is_binary_view(kind) else kind


def plain(array: Any) -> Any:
    """Return an array of a type that encodings know: no dictionaries, no extensions, times in microseconds.

    Raises:
        pyarrow.ArrowInvalid: A time has parts of a microsecond.
    """
    import pyarrow as pa

    if hasattr(array, "combine_chunks"):
        array = array.combine_chunks()
    if hasattr(array.type, "storage_type"):
        is_truth = getattr(array.type, "extension_name", "") == _TRUTH
        array = array.storage.cast(pa.bool_()) if is_truth else array.storage
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        return plain(plain(array.dictionary).take(array.indices))
    if is_list(kind) and types.is_temporal(kind.value_type) and kind.value_type != _plain_type(kind.value_type):
        return array.cast(pa.large_list(_plain_type(kind.value_type)))
    target = _plain_type(kind)
    return array if target == kind else array.cast(target)


def _plain_type(kind: Any) -> Any:
    import pyarrow as pa

    types = pa.types
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if types.is_date(kind):
        return pa.date32()
    if types.is_duration(kind):
        return pa.duration("us")
    if types.is_time(kind):
        return pa.time64("us")
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.large_binary()
    return kind


def column_values(array: Any) -> list[Any]:
    """Return the values of a plain array: lists of numbers as arrays, all else as Python's."""
    kind = array.type
    if not is_list_of_numbers(kind):
        return array.to_pylist()
    dtype = np.dtype(kind.value_type.to_pandas_dtype())
    if array.flatten().null_count:
        return array.to_pylist()
    return [None if value is None else np.array(value, dtype) for value in _lists(array, dtype)]


def _lists(array: Any, dtype: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        numbers = array.values.to_numpy(zero_copy_only=False)
        begins = [(array.offset + i) * size for i in range(len(array) + 1)]
    else:
        numbers = array.values.to_numpy(zero_copy_only=False)
        begins = array.offsets.to_pylist()
    present = array.is_valid().to_pylist()
    return [numbers[begins[i] : begins[i + 1]] if there else None for i, there in enumerate(present)]
