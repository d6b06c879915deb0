"""Which encoding fits each column, judged by the first rows."""

from __future__ import annotations

import decimal
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, cast

import numpy as np

from streaming.core.arrays import is_tensor, tensor_to_numpy
from streaming.core.errors import ConfigError
from streaming.format.encodings.image import JPEGS
from streaming.format.encodings.tensor import TENSOR_DTYPES
from streaming.format.encodings.times import zone_of
from streaming.format.media import Audio, Video
from streaming.writing.rows.images import ImageFile

__all__ = ["infer_column", "infer_columns"]

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
    ``bool``, ``dict``, ``list`` ``json``, if JSON can hold what is in them; ``list:image`` and ``list:bytes`` of those
    NumPy scalar                 its type: ``float32``, ``int16`` ...; ``json`` for ``bool``
    NumPy array                  ``ndarray:<dtype>``, ``ndarray`` where they differ; any shape
    torch tensor                 as the NumPy array, or scalar, that it reads back as; ``tensor:bfloat16`` and the like for
                                 dtypes that NumPy has not
    ``date``, ``time``           the same, as ``timedelta``
    ``datetime``                 ``datetime``; ``datetime:<zone>`` if all have it, ``datetime:UTC`` where zones differ
    :class:`Audio`, ``Video``    ``audio``, ``video``
    ``decimal.Decimal``          ``str_decimal``
    PIL image                    ``jpeg`` if all were opened from JPEG files (kept as they are), else ``png``
    ===========================  =====================================================================

    A column in which a value is ``None`` gets the same with a question mark, such as ``int?``; but ``json`` takes
    ``None`` as it is.

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
    return {name: infer_column(name, [row[name] for row in rows]) for name in names}


def infer_column(name: str, values: Sequence[Any]) -> str:
    """Choose the encoding of one column; see :func:`infer_columns`.

    Args:
        name: Of the column, for error texts.
        values: Some of its values, ``None`` among them if any is.

    Raises:
        ConfigError: No encoding fits them.
    """
    present = [value for value in values if value is not None]
    if not values:
        raise ConfigError(f"The encoding of column {name!r} cannot be inferred without a row. Pass `columns`.")
    if not present:
        raise ConfigError(
            f"The encoding of column {name!r} cannot be inferred: the rows that were looked at hold NoneType alone. Pass "
            f"`columns` with an encoding that takes None, such as {{{name!r}: 'str?'}}."
        )
    encoding = _encoding(name, present)
    return encoding if encoding == "json" or len(present) == len(values) else f"{encoding}?"


def _encoding(name: str, values: Sequence[Any]) -> str:
    found = list(dict.fromkeys(_kind(value) for value in values))
    if len(found) == 1 and found[0] is not None:
        if found[0] == "json":
            _check_json(name, values)
        return found[0]
    kinds = set(found)
    lists = kinds - {"json"}
    if lists in ({"list:image"}, {"list:bytes"}) and all(
        kind != "json" or value == [] for kind, value in zip(map(_kind, values), values, strict=True)
    ):
        return str(lists.pop())
    if kinds == {"int", "float64"}:
        return "float64"
    if kinds == {"jpeg", "png"}:
        return "png"
    if None not in kinds and all(kind is not None and kind.startswith("datetime:") for kind in kinds):
        return "datetime:UTC"
    if None not in kinds and all(kind is not None and kind.startswith("ndarray:") for kind in kinds):
        return "ndarray"
    firsts = {_type_name(value): value for value in reversed(values)}
    kinds = list(reversed(firsts))
    shown = [repr(firsts[kind])[:40] for kind in kinds if isinstance(firsts[kind], (bool, int, float, str, bytes))]
    types = f"{', '.join(kinds)}{' (' + ', '.join(shown) + ')' if len(kinds) > 1 and shown else ''}"
    raise ConfigError(
        f"The encoding of column {name!r} cannot be inferred: the first rows hold {types}. {_advice(name, values)}"
    )


def _kind(value: Any) -> str | None:
    kind = _number(value) or _time(value)
    if kind is not None:
        return kind
    if isinstance(value, str):
        return "str"
    if isinstance(value, ImageFile):
        return value.encoding
    if isinstance(value, (Audio, Video)):
        return type(value).__name__.lower()
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, list) and value:
        kinds = {
            "image" if _image(item) or isinstance(item, ImageFile) else type(item) for item in cast("list[Any]", value)
        }
        if kinds in ({"image"}, {bytes}):
            return "list:image" if "image" in kinds else "list:bytes"
    if isinstance(value, (bool, np.bool_, dict, list)):
        return "json"
    if isinstance(value, decimal.Decimal):
        return "str_decimal"
    return _image(value)


