"""Bins hold what fits, every piece is in one, and in every epoch others share it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming import Bucket, Pack
from streaming.core.errors import ConfigError
from streaming.packing.fitting import best_fit, first_fit, like_sizes
from streaming.packing.groups import groups
from streaming.packing.packs import Packs
from streaming.packing.pieces import arrange, cut, fit
from streaming.packing.plan_file import PlanFile, write_plan

METHODS: Any = ["best_fit", "first_fit", "concat"]
LONG: Any = ["split", "truncate", "drop"]

lengths = st.lists(st.integers(0, 200), max_size=60)


@given(st.lists(st.integers(1, 30), max_size=80))
def test_one_item_after_the_other(given: list[int]) -> None:
    """The same as putting items in singly, as the methods say in words."""
    sizes = sorted(given, reverse=True)
    for method, choose in ((best_fit, min), (first_fit, lambda fits: fits[0])):
        rooms: list[int] = []
        for size in sizes:
            fits = [room for room in rooms if room >= size]
            if fits:
                rooms[rooms.index(choose(fits))] -= size
            else:
                rooms.append(30 - size)
        bins = method(np.array(sizes, np.int64), 30)
        filled = np.bincount(bins, sizes, len(rooms)) if sizes else np.empty(0)
        assert sorted(30 - filled) == sorted(rooms)


@given(st.lists(st.integers(1, 30), max_size=80))
def test_like_sizes_are_together(given: list[int]) -> None:
    sizes = np.array(sorted(given, reverse=True), np.int64)
    bins = like_sizes(sizes, 30)
    for number in np.unique(bins).tolist():
        mine = sizes[bins == number]
        assert len(mine) * mine.max() <= 30
    assert (np.diff(bins) >= 0).all()


@given(lengths, st.sampled_from(METHODS), st.sampled_from(LONG), st.integers(2, 64), st.integers(0, 2**40))
def test_every_token_is_in_one_bin(given: list[int], method: Any, long: Any, to: int, key: int) -> None:
    rule = Pack("tokens", to=to, method=method, long=long)
    pieces = cut(np.array(given, np.int64), rule)
    made = arrange(pieces, *fit(pieces, rule), rule, key)
    seen = {document: np.zeros(length, np.int64) for document, length in enumerate(given)}
    num_bins = len(made.borders) - 1
    for number in range(num_bins):
        documents, starts, sizes = made.bin(number)
        assert 0 < sizes.sum() <= to
        for document, start, size in zip(documents.tolist(), starts.tolist(), sizes.tolist(), strict=True):
            seen[document][start : start + size] += 1
            assert number in made.bins_of(document)
    for document, length in enumerate(given):
        served = {"split": length, "truncate": min(length, to), "drop": length if length <= to else 0}[long]
        assert seen[document].tolist() == [1] * served + [0] * (length - served)
        assert len(made.bins_of(document)) <= num_bins
    if method == "concat":
        assert num_bins == -(-int(pieces.lengths.sum()) // to)


@given(lengths, st.sampled_from(METHODS), st.integers(2, 64))
def test_plans_are_kept(given: list[int], method: Any, to: int) -> None:
    rule = Pack("tokens", to=to, method=method)
    shards = [np.array(given[:20], np.int64), np.array(given[20:], np.int64)]
    file = io.BytesIO()
    write_plan(file, np.array([1 << 26] * 2), shards, rule, "a name")
    plan = PlanFile(file.getvalue())
    assert (plan.name, plan.reach) == ("a name", None)
    for number, shard in enumerate(shards):
        assert plan.lengths(number).tolist() == shard.tolist()
        slots, counts = fit(cut(shard, rule), rule)
        assert [part.tolist() for part in plan.slots(number)] == [slots.tolist(), counts.tolist()]
    with pytest.raises(ValueError, match="no plan"):
        PlanFile(file.getvalue()[:-3])


@given(st.lists(st.tuples(st.integers(0, 1 << 27), st.integers(0, 1200)), max_size=20), st.sampled_from(METHODS))
def test_small_neighbours_are_together(shards: list[tuple[int, int]], method: Any) -> None:
    """In order, each once; together no larger than one shard; and what is large, or fills many bins, is alone."""
    rule = Pack("tokens", to=8, method=method)
    sizes = np.array([size for size, _ in shards], np.int64)
    lengths = [np.full(count, 4) + number for number, (_, count) in enumerate(shards)]
    found = list(groups(sizes, lengths, rule))
    assert sum(together for together, _ in found) == len(shards)
    assert [n for _, some in found for n in some.tolist()] == [n for some in lengths for n in some.tolist()]
    at = 0
    for together, _ in found:
        here = slice(at, at + together)
        at += together
        full = [float(some.sum()) / 8 for some in lengths[here]]
        if together > 1:
            assert int(sizes[here].sum()) <= 1 << 26
            assert max(full) < 512
            assert sum(full[:-1]) < 512
        elif at < len(shards) and full[0] < 512:  # the next one did not fit
            assert sizes[at - 1 : at + 1].sum() > 1 << 26 or float(lengths[at].sum()) / 8 >= 512


def test_a_plan_of_groups() -> None:
    rule = Pack("tokens", to=32)
    shards = [np.array([9, 9]), np.empty(0, np.int64), np.array([5, 40, 12]), np.full(600, 31), np.array([3])]
    file = io.BytesIO()
    write_plan(file, np.array([1, 1, 1, 1, 1]), shards, rule, "")
    packs = Packs(PlanFile(file.getvalue()), rule, None)
    assert packs.reach is not None
    assert packs.reach.tolist() == [3, 2, 3, 4, 5]
    assert packs.counts.tolist() == [3, 0, 0, 600, 1]
    assert [packs.first_of(shard) for shard in range(5)] == [0, 0, 0, 3, 4]
    held = [packs.documents(0, number, (1, 2, 0))[0] for number in range(3)]
    assert sorted(np.concatenate(held).tolist()) == [0, 1, 2, 3, 3, 4]
    assert packs.num_tokens == sum(int(some.sum()) for some in shards)


def test_others_share_a_bin_in_every_epoch() -> None:
    rule = Pack("tokens", to=512)
    pieces = cut(np.random.default_rng(1).integers(20, 60, 2000), rule)
    slots = fit(pieces, rule)
    first, second = (arrange(pieces, *slots, rule, key) for key in (1, 2))
    assert np.array_equal(first.borders, second.borders)
    together = [
        {frozenset((a, b)) for n in range(100) for a in made.bin(n)[0].tolist() for b in made.bin(n)[0].tolist()}
        for made in (first, second)
    ]
    assert len(together[0] & together[1]) < 0.6 * len(together[0])


def test_golden() -> None:
    """Which documents share a bin is for ever: these numbers never change."""
    rule = Pack("tokens", to=32)
    pieces = cut(np.array([5, 40, 12, 9, 31, 5, 5, 12, 20, 3]), rule)
    slots, counts = fit(pieces, rule)
    assert (slots.tolist(), counts.tolist()) == ([0, 1, 2, 3, 4, 5, 6, 10, 7, 8, 9], [1, 1, 2, 4, 3])
    assert arrange(pieces, slots, counts, rule, 7).order.tolist() == [1, 5, 9, 8, 3, 4, 2, 10, 0, 6, 7]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Pack("", to=8), "name of a column"),
        (lambda: Pack("x", to=1), "at least 2"),
        (lambda: Pack("x", to=8, method="best"), "method=...\\) is one of 'best_fit'"),  # pyright: ignore[reportArgumentType]
        (lambda: Pack("x", to=8, long="cut"), "long=...\\) is one of"),  # pyright: ignore[reportArgumentType]
        (lambda: Pack("x", to=8, emit=("labls",)), "emit=...\\) is one of"),  # pyright: ignore[reportArgumentType]
        (lambda: Pack("x", to=8, emit="labels"), "emit=\\('labels',\\)|is one of"),  # pyright: ignore[reportArgumentType]
        (lambda: Pack(("x", "labels"), to=8), "would replace the column 'labels'"),
        (lambda: Pack("x", to=8, dtype="tokens"), "no type of numbers"),
        (lambda: Bucket("", 3), "side column"),
        (lambda: Bucket("x", 0), "more than 0"),
        (lambda: Bucket("x", 3, pad_to=4), "no sample fits"),
        (lambda: cut(np.array([3, 9]), Pack("x", to=8, long="raise")), "Document 1 has 9 tokens"),
        (lambda: cut(np.array([3, 9]), Bucket("x", 8)), "Sample 1 of length 9 does not fit"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()
