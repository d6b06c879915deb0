"""A sample made of documents: tokens end to end, and what tells a model where one ends and the next begins.

Legend: T tokens of a sample, k pieces of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.dataset.packs.bins import Bin, Borders, Longest
from streaming.packing.options import Pack

__all__ = ["pack_documents"]

Ints = NDArray[np.int64]
#: Up to so many borders, filling what is between two at a time costs less than repeating.
_FEW = 16


def pack_documents(rule: Pack, documents: Sequence[Any], starts: Ints, lengths: Ints, expected: Ints) -> Bin:
    """Make a sample.

    Args:
        rule: What it holds.
        documents: The k documents.
        starts: ``int64[k]``, first token of each piece.
        lengths: ``int64[k]``, tokens of each piece.
        expected: ``int64[k]``, tokens of each document by the plan.

    Returns:
        By name: the columns, ``int64[T]`` or of their own floating type, and what ``rule.emit`` says.

    Raises:
        ConfigError: A document is not as long as was planned, or has no such column.
    """
    used = int(lengths.sum())
    sample = Bin()
    for name in rule.columns:
        pieces: list[NDArray[Any]] = []
        for document, start, length, whole in zip(
            documents, starts.tolist(), lengths.tolist(), expected.tolist(), strict=True
        ):
            values = _values(document, name, rule)
            if len(values) != whole:
                raise ConfigError(
                    f"A document has {len(values)} values in {name!r}, where {whole} were planned. Give lengths that are "
                    "true of what is served: dataset.pack(Pack(...), lengths=dataset.measure(...)), or make the side column "
                    "anew."
                )
            pieces.append(values[start : start + length])
        kind = np.result_type(*pieces) if pieces else np.dtype(np.int64)
        filler = rule.pad if name == rule.columns[0] else 0
        whole_ = np.empty(rule.to, kind if kind.kind == "f" else np.int64)
        whole_[used:] = filler
        np.concatenate(pieces, out=whole_[:used], casting="unsafe")
        sample[name] = whole_
    # Where each piece begins, where what fills the rest does, and the end.
    borders = np.empty(len(lengths) + 2, np.int64)
    borders[0], borders[-1] = 0, rule.to
    np.cumsum(lengths, out=borders[1:-1])
    for name in rule.emit:
        sample[name] = _EMIT[name](sample[rule.columns[0]], borders, used)
    return sample


def _values(document: Any, name: str, rule: Pack) -> NDArray[Any]:
    try:
        found = document[name]
    except (KeyError, TypeError, IndexError):
        has = (
            f"it has {', '.join(map(repr, document))}"
            if isinstance(document, dict)
            else f"it is {type(document).__name__}"
        )
        raise ConfigError(f"Pack(tokens={rule.tokens!r}): a document has no {name!r}; {has}.") from None
    if isinstance(found, (bytes, bytearray, memoryview)):
        if rule.dtype is None:
            raise ConfigError(
                f"{name!r} holds plain bytes: say of what type its tokens are, as in Pack(dtype='uint16')."
            )
        return np.frombuffer(found, rule.dtype)
    if isinstance(found, str):
        raise ConfigError(
            f"{name!r} holds text, and what is packed are tokens: have them written, by `tokenizer` of streaming.convert, "
            "or made, by dataset.map(fn).pack(rule, lengths=...)."
        )
    values = found.numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    if values.ndim != 1 or values.dtype.kind not in "iufb":
        raise ConfigError(
            f"{name!r} must hold numbers along one axis to be packed; got {values.dtype}{list(values.shape)}."
        )
    return values


@lru_cache(maxsize=8)
def _every(count: int) -> Ints:
    """Return the numbers below one, which are not to be written to."""
    every = np.arange(count)
    every.flags.writeable = False
    return every


def _position_ids(tokens: Ints, borders: Ints, used: int) -> Ints:
    every = _every(len(tokens))
    if len(borders) > _FEW:
        return every - np.repeat(borders[:-1], np.diff(borders))
    ids = np.empty(len(tokens), np.int64)
    for begin, end in pairwise(borders.tolist()):
        ids[begin:end] = every[: end - begin]
    return ids


def _doc_ids(tokens: Ints, borders: Ints, used: int) -> Ints:
    if len(borders) > _FEW:
        ids = np.repeat(_every(len(borders) - 1), np.diff(borders))
    else:
        ids = np.empty(len(tokens), np.int64)
        for number, (begin, end) in enumerate(pairwise(borders.tolist())):
            ids[begin:end] = number
    ids[used:] = -1
    return ids


def _labels(tokens: Ints, borders: Ints, used: int) -> Ints:
    labels = tokens.copy()
    labels[used:] = -100
    labels[borders[:-2]] = -100
    return labels


def _attention_mask(tokens: Ints, borders: Ints, used: int) -> Ints:
    return (_every(len(tokens)) < used).astype(np.int64)


def _cu_seqlens(tokens: Ints, borders: Ints, used: int) -> Borders:
    return borders[: len(borders) - (used == len(tokens))].astype(np.int32).view(Borders)


def _max_seqlen(tokens: Ints, borders: Ints, used: int) -> Longest:
    return Longest(int(np.diff(borders).max(initial=0)))


_EMIT: dict[str, Callable[[Ints, Ints, int], Any]] = {
    "position_ids": _position_ids,
    "doc_ids": _doc_ids,
    "labels": _labels,
    "attention_mask": _attention_mask,
    "cu_seqlens": _cu_seqlens,
    "max_seqlen": _max_seqlen,
}
