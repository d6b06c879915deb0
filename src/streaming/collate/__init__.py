"""Batches of columns that the default does not take together: images, and arrays of different shapes."""

from __future__ import annotations

from streaming.collate.columns import Columns
from streaming.collate.kinds import Images, Keep, Pad

__all__ = ["Columns", "Images", "Keep", "Pad"]
