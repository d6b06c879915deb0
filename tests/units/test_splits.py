"""Splits are disjoint, whole, exact to the key, and stay when something is appended."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import ConfigError
from streaming.units.splits import borders_of, parts_of_ids, parts_of_keys


def test_golden() -> None:
    """A split is for ever: these numbers never change."""
    borders = borders_of({"train": 0.5, "val": 0.3, "test": 0.2})
    assert parts_of_ids(0, 12, borders, 1).tolist() == [1, 2, 2, 1, 1, 1, 1, 0, 1, 0, 1, 1]
    assert parts_of_keys(["a", "b", b"a", 7, "é", True, 1], borders, 1).tolist() == [0, 0, 0, 0, 2, 1, 1]


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 3), st.integers(0, 2**40))
def test_what_is_appended_moves_nothing(count: int, more: int, stream: int, seed: int) -> None:
    borders = borders_of({"a": 0.7, "b": 0.3})
    assert np.array_equal(
        parts_of_ids(stream, count + more, borders, seed)[:count], parts_of_ids(stream, count, borders, seed)
    )


def test_shares_are_kept() -> None:
    borders = borders_of({"a": 0.9, "b": 0.1, "none": 0.0})
    for parts in (
        parts_of_ids(0, 100_000, borders, 3),
        parts_of_keys([f"key {i}" for i in range(100_000)], borders, 3),
    ):
        shares = np.bincount(parts, minlength=3) / 100_000
        assert np.allclose(shares, [0.9, 0.1, 0], atol=0.006)
    other = parts_of_ids(1, 100_000, borders, 3) == parts_of_ids(0, 100_000, borders, 3)
    assert abs(other.mean() - 0.82) < 0.01


@given(st.lists(st.one_of(st.text(max_size=3), st.integers(-5, 5), st.binary(max_size=2))), st.integers(0, 5))
def test_a_key_is_in_one_part(keys: list[object], seed: int) -> None:
    parts = parts_of_keys(keys, borders_of({"a": 0.5, "b": 0.5}), seed)
    together = dict(zip(keys, parts.tolist(), strict=True))
    assert [together[key] for key in keys] == parts.tolist()


@pytest.mark.parametrize("key", [None, 1.5, float("nan"), (1, 2), [1]])
def test_keys_that_are_none(key: object) -> None:
    with pytest.raises(ConfigError, match="needs text, bytes or whole numbers in every sample"):
        parts_of_keys(["a", key], borders_of({"a": 1}), 0)


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 0.8, "b": 0.3}, {"a": 1.5, "b": -0.5}, {"a": "x"}])
def test_shares_that_are_none(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="share"):
        borders_of(fractions)
