"""Bins of documents: what packing makes of a dataset, and which documents one of its samples holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from starlette.requests import Request

from streaming.cli.serving.catalog import Catalog, Opened
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.packing.options import Pack

__all__ = ["METHODS", "Bins", "number", "pack_of", "parameters_of", "tokens_of"]

METHODS = ("best_fit", "first_fit", "concat")
_MOST_TO = 1 << 20
#: Encodings of whole numbers in a row, as many as there are.
_TOKENS = re.compile(r"ndarray(:u?int\d+(:\d+)?)?\??")
_MOST_DOCUMENTS = 200
_MOST_TOKENS = 256
#: Without a side column of lengths, documents of no more bytes are measured.
_MOST_MEASURED = 4 << 30


class Bins:
    """Makes the page of a bin.

    Args:
        catalog: What is shown.
        decode: From token ids to text, if a tokenizer was given.
    """

    def __init__(self, catalog: Catalog, decode: Callable[[Sequence[int]], str] | None) -> None:
        self._catalog, self._decode = catalog, decode

    def bin(self, request: Request) -> dict[str, Any]:
        """Show the documents of a bin, with their first tokens.

        Raises:
            ConfigError: Nobody says how bins are made, or it cannot be.
            ObjectNotFoundError: There is no such bin.
        """
        opened = self._catalog.open(request.query_params.get("d", ""))
        pack = pack_of(opened, request)
        if pack is None:
            raise ConfigError("Say how many tokens a bin holds: the page of the order asks for it.")
        epoch, seed = number(request, "epoch", 0, 10**6), number(request, "seed", 9176, 2**31)
        dataset = opened.ordered(batch_size=1, shuffle=True, shuffle_seed=seed, pack=pack)
        at = number(request, "b", 0, 10**12)
        if at >= dataset.size:
            raise ObjectNotFoundError(f"There is no bin {at:,}; there are {dataset.size:,}.")
        held = dataset.documents(at, epoch=epoch)
        ids = held.ids[:_MOST_DOCUMENTS].tolist()
        samples = opened.samples(ids)
        rows = [
            (document, start, length, self._text(sample.get(pack.columns[0]), start, length))
            for document, start, length, sample in zip(
                ids, held.starts.tolist(), held.lengths.tolist(), samples, strict=False
            )
        ]
        return {
            "opened": opened, "pack": pack, "number": at, "count": dataset.size, "rows": rows, "documents": len(held.ids),
            "tokens": int(held.lengths.sum()), "epoch": epoch,
            "base": {**parameters_of(pack), "d": opened.name, "epoch": epoch, "seed": seed},
        }  # fmt: skip

    def _text(self, tokens: Any, start: int, length: int) -> str:
        if not isinstance(tokens, np.ndarray):
            return ""
        shown = tokens[start : start + min(length, _MOST_TOKENS)].tolist()
        text = self._decode(shown) if self._decode is not None else " ".join(map(str, shown))
        return text + (" …" if length > _MOST_TOKENS else "")


def tokens_of(opened: Opened) -> list[str]:
    """Return the columns that may hold tokens."""
    return [name for name in opened.columns if _TOKENS.fullmatch(opened.encodings[name])]


def pack_of(opened: Opened, request: Request) -> Pack | None:
    """Return how a request wants bins to be made, ``None`` if it does not.

    Raises:
        ConfigError: It cannot be, or only by reading very much.
    """
    to = number(request, "pack", 0, _MOST_TO)
    if not to:
        return None
    method, known = request.query_params.get("method") or METHODS[0], tokens_of(opened)
    tokens = request.query_params.get("tokens") or next(iter(known), "")
    if tokens not in known or method not in METHODS:
        raise ConfigError(
            f"Bins are made of a column of arrays, by {', '.join(METHODS)}; {tokens!r} is no such column."
        )
    measured = opened.side is None or f"len_{tokens}" not in opened.side.names
    if measured and opened.facts["raw_bytes"] > _MOST_MEASURED:
        raise ConfigError(
            f"The lengths of documents are not known. Write them beside the dataset first: `streaming index "
            f"{opened.source.name} --beside --columns len_{tokens}`."
        )
    return Pack(tokens=tokens, to=to, method=method, emit=())


def parameters_of(pack: Pack | None) -> dict[str, str | int]:
    """Return what an address says of bins."""
    return {} if pack is None else {"pack": pack.to, "tokens": pack.columns[0], "method": pack.method}


def number(request: Request, name: str, default: int, most: int, least: int = 0) -> int:
    """Return a whole number of a request.

    Args:
        request: The request.
        name: Of its parameter.
        default: The number where it says none.
        most: The largest.
        least: The smallest.

    Raises:
        ConfigError: It is another, or none.
    """
    text = request.query_params.get(name, "").replace(",", "").replace("_", "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and least <= int(text) <= most):
        raise ConfigError(f"{name} is a whole number from {least} to {most:,}; {text[:40]!r} is not.")
    return int(text)
