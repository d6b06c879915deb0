"""A fact that was found, and whether it is well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level"]

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """A fact.

    Attributes:
        topic: What it is about, with others: ``'packages'``.
        name: What it is about itself: ``'numpy'``.
        value: The fact.
        level: ``'warning'``: may be meant; ``'problem'``: something will not work.
        advice: What to do, if it is not well.
    """

    topic: str
    name: str
    value: str
    level: Level = "ok"
    advice: str = ""
