"""Numbers for small pictures: bars and lines, in the units of a drawing 100 wide and high."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Bar", "bars", "line"]

_MOST_CLASSES = 40
_BINS = 40


class Bar(NamedTuple):
    """How often a value, or one of a range, comes.

    Attributes:
        label: The value, or the range.
        times: How often.
        share: Of the longest bar, in percent.
        condition: What SQL asks for it; ``''`` if it cannot.
    """

    label: str
    times: int
    share: float
    condition: str


def line(points: Sequence[float]) -> str:
    """Return the points of a polyline, from left to right."""
    values = np.asarray(points, np.float64)
    low, high = float(values.min()), float(values.max())
    span = high - low or 1.0
    places = np.linspace(0, 100, len(values))
    return " ".join(f"{x:.1f},{100 - 100 * (y - low) / span:.1f}" for x, y in zip(places, values, strict=True))


def bars(name: str, values: Any) -> list[Bar]:
    """Return the values of a side column, counted.

    Args:
        name: Of the column.
        values: A ``pyarrow.ChunkedArray``.
    """
    import pyarrow as pa

    column = '"' + name.replace('"', '""') + '"'
    counts: Any = None if pa.types.is_nested(values.type) else values.value_counts()
    if counts is not None and len(counts) <= _MOST_CLASSES:
        found: list[tuple[int, Any]] = [(-item["counts"], item["values"]) for item in counts.to_pylist()]
        found.sort(key=itemgetter(0))
        return _bars([(_label(value), -times, _equals(column, value)) for times, value in found])
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return []
    numbers = values.drop_null().to_numpy().astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    amounts, edges = np.histogram(numbers, _BINS)
    ranges = [
        (f"{low:.6g} to {high:.6g}", int(amount), f"{column} >= {low!r} AND {column} < {high!r}")
        for amount, low, high in zip(amounts, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    label, amount, _ = ranges[-1]
    ranges[-1] = (label, amount, f"{column} >= {float(edges[-2])!r}")  # the last holds its upper edge too
    return _bars(ranges)


def _bars(found: Sequence[tuple[str, int, str]]) -> list[Bar]:
    most = max((count for _, count, _ in found), default=1) or 1
    return [Bar(label, count, 100 * count / most, condition) for label, count, condition in found]


def _label(value: Any) -> str:
    return "NULL" if value is None else str(value)[:60]


def _equals(column: str, value: Any) -> str:
    if value is None:
        return f"{column} IS NULL"
    if isinstance(value, (bool, int, float)):
        return f"{column} = {value!r}"
    return "{} = '{}'".format(column, value.replace("'", "''")) if isinstance(value, str) else ""
