"""Which stream serves which index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.order.lanes.mixing import BLOCK, Mixer

from budget import share

weights = st.one_of(
    st.lists(st.integers(0, 300), min_size=1, max_size=12).filter(any),
    st.builds(lambda weight, count: [weight] * count, st.integers(1, 200), st.integers(1, 12)),
    st.lists(st.integers(0, 9).map(lambda e: 2**e), min_size=1, max_size=12),
)


def make(counts: list[int], nodes: int, keyed: bool) -> Mixer:
    keys = np.arange(nodes, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) if keyed else None
    return Mixer(np.array(counts, np.int64), nodes, keys)


@share(1)
@given(weights, st.integers(1, 7), st.booleans())
def test_serves_every_unit_once_and_inverts(counts: list[int], nodes: int, keyed: bool) -> None:
    mixer = make(counts, nodes, keyed)
    total = sum(counts)
    index, node = np.divmod(np.arange(total), nodes)
    stream, unit = mixer.split(node, index)
    assert np.array_equal(mixer.join(node, stream, unit), index)
    assert np.array_equal(np.bincount(stream, minlength=len(counts)), counts)
    for c in range(nodes):
        for s in range(len(counts)):
            units = np.sort(unit[(node == c) & (stream == s)])
            assert np.array_equal(units, np.arange(len(units)))
            # The part of the node is what dealing out the streams, laid end to end, gives it.
            dealt = np.arange(mixer.origin[s], mixer.origin[s] + counts[s]) % nodes == c
            assert len(units) == dealt.sum()


@share(1)
@given(weights, st.integers(1, 4), st.booleans())
def test_every_stretch_holds_the_shares(counts: list[int], nodes: int, keyed: bool) -> None:
    mixer = make(counts, nodes, keyed)
    for c in range(nodes):
        length = len(range(c, sum(counts), nodes))
        stream, _ = mixer.split(np.full(length, c), np.arange(length))
        seen = np.cumsum(stream[:, None] == np.arange(len(counts)), axis=0)
        if length:
            off = np.abs(seen - np.arange(1, length + 1)[:, None] * seen[-1] / length)
            assert off.max() < (2.5 if keyed else 1.5)
            assert off[BLOCK - 1 :: BLOCK].max(initial=0) < 1.5


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ranks_that_take_turns_meet_all_streams(ranks: int) -> None:
    mixer = make([2000] * 8, 1, True)
    index = np.arange(0, 16_000, ranks)
    stream, _ = mixer.split(np.zeros_like(index), index)
    counts = np.bincount(stream, minlength=8)
    assert counts.min() > 0.8 * len(index) / 8


def test_thousands_of_streams() -> None:
    counts = np.random.default_rng(0).integers(0, 10**6, 5000)
    mixer = make(counts.tolist(), 3, True)
    position = np.random.default_rng(1).integers(0, counts.sum(), 2000)
    index, node = np.divmod(position, 3)
    stream, unit = mixer.split(node, index)
    assert np.array_equal(mixer.join(node, stream, unit), index)
    assert (unit < counts[stream]).all()


def test_counts_near_the_limit() -> None:
    mixer = make([2**49 - 1, 1, 3, 2**48 + 5], 1, False)
    position = np.array([0, 1, 2**40, 2**49 + 2**48 - 1, 2**49 + 2**48 + 7])
    stream, unit = mixer.split(np.zeros_like(position), position)
    assert np.array_equal(mixer.join(np.zeros_like(position), stream, unit), position)
