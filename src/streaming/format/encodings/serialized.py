"""Columns of Python objects, as JSON or pickled."""

from __future__ import annotations

import json
import pickle
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ColumnTypeError, ColumnValueError
from streaming.format.encodings.base import Encoding, unmasked

__all__ = ["JSON", "Pickle"]


class JSON(Encoding):
    """Anything that JSON can hold; arrays and NumPy scalars become lists and numbers."""

    def encode(self, obj: Any) -> bytes:
        """Return the JSON text.

        Raises:
            ColumnTypeError: JSON has no such type.
            ColumnValueError: The object contains itself.
        """
        try:
            return json.dumps(obj, default=_to_builtin).encode()
        except (TypeError, RecursionError) as error:
            raise ColumnTypeError(f"not JSON: {error}") from error
        except ValueError as error:
            raise ColumnValueError(f"not JSON: {error}") from error

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


def _to_builtin(obj: Any) -> Any:
    if isinstance(obj, (np.ndarray, np.generic)):
        return unmasked(cast("NDArray[Any]", obj)).tolist()
    raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")
