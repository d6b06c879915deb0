"""Keyed permutations, their arithmetic and their quality."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streaming.order.lanes.arithmetic import MAX_SAMPLES, bit_length, mul_div
from streaming.order.lanes.keys import Purpose, derive, mix64, mix64_int
from streaming.order.lanes.permutation import MAX_DOMAIN, permute, unpermute

from budget import share

_KEYS = 30_000


def keys(count: int) -> NDArray[np.uint64]:
    return mix64(np.arange(count, dtype=np.uint64))


@share(0.6)
@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_is_a_permutation_with_an_inverse(n: int, key: int) -> None:
    x = np.arange(n)
    y = permute(x, n, np.full(n, key, np.uint64))
    assert np.array_equal(np.sort(y), x)
    assert np.array_equal(unpermute(y, n, np.full(n, key, np.uint64)), x)


@pytest.mark.parametrize("n", [65535, 65536, 65537, 262144, 262145])
def test_is_a_permutation_around_powers_of_two(n: int) -> None:
    y = permute(np.arange(n), n, np.full(n, 7, np.uint64))
    assert np.array_equal(np.sort(y), np.arange(n))


@share(0.6)
@given(st.lists(st.tuples(st.integers(1, MAX_DOMAIN), st.data()), min_size=1, max_size=20))
def test_inverts_in_any_mixture_of_domains(cases: list[tuple[int, st.DataObject]]) -> None:
    n = np.array([size for size, _ in cases], np.int64)
    x = np.array([data.draw(st.integers(0, size - 1)) for size, data in cases], np.int64)
    y = permute(x, n, keys(len(n)))
    assert ((y >= 0) & (y < n)).all()
    assert np.array_equal(unpermute(y, n, keys(len(n))), x)
    # Elements do not depend on their neighbours, nor on how the domain is given.
    for i in range(len(n)):
        one = permute(x[i : i + 1], int(n[i]), keys(len(n))[i : i + 1])
        assert one[0] == y[i]


def test_no_elements() -> None:
    none = np.empty(0, np.int64)
    assert len(permute(none, none, none.view(np.uint64))) == 0
    assert len(unpermute(none, 5, none.view(np.uint64))) == 0


def _score(counts: NDArray[np.int64]) -> float:
    """How many standard deviations chi-square is above its mean, for cells that should be equally full."""
    expected = counts.sum() / counts.size
    freedom = max(counts.size - 1, 1)
    chi_square = ((counts - expected) ** 2).sum() / expected
    return float((chi_square - freedom) / math.sqrt(2 * freedom))


@pytest.mark.parametrize(
    "n", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 25, 31, pytest.param(64, marks=pytest.mark.apart)]
)
def test_permutations_are_evenly_distributed(n: int) -> None:
    x = np.tile(np.arange(n), _KEYS)
    y = permute(x, n, np.repeat(keys(_KEYS), n)).reshape(_KEYS, n)
    for place in {0, n // 2, n - 1}:
        assert _score(np.bincount(y[:, place], minlength=n)) < 7
    if n > 2:
        for other in {1, n - 1}:
            pairs = np.bincount(y[:, 0] * n + y[:, other], minlength=n * n).reshape(n, n)
            assert _score(pairs[~np.eye(n, dtype=bool)]) < 7
        steps = (y[:, 1:] - y[:, :-1]) % n
        # Neighbouring steps are not independent, so the bound is wider.
        assert _score(np.bincount(steps.ravel(), minlength=n)[1:]) < 8
    if n <= 6:
        whole = np.unique(y @ n ** np.arange(n), return_counts=True)[1]
        assert len(whole) == math.factorial(n)
        assert _score(whole) < 7


def test_neighbouring_keys_share_nothing() -> None:
    n = 10_000
    first, second = (
        permute(np.arange(n), n, np.full(n, derive(seed, Purpose.SAMPLE_ORDER, 0), np.uint64)) for seed in (1, 2)
    )
    assert (first == second).sum() < 12
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_keys_differ_by_every_number() -> None:
    found = {
        derive(seed, purpose, *rest)
        for seed in (0, 1, 2, 2**63, 2**64 + 1, 2**64 + 2, 2**130)
        for purpose in Purpose
        for rest in ((), (0,), (1,), (0, 0), (0, 1), (1, 0))
    }
    assert len(found) == 7 * len(Purpose) * 6


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_hash_of_arrays_is_hash_of_numbers(values: list[int]) -> None:
    assert mix64(np.array(values, np.uint64)).tolist() == [mix64_int(value) for value in values]


@given(st.data())
def test_mul_div_is_exact(data: st.DataObject) -> None:
    divisor = data.draw(st.integers(1, MAX_SAMPLES - 1))
    x, factor = (data.draw(st.integers(0, divisor)) for _ in range(2))
    plus = data.draw(st.integers(0, divisor - 1))
    q, r = mul_div(*(np.array([v], np.int64) for v in (x, factor, divisor, plus)))
    assert (int(q[0]), int(r[0])) == divmod(x * factor + plus, divisor)


@given(st.lists(st.integers(0, 2**61 - 1), min_size=1))
def test_bit_length(values: list[int]) -> None:
    assert bit_length(np.array(values, np.int64)).tolist() == [v.bit_length() for v in values]
