"""Arrow's types: which encoding holds all values of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from streaming.core.errors import ConfigError

__all__ = ["encoding_of", "is_list", "is_list_of_numbers"]


def encoding_of(field: Any) -> str:
    """Return the encoding of a column that holds all values of its type.

    Args:
        field: A ``pyarrow.Field``; if it is nullable, values may be missing.

    Raises:
        ConfigError: There is none.
    """
    encoding = _encoding(field.type)
    if encoding is None:
        odd = _not_json(field.type)
        what = "it" if odd == str(field.type) else f"{odd} within others"
        raise ConfigError(
            f"Column {field.name!r} is {field.type}, and no encoding holds {what}. Leave it out by `columns`, or "
            "have `fn` of streaming.convert make columns of what is in it."
        )
    return f"{encoding}?" if field.nullable and encoding != "json" else encoding


def _encoding(kind: Any) -> str | None:
    import pyarrow as pa

    types = pa.types
    if hasattr(kind, "storage_type"):
        return _encoding(kind.storage_type)
    if types.is_dictionary(kind):
        return _encoding(kind.value_type)
    if is_list_of_numbers(kind):
        return f"list:{np.dtype(kind.value_type.to_pandas_dtype()).name}"
    if _not_json(kind) is None and (types.is_nested(kind) or types.is_null(kind)):
        return "json"
    if is_list(kind) and not types.is_nested(kind.value_type):
        return f"list:{_encoding(kind.value_type)}"
    return _simple(kind)


def _simple(kind: Any) -> str | None:
    """Return the encoding of values that have none within."""
    import pyarrow as pa

    types = pa.types
    if types.is_boolean(kind):
        return "bool"
    if types.is_integer(kind) or types.is_floating(kind):
        name = np.dtype(kind.to_pandas_dtype()).name
        return "int" if name == "int64" else name
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "str"
    if _is_binary(kind):
        return "bytes"
    if types.is_decimal(kind):
        return "str_decimal"
    if types.is_date(kind):
        return "date"
    if types.is_timestamp(kind):
        return f"datetime:{kind.tz}" if kind.tz else "datetime"
    if types.is_time(kind):
        return "time"
    return "timedelta" if types.is_duration(kind) else None


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    is_long = types.is_large_binary(kind) or types.is_binary_view(kind)
    return is_long or types.is_binary(kind) or types.is_fixed_size_binary(kind)


def is_list(kind: Any) -> bool:
    """Say whether a type is that of lists."""
    import pyarrow as pa

    types = pa.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def is_list_of_numbers(kind: Any) -> bool:
    """Say whether a type is that of lists of whole numbers or floats."""
    import pyarrow as pa

    return is_list(kind) and (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type))


def _not_json(kind: Any) -> str | None:
    """Return what of a type JSON cannot hold."""
    import pyarrow as pa

    types = pa.types
    inner: list[Any] = []
    if types.is_struct(kind):
        if len({kind.field(i).name for i in range(kind.num_fields)}) < kind.num_fields:
            return str(kind)
        inner = [kind.field(i).type for i in range(kind.num_fields)]
    elif types.is_map(kind):
        inner = [kind.key_type, kind.item_type]
    elif hasattr(kind, "value_type"):
        inner = [kind.value_type]
    if inner:
        return next((odd for each in inner if (odd := _not_json(each))), None)
    fits = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind)
    if fits or types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return None
    return str(kind)
