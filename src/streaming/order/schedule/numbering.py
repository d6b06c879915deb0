"""How what a stream gives is numbered through the steps of a table, so that nothing comes twice before all has come once.

A *line* is what is numbered: the elements of a stream in one canonical node, or in all. A step's elements of a line are
counted from 0, and those count on from where the step before ended. Neighbours change places within blocks, so that a step
that is cut short leaves numbers out; the first of the next step take those.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.arithmetic import offsets, ragged_arange

__all__ = ["Numbering"]

_Ints = NDArray[np.int64]


class Numbering:
    """The numbers of a step's elements. Legend: L lines, I elements.

    Args:
        first: ``int64[L]``, the first number that no step before could take.
        line: ``int64[H]``, line of each number that the steps before have left out, ascending.
        left: ``int64[H]``, those numbers, ascending within a line.

    Attributes:
        first: ``int64[L]``.
    """

    def __init__(self, first: _Ints, line: _Ints, left: _Ints) -> None:
        self.first = first
        self._left = left
        self._begin: _Ints = offsets(np.bincount(line, minlength=len(first)))
        self._count: _Ints = np.diff(self._begin)
        self._any = bool(len(left))

    def numbers(self, line: _Ints, element: _Ints) -> _Ints:
        """Return the number of elements of lines, ``int64[I]`` each, counted within the step."""
        if not self._any:
            return self.first[line] + element
        numbers = self.first[line] + element - self._count[line]
        old = np.flatnonzero(element < self._count[line])
        numbers[old] = self._left[self._begin[line[old]] + element[old]]
        return numbers

    def elements(self, line: _Ints, number: _Ints) -> _Ints:
        """Return the elements that have numbers, -1 where it is a step before that has it."""
        element = number - self.first[line] + self._count[line]
        old = np.flatnonzero(number < self.first[line])
        for row in old.tolist():
            low, high = self._begin[line[row] : line[row] + 2].tolist() if self._any else (0, 0)
            place = low + int(np.searchsorted(self._left[low:high], number[row]))
            element[row] = place - low if place < high and self._left[place] == number[row] else -1
        return element

    def after(self, whole: _Ints, end: _Ints, line: _Ints, element: _Ints) -> Numbering:
        """Return the numbers of the step that comes next.

        Args:
            whole: ``int64[L]``, elements of whole blocks of this step, all of which are used.
            end: ``int64[L]``, elements up to the end of the block in which it ends.
            line: ``int64[I]``, lines of the elements in that block that are used.
            element: ``int64[I]``, those elements.
        """
        end = np.maximum(end, self._count)
        rows, place = ragged_arange(end - whole)
        is_left = np.ones(len(rows), np.bool_)
        is_left[offsets(end - whole)[line] + element - whole[line]] = False
        rows, element = rows[is_left], (place + whole[rows])[is_left]
        return Numbering(self.first + end - self._count, rows, self.numbers(rows, element))
