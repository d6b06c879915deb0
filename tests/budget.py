"""How much the tests try: little in ``make test``, much in ``make test-long``.

Hypothesis's profile says which, ``any-machine`` or ``long``. The budgets of tests follow it.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

__all__ = ["register_profiles", "repetitions", "share"]

_EXAMPLES = {"any-machine": 40, "long": 1000}


def register_profiles() -> None:
    """Make the profiles known and the small one the default. How long an example takes is the machine's affair."""
    for name, examples in _EXAMPLES.items():
        settings.register_profile(name, deadline=None, max_examples=examples)
    settings.load_profile("any-machine")


def share(part: float, **more: Any) -> settings:
    """Return settings with this part of the profile's number of examples."""
    return settings(max_examples=max(1, round(part * settings.default.max_examples)), **more)


def repetitions(variable: str, few: int, many: int) -> int:
    """Return how often to repeat something that is random: what the environment says, or else the profile."""
    usual = few if settings.default.max_examples == _EXAMPLES["any-machine"] else many
    return int(os.environ.get(variable, usual))
