"""Columns of Python objects, as JSON or pickled."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ColumnTypeError, ColumnValueError
from streaming.format.encodings.base import Encoding, unmasked

__all__ = ["JSON", "Pickle"]


_TEXT = frozenset({str})
#: Types of values that have none within.
_LEAVES = frozenset({str, int, float, bool, type(None), np.ndarray})


class JSON(Encoding):
    """Anything that JSON can hold; arrays and NumPy scalars become lists and numbers."""

    def encode(self, obj: Any) -> bytes:
        """Return the JSON text.

        Raises:
            ColumnTypeError: JSON has no such type.
            ColumnValueError: The object contains itself, or two keys of a dict have the same text.
        """
        try:
            data = json.dumps(obj, default=_to_builtin).encode()
        except (TypeError, RecursionError) as error:
            raise ColumnTypeError(f"not JSON: {error}") from error
        except ValueError as error:
            raise ColumnValueError(f"not JSON: {error}") from error
        _check_keys(obj, data.count(b"{"))
        return data

    def decode(self, data: bytes) -> Any:
        """Return the object."""
        return json.loads(str(data, "utf-8"))


class Pickle(Encoding):
    """Any object that can be pickled. Reading it can run code: only for data that you trust."""

    safe = False
    passes_bytes = False  # bytes stored as they are could not be unpickled

    def encode(self, obj: Any) -> bytes:
        """Return the pickle."""
        try:
            return pickle.dumps(obj)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
            raise ColumnTypeError(f"cannot be pickled: {error}") from error

    def decode(self, data: bytes) -> Any:
        """Return the object."""
        return pickle.loads(data)


def _check_keys(obj: Any, left: int) -> None:
    """Refuse keys that JSON cannot tell apart, of which it would keep one, at any depth.

    Args:
        obj: What was encoded.
        left: Dicts in it, at most.

    Raises:
        ColumnValueError: There are such.
    """
    found = [obj]
    for inner in found:
        if isinstance(inner, dict):
            left -= 1
            inner = cast("dict[Any, Any]", inner)
            if not _TEXT.issuperset(map(type, inner)):
                _check_texts(inner)
            values = inner.values()
        elif isinstance(inner, (list, tuple)):
            values = cast("list[Any]", inner)
        else:
            continue
        if left <= 0:
            return
        if not _LEAVES.issuperset(map(type, values)):
            found += values


def _check_texts(keys: Iterable[Any]) -> None:
    known: dict[str, Any] = {}
    for key in keys:
        text = next(iter(json.loads(json.dumps({key: 0}))))
        if text in known:
            raise ColumnValueError(f"not JSON: the keys {known[text]!r} and {key!r} of a dict are one key there")
        known[text] = key


def _to_builtin(obj: Any) -> Any:
    if isinstance(obj, (np.ndarray, np.generic)):
        return unmasked(cast("NDArray[Any]", obj)).tolist()
    raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")
