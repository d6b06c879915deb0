"""Which row of one dataset belongs to each row of another: those of equal keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.core.imports import optional_import

__all__ = ["match"]


def match(left: Any, right: Any, on: str, origin: str) -> NDArray[np.int64]:
    """Find the row of each key.

    Args:
        left: ``pyarrow.ChunkedArray`` of N keys; one that is missing matches none.
        right: Of M keys, each there once.
        on: What they are called, for error texts.
        origin: Where those at the right are from.

    Returns:
        ``int64[N]``, rows at the right, -1 where there is none.

    Raises:
        ConfigError: A key is there twice at the right, or the keys are of types that are never equal, or of no use as keys.
    """
    arrow = optional_import("pyarrow", "sql", "A join by key")
    try:
        return _match(arrow, left, right, on, origin)
    except (arrow.ArrowNotImplementedError, arrow.ArrowTypeError, arrow.ArrowInvalid) as error:
        raise ConfigError(
            f"Rows cannot be found by the key {on!r}, which is {right.type} at {origin} and {left.type} in the stream. Join "
            "on a side column of whole numbers (of at most 63 bits), text or bytes."
        ) from error


def _match(arrow: Any, left: Any, right: Any, on: str, origin: str) -> NDArray[np.int64]:
    compute = optional_import("pyarrow.compute", "sql", "A join by key")
    right = right.combine_chunks()
    counted = compute.value_counts(right.drop_null())
    twice = compute.greater(counted.field("counts"), 1)
    if compute.any(twice).as_py():
        first = counted.filter(twice)[0].as_py()
        raise ConfigError(
            f"The key {first['values']!r} in {on!r} is there {first['counts']} times at {origin}, so that it does not say "
            "which row belongs to a sample. Join on a key that is unique there."
        )
    if left.type != right.type:
        if _kind(arrow, left.type) != _kind(arrow, right.type):
            raise ConfigError(
                f"The keys {on!r} are {right.type} at {origin}, and {left.type} in the stream: they are never equal."
            )
        widest = arrow.int64() if _kind(arrow, left.type) == "whole numbers" else right.type
        left, right = left.cast(widest), right.cast(widest)
    found = compute.index_in(left, options=compute.SetLookupOptions(right, skip_nulls=True))
    return found.fill_null(-1).to_numpy().astype(np.int64)


def _kind(arrow: Any, of: Any) -> str:
    """Return what values of a type can be equal to."""
    types = arrow.types
    if types.is_integer(of):
        return "whole numbers"
    if types.is_string(of) or types.is_large_string(of):
        return "text"
    return "bytes" if types.is_binary(of) or types.is_large_binary(of) else str(of)
