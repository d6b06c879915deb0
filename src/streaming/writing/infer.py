"""Which encoding fits each column, judged by the first rows."""

from __future__ import annotations

import decimal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streaming.core.errors import ConfigError

__all__ = ["infer_columns"]

_DTYPES = frozenset(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)) | {
    "float16",
    "float32",
    "float64",
}


def infer_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Choose the encoding of every column so that values read back with the types they have.

    ===========================  =====================================================================
    ``str``, ``bytes``           the same
    ``int``                      ``int`` (64 bits)
    ``float``                    ``float64``, also where some values are ``int``
    ``bool``, ``dict``, ``list`` ``json``
    NumPy scalar                 its type: ``float32``, ``int16`` ...
    NumPy array                  ``ndarray:<dtype>``, ``ndarray`` where they differ; any shape
    ``decimal.Decimal``          ``str_decimal``
    PIL image                    ``jpeg`` if all were opened from JPEG files (kept as they are), else ``png``
    ===========================  =====================================================================

    Args:
        rows: The first rows, at least one.

    Returns:
        Encoding of each column by its name.

    Raises:
        ConfigError: No encoding fits a column, or rows have different columns.
    """
    if not rows:
        raise ConfigError("Columns cannot be inferred without a row. Pass `columns`, such as {'text': 'str'}.")
    names = list(rows[0])
    for number, row in enumerate(rows):
        if set(row) != set(names):
            raise ConfigError(
                f"Columns cannot be inferred: row 0 has {sorted(names)}, row {number} has {sorted(row)}. Pass `columns`."
            )
    if not names:
        raise ConfigError("Columns cannot be inferred: the rows are empty. Give each at least one column.")
    return {name: _encoding(name, [row[name] for row in rows]) for name in names}


def _encoding(name: str, values: Sequence[Any]) -> str:
    found = list(dict.fromkeys(_kind(value) for value in values))
    if len(found) == 1 and found[0] is not None:
        return found[0]
    kinds = set(found)
    if kinds == {"int", "float64"}:
        return "float64"
    if kinds == {"jpeg", "png"}:
        return "png"
    if None not in kinds and all(kind is not None and kind.startswith("ndarray:") for kind in kinds):
        return "ndarray"
    types = ", ".join(dict.fromkeys(type(value).__name__ for value in values))
    raise ConfigError(
        f"The encoding of column {name!r} cannot be inferred: the first rows hold {types}. Pass `columns` with an "
        f"encoding for it, such as {{{name!r}: 'str'}}, and convert values that it does not take."
    )


def _kind(value: Any) -> str | None:
    kind = _number(value)
    if kind is not None:
        return kind
    if isinstance(value, str):
        return "str"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, (bool, dict, list)):
        return "json"
    if isinstance(value, decimal.Decimal):
        return "str_decimal"
    return _image(value)


def _number(value: Any) -> str | None:
    if isinstance(value, (np.ndarray, np.generic)):
        dtype = value.dtype.name
        if dtype not in _DTYPES:
            return "str" if isinstance(value, np.str_) else None
        if isinstance(value, np.ndarray):
            return f"ndarray:{dtype}" if value.size else None
        return dtype
    if isinstance(value, int) and not isinstance(value, bool):
        return "int"
    return "float64" if isinstance(value, float) else None


def _image(value: Any) -> str | None:
    # Nobody has an image who has not imported PIL.
    module = sys.modules.get("PIL.Image")
    if module is None or not isinstance(value, module.Image):
        return None
    # Only an image that was opened by name keeps its file's bytes; any other would lose by JPEG.
    return "jpeg" if getattr(value, "format", None) == "JPEG" and getattr(value, "filename", None) else "png"
