"""The law of units, held against every kind of them; and views, kept and combined."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import ConfigError
from streaming.units.parts import Parts, choose
from streaming.units.selection import Selection
from streaming.units.translation import Translation
from streaming.units.units import Units
from streaming.units.view_file import ViewFile


def check_units(units: Units, sizes: list[int]) -> None:
    """Hold units against their contract.

    Args:
        units: Units of any kind.
        sizes: Rows of each shard.
    """
    assert units.counts.dtype == np.int64
    assert len(units.counts) == len(sizes)
    assert units.num_units == int(units.counts.sum())
    other = pickle.loads(pickle.dumps(units))
    assert other.fingerprint == units.fingerprint
    begins = np.cumsum(units.counts) - units.counts
    translation = Translation(
        [None, units], [1, len(sizes)], np.array([0, *(begins + 2)]), np.array([2, *units.counts])
    )
    for shard in np.random.default_rng(1).permutation(len(sizes)).tolist():
        rows, parts = units.rows(shard), units.parts(shard)
        assert rows.dtype == parts.dtype == np.int64
        assert rows.shape == parts.shape == (units.counts[shard],)
        assert ((rows >= 0) & (rows < sizes[shard])).all()
        assert (np.diff(rows) >= 0).all()
        assert units.has_parts or ((np.diff(rows) > 0).all() and not parts.any())
        assert len(set(zip(rows.tolist(), parts.tolist(), strict=True))) == len(rows)
        assert np.array_equal(other.rows(shard), rows)
        ids = begins[shard] + 2 + np.arange(len(rows))
        assert np.array_equal(translation.rows(np.full(len(rows), shard + 1), ids), rows)
        for unit, row in list(enumerate(rows.tolist()))[:20]:
            assert translation.row(shard + 1, int(ids[unit])) == row
            assert translation.part(shard + 1, int(ids[unit])) == parts[unit]
            assert translation.find(shard + 1, row).tolist() == ids[rows == row].tolist()
        for row in sorted(set(range(sizes[shard])) - set(rows.tolist()))[:5]:
            assert not len(translation.find(shard + 1, row))
    assert translation.rows(np.zeros(2, np.int64), np.arange(2)).tolist() == [0, 1]


@st.composite
def masks(draw: Any) -> tuple[Any, Any]:
    """Return sizes of shards and a mask over them: full ones, empty ones, sparse ones, and runs."""
    sizes = draw(st.lists(st.integers(0, 300), max_size=6))
    mask = np.zeros(sum(sizes), np.bool_)
    at = 0
    for size in sizes:
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        mask[at : at + size] = rng.random(size) < draw(st.sampled_from([0, 0.01, 0.1, 0.5, 0.9, 0.99, 1]))
        at += size
    return np.array(sizes, np.int64), mask


@given(masks())
def test_a_selection_holds_what_was_selected(case: Any) -> None:
    sizes, mask = case
    by_mask, by_ids = Selection.of_mask(sizes, mask), Selection.of_ids(sizes, np.flatnonzero(mask)[::-1])
    check_units(by_mask, sizes.tolist())
    assert by_mask.fingerprint == by_ids.fingerprint
    begins = np.cumsum(sizes) - sizes
    rows = [by_mask.rows(shard) + begins[shard] for shard in range(len(sizes))]
    assert np.array_equal(np.concatenate([np.empty(0, np.int64), *rows]), np.flatnonzero(mask))


@given(masks(), st.integers(0, 9))
def test_a_view_of_a_view_is_what_both_keep(case: Any, seed: int) -> None:
    sizes, mask = case
    outer = Selection.of_mask(sizes, mask)
    second = np.random.default_rng(seed).random(outer.num_units) < 0.5
    both = Selection.of_mask(outer.counts, second).within(outer)
    expected = mask.copy()
    expected[mask] = second
    assert both.fingerprint == Selection.of_mask(sizes, expected).fingerprint


@given(masks(), st.integers(0, 9), st.booleans())
def test_parts_of_some_rows_and_some_of_the_parts(case: Any, seed: int, constant: bool) -> None:
    sizes, mask = case
    rng = np.random.default_rng(seed)
    number: Any = int(rng.integers(0, 4)) if constant else rng.integers(0, 4, len(mask))
    some = Selection.of_mask(sizes, mask)
    parts = Parts(sizes, number, some)
    check_units(parts, sizes.tolist())
    numbers = np.full(len(mask), number) if constant else number
    assert parts.num_units == numbers[mask].sum()
    check_units(Parts(sizes, number), sizes.tolist())
    for _ in range(2):
        kept = rng.random(parts.num_units) < 0.6
        chosen = choose(Selection.of_mask(parts.counts, kept), parts)
        assert chosen is not None
        check_units(chosen, sizes.tolist())
        assert chosen.num_units == kept.sum()
        parts = chosen


@given(masks(), st.integers(0, 500), st.integers(0, 500))
def test_a_range(case: Any, begin: int, end: int) -> None:
    sizes, _ = case
    expected = np.zeros(int(sizes.sum()), np.bool_)
    expected[begin:end] = True
    found = Selection.of_range(sizes, begin, end)
    check_units(found, sizes.tolist())
    assert found.fingerprint == Selection.of_mask(sizes, expected).fingerprint


def test_large_shards() -> None:
    sizes = np.array([70_000, 50, 70_000], np.int64)
    ids = np.array([0, 65_535, 65_536, 69_999, 70_010, 70_050, 140_049], np.int64)
    units = Selection.of_ids(sizes, ids)
    check_units(units, sizes.tolist())
    assert len(units.blob) == 3 + 4 * 4 + 2 + 2 * 4
    everything_but = Selection.of_mask(sizes, ~np.isin(np.arange(sizes.sum()), ids))
    check_units(Selection.of_range(sizes, 0, 10), sizes.tolist())
    assert everything_but.num_units == sizes.sum() - len(ids)
    for shard in (0, 1, 2, 0):
        both = np.concatenate([everything_but.rows(shard), units.rows(shard)])
        assert np.array_equal(np.sort(both), np.arange(sizes[shard]))


def test_what_does_not_fit_is_refused() -> None:
    sizes = np.array([3, 4], np.int64)
    with pytest.raises(ConfigError, match=r"from 0 to 6; got 0 to 7"):
        Selection.of_ids(sizes, np.array([0, 7]))
    with pytest.raises(ConfigError, match=r"does not fit 7 samples"):
        Selection.of_mask(sizes, np.ones(6, np.bool_))


@given(masks())
def test_a_view_is_kept(case: Any) -> None:
    sizes, mask = case
    view = ViewFile("age > 60", ("ab",), ("s3://b/d",), (Selection.of_mask(sizes, mask),))
    data = view.dump()
    found = ViewFile.parse(data, "somewhere")
    assert (found.query, found.datasets, found.origins) == (view.query, view.datasets, view.origins)
    assert found.selections[0].fingerprint == view.selections[0].fingerprint
    check_units(found.selections[0], sizes.tolist())


def test_a_file_that_is_no_view_is_refused() -> None:
    data = ViewFile("q", ("ab",), ("o",), (Selection.of_range(np.array([9], np.int64), 2, 5),)).dump()
    for damaged in (b"", b"{}", data[:-1], data[:100] + b"!" + data[101:], b"SDVIEW99" + data[8:]):
        with pytest.raises(ConfigError, match="v.view is no view that this version reads"):
            ViewFile.parse(damaged, "v.view")
