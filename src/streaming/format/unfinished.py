"""What lies in a dataset's directory until its writer has finished."""

from __future__ import annotations

import os

__all__ = ["WORK_NAME", "why_unfinished"]

#: Directory for what is in the making, in the local directory of a dataset.
WORK_NAME = ".streaming-write"


def why_unfinished(directory: str) -> str:
    """Return for people that a directory without an index has an unfinished dataset; ``''`` if it has none."""
    try:
        names = os.listdir(directory)
    except OSError:
        return ""
    if WORK_NAME in names:
        return "A write to it was stopped, or is under way: repeat the call that writes it, and it continues."
    if any(name.startswith("shard.") for name in names):
        return "It has shards: their writer was stopped, or is under way. Write it again, with exist_ok=True."
    return ""
