"""What is asked for, where a few parts of a file are wanted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streaming.cache.fetching.spans import REQUEST_BYTES, join

PARTS = st.lists(st.tuples(st.integers(0, 2 * REQUEST_BYTES), st.integers(1, 1 << 20)), max_size=60)


@given(PARTS, st.integers(1, 40))
def test_ranges_are_joined_with_little_waste(parts: list[tuple[int, int]], most: int) -> None:
    bounds = np.cumsum(np.array(parts, np.int64).reshape(-1, 2).ravel()).reshape(-1, 2)
    begins, ends = join(bounds[:, 0], bounds[:, 1], most)
    asked = list(zip(begins.tolist(), ends.tolist(), strict=True))
    assert all(any(first <= begin and end <= last for first, last in asked) for begin, end in bounds.tolist())
    assert all(one[1] <= other[0] for one, other in pairwise(asked))
    wanted, fetched = int(np.diff(bounds).sum()), int((ends - begins).sum())
    assert fetched - wanted <= wanted // 8 or len(asked) >= most


def test_many_small_ones_are_few_requests() -> None:
    begins = np.arange(1000) * 20_000
    assert len(join(begins, begins + 2000, 32)[0]) == 32
    begins = np.arange(20) * 20_000
    assert len(join(begins, begins + 2000, 32)[0]) == 20
