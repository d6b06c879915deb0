"""The Pile."""

from __future__ import annotations

from streaming.text.tokenized import TokenizedTextDataset

__all__ = ["StreamingPile"]


class StreamingPile(TokenizedTextDataset):
    """The Pile, tokenized. Arguments as :class:`streaming.text.tokenized.TokenizedTextDataset`'s."""
