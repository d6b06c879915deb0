"""C4: the Colossal, Cleaned, Common Crawl corpus."""

from __future__ import annotations

from streaming.text.tokenized import TokenizedTextDataset

__all__ = ["StreamingC4"]


class StreamingC4(TokenizedTextDataset):
    """C4, tokenized. Arguments as :class:`streaming.text.tokenized.TokenizedTextDataset`'s."""
