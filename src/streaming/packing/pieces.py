"""What documents are cut into, and which piece is where in an epoch.

Legend: D documents of a shard, P pieces, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.lanes.keys import GOLDEN, mix64
from streaming.packing.fitting import best_fit, first_fit, like_sizes
from streaming.packing.options import Bucket, Pack

__all__ = ["Arrangement", "Pieces", "arrange", "cut", "fit"]

Ints = NDArray[np.int64]

_FITS = {"best_fit": best_fit, "first_fit": first_fit}


@dataclass(frozen=True)
class Pieces:
    """Documents, or parts of them.

    Attributes:
        documents: ``int64[P]``, places in the shard, ascending.
        starts: ``int64[P]``, first token.
        lengths: ``int64[P]``, tokens.
        sizes: ``int64[P]``, lengths in quanta, rounded up.
    """

    documents: Ints
    starts: Ints
    lengths: Ints
    sizes: Ints


@dataclass(frozen=True)
class Arrangement:
    """Which pieces are in which bin of a shard, in one epoch.

    Attributes:
        pieces: The pieces.
        order: ``int64[P]``, numbers of pieces, bin after bin.
        borders: ``int64[B + 1]``, where in ``order`` each bin begins; of bins that cut pieces, in tokens.
        tokens: Tokens of a bin that cuts pieces, 0 where they stay whole.
    """

    pieces: Pieces
    order: Ints
    borders: Ints
    tokens: int = 0

    def bin(self, number: int) -> tuple[Ints, Ints, Ints]:
        """Return documents, first tokens and lengths of what is in a bin, ``int64[k]`` each."""
        begin, end = int(self.borders[number]), int(self.borders[number + 1])
        if not self.tokens:
            some = self.order[begin:end]
            return self.pieces.documents[some], self.pieces.starts[some], self.pieces.lengths[some]
        first, last = np.searchsorted(self._ends, begin, "right"), np.searchsorted(self._ends, end, "left") + 1
        some = self.order[first:last]
        lengths = self.pieces.lengths[some]
        places = self._ends[first:last] - lengths
        low, high = np.maximum(places, begin), np.minimum(places + lengths, end)
        return self.pieces.documents[some], self.pieces.starts[some] + low - places, high - low

    @cached_property
    def _ends(self) -> Ints:
        """Tokens up to the end of each piece in order."""
        return np.cumsum(self.pieces.lengths[self.order])

    def bins_of(self, document: int) -> list[int]:
        """Return the bins that have anything of a document, ascending."""
        mine = np.flatnonzero(self.pieces.documents[self.order] == document)
        if not self.tokens:
            return np.unique(np.searchsorted(self.borders, mine, "right") - 1).tolist()
        found: set[int] = set()
        for at in mine.tolist():
            end = int(self._ends[at])
            begin = end - int(self.pieces.lengths[self.order[at]])
            found |= set(range(begin // self.tokens, (end - 1) // self.tokens + 1))
        return sorted(found)


def cut(lengths: NDArray[np.generic], rule: Pack | Bucket, first_id: int = 0) -> Pieces:
    """Cut the documents of a shard to what fits into a bin.

    Args:
        lengths: ``[D]``, of each document.
        rule: How.
        first_id: Id of the first document, for error texts.

    Raises:
        ConfigError: One is too long, and the rule says that this is an error.
    """
    every = np.arange(len(lengths))
    if isinstance(rule, Bucket):
        sizes = np.ceil(lengths.astype(np.float64) / rule.pad_to).astype(np.int64)
        sizes = np.maximum(sizes, 1)
        if len(sizes) and int(sizes.max()) > rule.capacity:
            at = int(sizes.argmax())
            raise ConfigError(
                f"Sample {first_id + at} of length {lengths[at]} does not fit into a batch of Bucket(budget={rule.budget}, "
                f"pad_to={rule.pad_to}). Raise budget, "
                f"or leave such samples out: filter('{rule.length} <= {rule.capacity * rule.pad_to:g}')."
            )
        return Pieces(every, np.zeros(len(every), np.int64), np.ones(len(every), np.int64), sizes)
    tokens = lengths.astype(np.int64)
    longest, shortest = (int(tokens.max()), int(tokens.min())) if len(tokens) else (0, 1)
    if longest <= rule.to and shortest > 0:  # the usual case, where nothing is to be cut or left out
        return Pieces(every, np.zeros(len(every), np.int64), tokens, _quanta(tokens, rule))
    if rule.long == "raise" and longest > rule.to:
        at = int(tokens.argmax())
        raise ConfigError(
            f"Document {first_id + at} has {tokens[at]} tokens, and Pack(long='raise') takes at most to={rule.to}. Cut "
            "such documents by long='split' or 'truncate', or leave them out by long='drop'."
        )
    if rule.long == "truncate":
        tokens = np.minimum(tokens, rule.to)
    kept = (tokens > 0) & ((tokens <= rule.to) | (rule.long != "drop"))
    every, tokens = every[kept], tokens[kept]
    numbers = np.ones(len(tokens), np.int64)
    if rule.method != "concat":
        long = np.flatnonzero(tokens > rule.to)
        numbers[long] = -(-tokens[long] // rule.to)
    documents = np.repeat(every, numbers)
    part = np.arange(len(documents)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    starts = part * rule.to
    pieces = np.repeat(tokens, numbers) - starts
    if rule.method != "concat":
        pieces = np.minimum(pieces, rule.to)
    return Pieces(documents, starts, pieces, _quanta(pieces, rule))


def _quanta(lengths: Ints, rule: Pack) -> Ints:
    """Return lengths in quanta, rounded up."""
    return np.minimum((lengths + (rule.quantum - 1)) // rule.quantum, rule.capacity)


def fit(pieces: Pieces, rule: Pack | Bucket) -> tuple[Ints, Ints]:
    """Put the pieces of a shard into bins, by their sizes alone.

    Returns:
        ``int64[P]``, slots, numbered from large to small, bin after bin; and ``int64[B]``, how many each bin has. Both are
        empty for bins that cut pieces.
    """
    if isinstance(rule, Pack) and rule.method == "concat":
        return np.empty(0, np.int64), np.empty(0, np.int64)
    put = like_sizes if isinstance(rule, Bucket) else _FITS[rule.method]
    bins = put(np.sort(pieces.sizes)[::-1], rule.capacity)
    return np.argsort(bins, kind="stable"), np.bincount(bins)


def arrange(pieces: Pieces, slots: Ints, counts: Ints, rule: Pack | Bucket, key: int) -> Arrangement:
    """Put pieces into their places.

    Pieces of one size are dealt over the slots of that size in an order that the key gives.

    Args:
        pieces: The pieces of a shard.
        slots: ``int64[P]``, bin after bin; see :func:`fit`.
        counts: ``int64[B]``, slots of each bin.
        rule: How they were fitted.
        key: Names the order.
    """
    words = np.arange(len(pieces.sizes), dtype=np.uint64) * np.uint64(GOLDEN)
    words = mix64(words + np.uint64(key))
    if isinstance(rule, Pack) and rule.method == "concat":
        total = int(pieces.lengths.sum())
        borders = np.minimum(np.arange(-(-total // rule.to) + 1) * rule.to, total)
        return Arrangement(pieces, _ascending(words), borders, rule.to)
    # From large to small, in one sort: sizes are small numbers.
    shift = int(pieces.sizes.max(initial=1)).bit_length()
    words >>= np.uint64(shift)
    words |= ((1 << shift) - 1 - pieces.sizes).astype(np.uint64) << np.uint64(64 - shift)
    borders = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Arrangement(pieces, _ascending(words)[slots], borders)


def _ascending(words: NDArray[np.uint64]) -> Ints:
    """Return ``np.argsort(words, kind="stable")`` of random numbers, in a third of the time."""
    # Numbers alone are sorted much faster than their places are. So the last bits of each are its place.
    shift = len(words).bit_length()
    last = np.uint64((1 << shift) - 1)
    places = np.arange(len(words), dtype=np.uint64)
    sorted_ = np.sort((words & ~last) | places)
    first = sorted_ >> np.uint64(shift)
    if (first[1:] == first[:-1]).any():  # these bits decide, which they do but once in a million times
        return np.argsort(words, kind="stable")
    return (sorted_ & last).view(np.int64)
