"""What users say of packing: :class:`Pack` and :class:`Bucket`, checked when they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from streaming.core.arguments import as_integer, as_number, as_text
from streaming.core.errors import ConfigError

__all__ = ["Bucket", "Emitted", "Pack", "PackMethod", "one_rule"]

PackMethod = Literal["best_fit", "first_fit", "concat"]
"""How documents are put into bins."""

Emitted = Literal["position_ids", "cu_seqlens", "max_seqlen", "doc_ids", "labels", "attention_mask"]
"""What a packed sample may hold besides the tokens."""

_METHODS = ("best_fit", "first_fit", "concat")
_LONG = ("split", "truncate", "drop", "raise")
_EMITTED = ("position_ids", "cu_seqlens", "max_seqlen", "doc_ids", "labels", "attention_mask")
#: Lengths are told apart in so many steps, if there are as many: documents of one step take each other's places in turn.
_STEPS = 512


@dataclass(frozen=True)
class Pack:
    """Documents laid end to end in samples of ``to`` tokens, each document's attention limited to itself.

    Which documents share a bin is planned inside each shard, from their lengths alone: so the number of bins is known, an
    epoch begins anywhere at once, and a checkpoint is one position. In every epoch, documents of like length change places.

    Legend: T tokens of a sample (``to``).

    Args:
        tokens: Column of token ids, one-dimensional; or several columns with a value a token each (``('input_ids',
            'loss_mask')``), of which the first has the ids. Other columns are left out.
        to: Tokens of a bin.
        method: ``'best_fit'``: documents stay whole, each where the least room is left that suffices (best fit
            decreasing); ``'first_fit'``: in the first bin that has room; ``'concat'``: all documents of a shard are one
            text, cut into bins, so that all but the last are full.
        long: What becomes of a document of more tokens than ``to``, unless the method is ``'concat'``, which cuts anyway:
            ``'split'``: it is cut into pieces of ``to``, each a document of its own; ``'truncate'``: its first ``to`` tokens
            are kept, the rest is never served; ``'drop'``: it is not served; ``'raise'``: an error names it.
        emit: What a sample holds besides the tokens: ``'position_ids'``, ``int64[T]``, from 0 in each document;
            ``'doc_ids'``, ``int64[T]``, number of the document in the bin, -1 for padding; ``'labels'``, ``int64[T]``, the
            tokens, -100 where there is nothing to predict from (the first token of each piece, and padding), for models
            that shift them; ``'attention_mask'``, ``int64[T]``, 1 for a token, 0 for padding; ``'cu_seqlens'``, where
            documents begin and end in a batch laid end to end, ``int32[documents + 1]``, padding counting as one; and
            ``'max_seqlen'``, the longest, one number a batch, both for FlashAttention's functions of variable length.
        pad: Token that fills what is left of a bin; further columns get 0.
        lengths: Side column with the number of tokens of each document. Default: ``len_`` and the column's name, if there is
            such a side column; else they are read from the shards' offsets, where these tell, or measured by reading all
            shards once, and kept.
        dtype: Type of the tokens in columns of plain bytes, such as ``'uint16'``.

    Raises:
        ConfigError: An argument is none of these.

    Example:
        >>> dataset = StreamingDataset(local='tokens', batch_size=2, pack=Pack(tokens='input_ids', to=32))
        >>> batch = next(iter(StreamingDataLoader(dataset, batch_size=2)))
        >>> batch['input_ids'].shape, int(batch['cu_seqlens'][-1])
        (torch.Size([2, 32]), 64)
    """

    tokens: str | Sequence[str]
    to: int
    method: PackMethod = "best_fit"
    long: Literal["split", "truncate", "drop", "raise"] = "split"
    emit: Sequence[Emitted] = ("position_ids", "cu_seqlens", "doc_ids", "labels")
    pad: int = 0
    lengths: str | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        """Check every argument."""
        names: Any = self.tokens
        if not isinstance(names, Sequence) or not names or not all(isinstance(n, str) and n for n in self.columns):  # pyright: ignore[reportUnnecessaryIsInstance, reportUnknownArgumentType]
            raise ConfigError(f"Pack(tokens=...) is the name of a column, or several, got {self.tokens!r}.")
        as_integer("to", self.to, 2)
        as_integer("pad", self.pad)
        _one_of("method", self.method, _METHODS)
        _one_of("long", self.long, _LONG)
        if isinstance(self.emit, str) or not isinstance(self.emit, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Pack(emit=...) is a tuple of names, such as emit=('labels',); got {self.emit!r}.")
        for name in self.emit:
            _one_of("emit", name, _EMITTED)
        if self.lengths is not None:
            as_text("lengths", self.lengths)
        if self.dtype is not None:
            _check_dtype(self.dtype)
        taken = set(self.emit) & set(self.columns)
        if taken:
            raise ConfigError(f"Pack(emit=...) would replace the column {sorted(taken)[0]!r}. Leave it out of emit.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns with a value a token."""
        return (self.tokens,) if isinstance(self.tokens, str) else tuple(self.tokens)

    @property
    def quantum(self) -> int:
        """How many tokens apart documents are of different length."""
        return 1 if self.method == "concat" else max(1, self.to // _STEPS)

    @property
    def capacity(self) -> int:
        """Of a bin, in quanta."""
        return self.to // self.quantum

    @property
    def rule(self) -> str:
        """What the bins depend on, besides the lengths."""
        return f"{self.method}|{self.to}|{self.long}|{self.quantum}"


@dataclass(frozen=True)
class Bucket:
    """Batches of samples of like length, as many as a budget allows.

    A batch is a unit: a dataset with buckets serves lists of samples, for a ``DataLoader`` with ``batch_size=None``; its own
    ``batch_size`` is 1. Every rank gets as many batches. In every epoch, samples of like length change places.

    Args:
        length: Side column with each sample's length: seconds, frames, tokens.
        budget: What a batch may hold: its number of samples times the longest of them, rounded up.
        pad_to: Lengths are rounded up to multiples of this, and samples are told apart by no less.

    Raises:
        ConfigError: An argument is none of these.

    Example:
        >>> dataset = StreamingDataset(local='patients', batch_size=1, bucket=Bucket(length='age', budget=200, pad_to=10))
        >>> all(len(batch) * max(one['age'] for one in batch) <= 200 for batch in dataset)
        True
    """

    length: str
    budget: float
    pad_to: float = 1

    def __post_init__(self) -> None:
        """Check every argument."""
        if not isinstance(self.length, str) or not self.length:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Bucket(length=...) is the name of a side column, got {self.length!r}.")
        for name, value in (("budget", self.budget), ("pad_to", self.pad_to)):
            if not as_number(name, value) > 0:
                raise ConfigError(f"Bucket({name}=...) must be more than 0, got {value!r}.")
        if self.budget < self.pad_to:
            raise ConfigError(f"Bucket(budget={self.budget}) is less than pad_to={self.pad_to}: no sample fits.")

    @property
    def capacity(self) -> int:
        """Of a batch, in steps of ``pad_to``."""
        return int(self.budget / self.pad_to)

    @property
    def rule(self) -> str:
        """What the batches depend on, besides the lengths."""
        return f"bucket|{self.budget}|{self.pad_to}"


def _check_dtype(dtype: str) -> None:
    try:
        kind = np.dtype(dtype).kind
    except TypeError:
        kind = ""
    if kind not in "iuf" or not kind:
        raise ConfigError(f"Pack(dtype={dtype!r}) is no type of numbers; 'uint16' is one.")


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if as_text(f"Pack({name}=...)", value) not in known:
        raise ConfigError(f"Pack({name}=...) is one of {', '.join(map(repr, known))}; got {value!r}.")


def one_rule(pack: Pack | None, bucket: Bucket | None, batch_size: int | None) -> Pack | Bucket:
    """Return the one that was given.

    Raises:
        ConfigError: Both were; it is something else; or there are several batches in a batch.
    """
    if pack is not None and bucket is not None:
        raise ConfigError("Give pack or bucket, not both: a bin is no sample of a batch of like lengths.")
    if bucket is not None and batch_size not in (None, 1):
        raise ConfigError(f"With bucket, each sample is a batch of its own: batch_size is 1, got {batch_size}.")
    rule = pack if bucket is None else bucket
    if not isinstance(rule, (Pack, Bucket)):
        raise ConfigError(f"pack is a streaming.Pack and bucket a streaming.Bucket, got {rule!r}.")
    return rule
