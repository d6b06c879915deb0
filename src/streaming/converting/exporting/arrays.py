"""NumPy's arrays as Arrow's lists, without an object a number; and which lists those of a column are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from streaming.core.errors import ConfigError
from streaming.sources.contract import Row

__all__ = ["ANY", "axes_of", "completed", "lists"]

#: The length of an axis that differs from row to row.
ANY = 0


def completed(columns: Mapping[str, str], rows: Iterable[Row]) -> dict[str, str]:
    """Return encodings that name a dtype and axes wherever there are arrays: those of the first array of the column.

    Args:
        columns: Encodings by name.
        rows: All rows; no more are read than it takes.
    """
    wanted = {name for name, of in columns.items() if of.startswith("ndarray") and of.count(":") < 2}
    found = dict(columns)
    coming = iter(rows) if wanted else iter(())
    while wanted and (row := next(coming, None)) is not None:
        for name in [name for name in wanted if row[name] is not None]:
            found[name] = _encoding(columns[name], row[name].dtype.name, row[name].ndim)
            wanted.remove(name)
    for name in wanted:  # which has no array at all
        found[name] = _encoding(columns[name], columns[name].rstrip("?").partition(":")[2] or "float32", 1)
    return found


def _encoding(encoding: str, dtype: str, axes: int) -> str:
    return f"ndarray:{dtype}:{','.join([str(ANY)] * max(axes, 1))}{'?' if encoding.endswith('?') else ''}"


def axes_of(encoding: str) -> tuple[str, int] | None:
    """Return the dtype of a column of arrays and how many axes they have; ``None`` for another column."""
    base, _, config = encoding.rstrip("?").partition(":")
    dtype, _, shape = config.partition(":")
    if base == "ndarray":
        return dtype, shape.count(",") + 1
    try:
        item = np.dtype(dtype)
    except TypeError:
        return None
    return (item.name, 1) if base == "list" and item.kind in "biuf" else None


def lists(pa: Any, values: Sequence[Any], dtype: str, axes: int, where: Callable[[int], str]) -> Any:
    """Return arrays as nested lists of Arrow.

    Args:
        pa: ``pyarrow``.
        values: Arrays, and ``None`` for those that are missing.
        dtype: Of all.
        axes: How many each has.
        where: Tells for people which value one is, by its number.

    Raises:
        ConfigError: One has another dtype, or more or fewer axes.
    """
    kind = np.dtype(dtype)
    for number, value in enumerate(values):
        if value is not None and (value.dtype != kind or value.ndim != axes):
            raise ConfigError(
                f"{where(number)} is an array of {value.dtype.name} with {value.ndim} axes; the column's first has "
                f"{dtype} and {axes}, and Parquet holds one kind in a column. Leave it out by `columns`, or convert it."
            )
    present = [value for value in values if value is not None]
    shapes = np.array([value.shape for value in present], np.int64).reshape(-1, axes)
    found = pa.array(np.concatenate([value.reshape(-1) for value in present]) if present else np.empty(0, kind))
    for axis in range(axes - 1, 0, -1):
        lengths = np.repeat(shapes[:, axis], shapes[:, :axis].prod(axis=1))
        found = pa.ListArray.from_arrays(pa.array(_offsets(lengths), pa.int32()), found)
    missing = np.array([value is None for value in values])
    rows = np.zeros(len(values), np.int64)
    rows[~missing] = shapes[:, 0]
    offsets = pa.array(_offsets(rows), pa.int32(), mask=np.append(missing, False))
    return pa.ListArray.from_arrays(offsets, found)


def _offsets(lengths: Any) -> Any:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
