"""Columns laid into rows at once: the bytes that a value at a time gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streaming.format.kinds.mds_columns import Fixed, Varying


@pytest.mark.parametrize("longest", [2, 40, 90, 300])
@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("heads", ["none", "whole", "some"])
def test_values_of_varying_size(longest: int, gap: int, heads: str) -> None:
    rng = np.random.default_rng(longest)
    for count in (0, 1, 7, 100):
        sizes: Any = rng.integers(0, longest, count)
        begins = np.cumsum(sizes + gap) - sizes
        data = rng.integers(0, 255, int((sizes + gap).sum()) + 5).astype(np.uint8)
        marks = None if heads == "none" else rng.integers(0, 255, (count, 5)).astype(np.uint8)
        used: Any = rng.integers(0, 6, count) if heads == "some" else None
        column = Varying(data, begins, begins + sizes, marks, used)
        room = column.sizes() + 2
        places = np.cumsum(room) - room
        target, wanted = np.zeros((2, int(room.sum())), np.uint8)
        column.write(target, places)
        for i in range(count):
            head = b"" if marks is None else bytes(marks[i][: 5 if used is None else used[i]])
            value = head + bytes(data[begins[i] : begins[i] + sizes[i]])
            wanted[places[i] : places[i] + len(value)] = list(value)
        assert target.tolist() == wanted.tolist()


@pytest.mark.parametrize("width", [0, 1, 4, 41])
def test_values_of_a_size(width: int) -> None:
    for count in (0, 1, 9):
        values = np.random.default_rng(0).integers(0, 255, (count, 2 * width)).astype(np.uint8)[:, ::2]
        target = np.zeros((count, width + 2), np.uint8)
        Fixed(values).write(target.reshape(-1), np.arange(count) * (width + 2))
        assert target[:, :width].tolist() == values.tolist()
        assert not target[:, width:].any()