def _number(value: Any) -> str | None:
    if is_tensor(value):
        name = str(value.dtype).removeprefix("torch.")
        if name in TENSOR_DTYPES:
            return f"tensor:{name}"
        try:
            value = tensor_to_numpy(value)
        except TypeError:
            return None
    if isinstance(value, (np.ndarray, np.generic)):
        dtype = value.dtype.name
        if isinstance(value, np.ndarray) and value.ndim:
            return f"ndarray:{dtype}" if dtype in _DTYPES | {"bool"} and value.size else None
        return dtype if dtype in _DTYPES else None
    if isinstance(value, int) and not isinstance(value, bool):
        return "int"
    return "float64" if isinstance(value, float) else None


def _time(value: Any) -> str | None:
    if isinstance(value, datetime):
        return "datetime" if value.utcoffset() is None else f"datetime:{_zone(value)}"
    if isinstance(value, np.datetime64):
        return "date" if np.datetime_data(value.dtype)[0] == "D" else "datetime"
    if isinstance(value, (timedelta, np.timedelta64)):
        return "timedelta"
    return next((kind.__name__ for kind in (date, time) if isinstance(value, kind)), None)


def _zone(value: datetime) -> str:
    """Return the name of a moment's zone, if a column may have it: a region's or an offset's; else UTC."""
    zone = value.tzinfo
    name = getattr(zone, "key", None) or getattr(zone, "zone", None) or str(zone).removeprefix("UTC") or "UTC"
    try:
        return name if zone_of(name).utcoffset(value.replace(tzinfo=None)) == value.utcoffset() else "UTC"
    except ConfigError:
        return "UTC"


def _image(value: Any) -> str | None:
    # Nobody has an image who has not imported PIL.
    module = sys.modules.get("PIL.Image")
    if module is None or not isinstance(value, module.Image):
        return None
    # Only an image that was opened by name keeps its file's bytes; any other would lose by JPEG.
    return "jpeg" if getattr(value, "format", None) in JPEGS and getattr(value, "filename", None) else "png"


def _check_json(name: str, values: Sequence[Any]) -> None:
    """Refuse what would read back as something else.

    Raises:
        ConfigError: JSON has no such values.
    """
    wrong = next((text for text in map(_not_json, values) if text), None)
    if wrong:
        raise ConfigError(
            f"The encoding of column {name!r} cannot be inferred: its values hold {wrong}, which JSON cannot. Give that a "
            f"column of its own, convert it, or pass `columns` with {{{name!r}: 'pkl'}}, which readers must trust."
        )


def _not_json(value: Any) -> str | None:
    """Say what in a value JSON cannot hold."""
    if value is None or isinstance(value, (bool, int, float, str, np.bool_, np.integer, np.floating)):
        return None
    if isinstance(value, list):
        return next((text for text in map(_not_json, cast("list[Any]", value)) if text), None)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value)
        if other := next((key for key in items if not isinstance(key, str)), None):
            return f"a key that is no text ({other!r})"
        return next((text for text in map(_not_json, items.values()) if text), None)
    if isinstance(value, np.ndarray):
        return None if value.dtype.kind in "biufU" else _type_name(value)  # becomes a list
    return _type_name(value)


def _type_name(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    name = type(value).__name__
    if isinstance(value, np.ndarray) and not value.size:
        return f"{name} without elements"
    return f"{name} of {dtype}" if isinstance(value, np.ndarray) or is_tensor(value) else name


def _advice(name: str, values: Sequence[Any]) -> str:
    """Say what to do about values for which there is no encoding."""
    types = {type(value) for value in values}
    dtypes = {value.dtype.name if isinstance(value, np.ndarray) and value.ndim == 1 else "" for value in values}
    if len(dtypes) == 1 and dtypes <= _DTYPES:
        return f"Arrays that may be empty are lists: pass `columns` with {{{name!r}: 'list:{dtypes.pop()}'}}."
    if len(types) > 1:
        return f"Pass `columns` with one encoding for it, such as {{{name!r}: 'str'}}, and convert the other values."
    first = values[0]
    if is_tensor(first):
        return "Convert the tensors to a dtype that NumPy has, such as by .float()."
    if isinstance(first, np.ndarray):
        return (
            "Arrays of whole numbers, floats of 16 to 64 bits, and bool are stored, with at least one element; convert."
        )
    if isinstance(first, (bytearray, memoryview)):
        return "Convert them by bytes(value)."
    if isinstance(first, (tuple, set, frozenset)):
        return "Convert them by list(value), which is stored as JSON, or by numpy.array(value)."
    return f"Convert them, or pass `columns` with an encoding that takes them, such as {{{name!r}: 'pkl'}}."
