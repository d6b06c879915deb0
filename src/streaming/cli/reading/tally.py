"""What the values of a column are like: counted one by one, and counts of several shards added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streaming.format.values import as_array, is_image

__all__ = ["Range", "Tally"]

#: From so many different values on, they are no classes.
_MAX_CLASSES = 100
_MOST = 1e300
_MAX_TEXT = 64


@dataclass
class Range:
    """The smallest, largest and mean of some numbers, and how many lie between two powers of two."""

    count: int = 0
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")
    powers: Counter[int] = field(default_factory=Counter[int])

    def add(self, number: float) -> None:
        """Count a number."""
        self.count += 1
        self.total += number
        self.least, self.most = min(self.least, number), max(self.most, number)
        if number >= 0 and number == int(number):
            self.powers[int(number).bit_length()] += 1

    def add_all(self, numbers: Any) -> None:
        """Count the elements of an array of finite numbers."""
        self.count += int(numbers.size)
        self.total += float(numbers.sum(dtype=np.float64))
        self.least = min(self.least, numbers.min().item())
        self.most = max(self.most, numbers.max().item())

    def merge(self, other: Range) -> None:
        """Count what another has counted."""
        self.count += other.count
        self.total += other.total
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.powers += other.powers

    def as_json(self) -> dict[str, float] | None:
        """Return the facts; ``None`` if nothing was counted."""
        if not self.count:
            return None
        return {"min": self.least, "max": self.most, "mean": self.total / self.count}

    def histogram(self) -> dict[str, int]:
        """Return how many numbers are in each of ``"0"``, ``"1"``, ``"2-3"``, ``"4-7"`` and so on."""
        return {
            "0" if not bits else "1" if bits == 1 else f"{1 << (bits - 1)}-{(1 << bits) - 1}": self.powers[bits]
            for bits in sorted(self.powers)
        }


@dataclass
class Tally:
    """A column.

    Attributes:
        count: Values, nulls too.
        nulls: Those that are ``None``.
        not_finite: Numbers, and elements of arrays, that are infinite or no number.
        kinds: Values by what they are.
        numbers: Of values that are numbers, or the elements of arrays.
        lengths: Of text, bytes and lists; elements of arrays; pixels of images.
        shapes: Of arrays and images, while there are few.
        classes: How often each number or short text comes; ``None`` if there are many.
    """

    count: int = 0
    nulls: int = 0
    not_finite: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    numbers: Range = field(default_factory=Range)
    lengths: Range = field(default_factory=Range)
    shapes: Counter[str] | None = field(default_factory=Counter[str])
    classes: Counter[str] | None = field(default_factory=Counter[str])

    def add(self, value: Any) -> None:
        """Count a value."""
        self.count += 1
        if value is None:
            self.nulls += 1
        elif isinstance(value, (bool, int, float, np.generic)):
            self._add_number(value)
        elif (found := as_array(value)) is not None:
            self._add_array(*found)
        elif is_image(value):
            self.kinds[f"{getattr(value, 'format', None) or 'image'} {value.mode}"] += 1
            self.lengths.add(value.size[0] * value.size[1])
            self._add_shape(f"{value.size[0]} x {value.size[1]}")
        else:
            self._add_other(value)

    def merge(self, other: Tally) -> None:
        """Count what another has counted."""
        self.count += other.count
        self.nulls += other.nulls
        self.not_finite += other.not_finite
        self.kinds += other.kinds
        self.numbers.merge(other.numbers)
        self.lengths.merge(other.lengths)
        self.shapes = _few(self.shapes, other.shapes)
        self.classes = _few(self.classes, other.classes)

    def as_json(self) -> dict[str, Any]:
        """Return the facts that there are."""
        classes = self.classes if self.classes and len(self.classes) <= max(2, self.count // 2) else None
        found = {
            "values": self.count,
            "nulls": self.nulls,
            "kinds": dict(self.kinds.most_common()),
            "not_finite": self.not_finite or None,
            "numbers": self.numbers.as_json(),
            "lengths": self.lengths.as_json(),
            "total_length": int(self.lengths.total) if self.lengths.count else None,
            "length_histogram": self.lengths.histogram() or None,
            "shapes": dict(self.shapes.most_common()) if self.shapes else None,
            "classes": dict(classes.most_common()) if classes else None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _add_number(self, value: Any) -> None:
        self.kinds[type(value).__name__] += 1
        if not isinstance(value, int) and not np.isfinite(value):
            self.not_finite += 1
            return
        if not isinstance(value, int) or abs(value) < _MOST:  # others are too large for a mean
            self.numbers.add(value.item() if isinstance(value, np.generic) else value)
        self._add_class(str(value))

    def _add_array(self, array: np.ndarray[Any, Any], kind: str) -> None:
        self.kinds[kind] += 1
        self.lengths.add(array.size)
        self._add_shape(" x ".join(map(str, array.shape)))
        if array.dtype.kind in "biuf":
            finite = array if array.dtype.kind != "f" else array[np.isfinite(array)]
            self.not_finite += array.size - finite.size
            if finite.size:
                self.numbers.add_all(finite)

    def _add_other(self, value: Any) -> None:
        self.kinds[type(value).__name__] += 1
        if isinstance(value, Sized):
            self.lengths.add(len(value))
        if isinstance(value, str) and len(value) <= _MAX_TEXT:
            self._add_class(value)
        else:
            self.classes = None

    def _add_shape(self, shape: str) -> None:
        self.classes = None
        if self.shapes is not None:
            self.shapes[shape] += 1
            self.shapes = _few(self.shapes)

    def _add_class(self, text: str) -> None:
        if self.classes is not None:
            self.classes[text] += 1
            self.classes = _few(self.classes)


def _few(*counters: Counter[str] | None) -> Counter[str] | None:
    total = Counter[str]()
    for counter in counters:
        if counter is None:
            return None
        total = counter if len(counters) == 1 else total + counter
    return total if len(total) <= _MAX_CLASSES else None
