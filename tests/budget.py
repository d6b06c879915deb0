"""How much the tests try: little in ``make test``, much in ``make test-long``.

Hypothesis's profile says which, ``any-machine`` or ``long``. The budgets of tests follow it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import settings

__all__ = ["pairings", "register_profiles", "repetitions", "share"]

_EXAMPLES = {"any-machine": 40, "long": 1000}


def register_profiles() -> None:
    """Make the profiles known and the small one the default: the same examples every time, where the long one tries others.

    How long an example takes is the machine's affair.
    """
    for name, examples in _EXAMPLES.items():
        settings.register_profile(name, deadline=None, max_examples=examples, derandomize=name == "any-machine")
    settings.load_profile("any-machine")


def share(part: float, **more: Any) -> settings:
    """Return settings with this part of the profile's number of examples."""
    return settings(max_examples=max(1, round(part * settings.default.max_examples)), **more)


def repetitions(variable: str, few: int, many: int) -> int:
    """Return how often to repeat something that is random: what the environment says, or else the profile."""
    usual = few if settings.default.max_examples == _EXAMPLES["any-machine"] else many
    return int(os.environ.get(variable, usual))


def pairings(*values: Sequence[Any]) -> list[Any]:
    """Return every combination of the values, as parameters of a test.

    In the short run are as many as it takes for any two values to meet; the others are marked ``long``.

    Example:
        >>> @pytest.mark.parametrize(("start", "workers"), pairings(["fork", "spawn"], [0, 2]))
    """
    rows = list(product(*(range(len(choice)) for choice in values)))
    left = {pair for row in rows for pair in _pairs(row)}
    params: dict[tuple[int, ...], Any] = {}
    while rows:
        row = max(rows, key=lambda row: len(left & _pairs(row)))  # the first of the best
        marks = () if left & _pairs(row) else (pytest.mark.long,)
        params[row] = pytest.param(*(choice[at] for choice, at in zip(values, row, strict=True)), marks=marks)
        left -= _pairs(row)
        rows.remove(row)
    return [params[row] for row in sorted(params)]


def _pairs(row: tuple[int, ...]) -> set[Any]:
    return set(combinations(enumerate(row), 2))
