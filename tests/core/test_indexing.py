"""Index expressions mean what they mean for lists and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.indexing import Array


class Squares(Array):
    def __init__(self, size: int) -> None:
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def get_item(self, sample_id: int) -> int:
        assert 0 <= sample_id < self._size
        return sample_id**2


bounds = st.one_of(st.none(), st.integers(-25, 25))


@given(
    size=st.integers(0, 20),
    start=bounds,
    stop=bounds,
    step=st.one_of(st.none(), st.integers(-5, 5).filter(bool)),
)
def test_slices_are_a_lists(size: int, start: Any, stop: Any, step: Any) -> None:
    expected = [i**2 for i in range(size)][start:stop:step]
    assert Squares(size)[start:stop:step] == expected


def test_reverse() -> None:
    assert Squares(4)[::-1] == [9, 4, 1, 0]


def test_integers() -> None:
    squares = Squares(5)
    assert squares[-1] == 16
    assert squares[np.int32(3)] == 9
    assert squares[np.uint8(3)] == 9
    for bad in (5, -6, np.int64(5)):
        with pytest.raises(IndexError, match="out of range"):
            squares[bad]


def test_lists_and_arrays() -> None:
    squares = Squares(5)
    assert squares[[0, -1, 2]] == [0, 16, 4]
    assert squares[[]] == []
    assert squares[np.array([0, -1, 2])] == [0, 16, 4]
    assert squares[np.array([[0, 1], [2, 3]])] == [[0, 1], [4, 9]]
    assert squares[[[0, 1], [2]]] == [[0, 1], [4]]
    assert squares[np.array([], np.float64)] == []
    assert squares[np.array(3)] == 9
    with pytest.raises(IndexError):
        squares[np.array([0, 5])]


def test_masks() -> None:
    squares = Squares(4)
    assert squares[np.array([True, False, False, True])] == [0, 9]
    assert squares[[True, False, False, True]] == [0, 9]
    with pytest.raises(IndexError, match="mask"):
        squares[np.array([True])]


@pytest.mark.parametrize("bad", [1.0, "1", None, (0, 1), np.array([1.5])])
def test_other_types_are_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="index"):
        Squares(4)[bad]
