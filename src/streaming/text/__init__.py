"""Datasets of text."""

from __future__ import annotations

from streaming.text.c4 import StreamingC4
from streaming.text.enwiki import StreamingEnWiki
from streaming.text.pile import StreamingPile

__all__ = ["StreamingC4", "StreamingEnWiki", "StreamingPile"]
