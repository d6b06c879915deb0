"""Rows that are encoded already, by who knows how they are stored."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EncodedRows"]


class EncodedRows(NamedTuple):
    """Samples of a dataset whose columns are known, as they are stored.

    Attributes:
        data: They, one after the other.
        sizes: Bytes of each.
    """

    data: bytes
    sizes: list[int]
