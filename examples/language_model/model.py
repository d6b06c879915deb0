"""A small transformer whose attention is limited to documents, and three ways to say where they begin and end.

Legend: B samples of a batch, T tokens of a sample, H heads, D width of a head, k documents of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: From queries, keys and values, each ``[B, H, T, D]``, to what is attended, of the same shape.
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


# -- where documents begin and end ---------------------------------------------------------------


def mask_of_documents(doc_ids: Tensor) -> Tensor:
    """Return ``bool[B, T, T]``, whether a token sees another: one of its own document that is not behind it."""
    length = doc_ids.shape[1]
    return (doc_ids[:, :, None] == doc_ids[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()


def mask_of_borders(cu_seqlens: Tensor, shape: torch.Size) -> Tensor:
    """Return the same mask by the borders of documents in a batch of this shape, laid end to end."""
    places = torch.arange(shape.numel())
    return mask_of_documents(torch.searchsorted(cu_seqlens.long(), places, right=True).view(shape))


def masked(mask: Tensor) -> Attention:
    """Return an attention that follows a mask ``bool[B, T, T]``: a plain one, for any hardware."""
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])


def of_variable_length(cu_seqlens: Tensor) -> Attention:
    """Return an attention over one document after the other.

    It computes what ``flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=True)`` does in
    one kernel, of tokens laid end to end: ``[B * T, H, D]``.
    """

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        flat = [x.transpose(1, 2).flatten(0, 1) for x in (q, k, v)]
        parts: list[Tensor] = []
        for begin, end in pairwise(cu_seqlens.tolist()):
            one = [x[begin:end].transpose(0, 1) for x in flat]
            parts.append(F.scaled_dot_product_attention(*one, is_causal=True).transpose(0, 1))
        return torch.cat(parts).unflatten(0, (q.shape[0], q.shape[2])).transpose(1, 2)

    return attend


# -- the model -----------------------------------------------------------------------------------


class Block(nn.Module):
    """Attention and a perceptron, each added to what comes in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor, attend: Attention) -> Tensor:
        """Return ``[B, T, width]``."""
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in self.project(self.before(hidden)).chunk(3, -1)
        )
        hidden = hidden + self.out(attend(q, k, v).transpose(1, 2).flatten(2))
        return hidden + self.perceptron(self.between(hidden))


class Transformer(nn.Module):
    """A decoder: from tokens and their positions in their documents to logits of the next token."""

    def __init__(self, vocabulary: int, context: int, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, vocabulary))

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attention) -> Tensor:
        """Return ``[B, T, vocabulary]``."""
        hidden = self.tokens(tokens) + self.positions(positions)
        for block in self.blocks:
            hidden = block(hidden, attend)
        return self.head(hidden)


def summed_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses of all tokens that have a label, and their number.

    Samples hold different numbers of them. Whoever adds up over micro-batches or ranks adds both, and divides at the end.
    """
    logits, labels = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    return F.cross_entropy(logits, labels, ignore_index=-100, reduction="sum"), (labels != -100).sum()
