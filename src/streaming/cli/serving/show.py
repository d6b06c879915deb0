"""Values as a template can lay them out: bounded, and nothing but text and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from streaming.cli.serving.media import kind_of
from streaming.format.values import is_image, summary

__all__ = ["Shown", "show"]

_BRIEF_CHARS = 400
_LONG_CHARS = 20_000
_MOST_ITEMS = 50
_DEEPEST = 6
_POINTS = 240
_TOKENS = 512


@dataclass(frozen=True)
class Shown:
    """A value.

    Attributes:
        kind: ``'text'``, ``'image'``, ``'audio'``, ``'video'``, ``'array'``, ``'tree'`` or ``'null'``.
        text: What it is in words, or the text itself.
        more: What was left out.
        points: Of an array of numbers, what a plot shows.
        tokens: What a tokenizer makes of it.
        items: Of a tree, names and what they stand for.
    """

    kind: str
    text: str = ""
    more: str = ""
    points: tuple[float, ...] = ()
    tokens: str = ""
    items: tuple[tuple[str, Shown], ...] = ()


def show(value: Any, *, brief: bool, decode: Callable[[Sequence[int]], str] | None = None, depth: int = 0) -> Shown:
    """Return what is to be seen of a value.

    Args:
        value: What a column holds.
        brief: For a table rather than a page.
        decode: From token ids to text, for arrays of them.
        depth: How deep in another value it is.
    """
    if value is None:
        return Shown("null", "None")
    kind = kind_of(value)
    if kind is not None:
        return Shown(
            kind, summary(value) if is_image(value) or isinstance(value, np.ndarray) else f"{len(value):,} bytes"
        )
    if isinstance(value, str):
        most = _BRIEF_CHARS if brief else _LONG_CHARS
        return Shown("text", value[:most], f"{len(value) - most:,} more characters" if len(value) > most else "")
    if isinstance(value, bytes):
        return Shown("text", value[:64].hex(" "), f"{len(value):,} bytes")
    if isinstance(value, np.ndarray):
        return _array(cast("np.ndarray[Any, Any]", value), brief, decode)
    if isinstance(value, (Mapping, list, tuple)):
        return _tree(value, brief, decode, depth)
    is_long = brief and isinstance(value, float)
    return Shown("text", f"{value:.6g}" if is_long else str(value)[:_BRIEF_CHARS])


def _array(array: np.ndarray[Any, Any], brief: bool, decode: Callable[[Sequence[int]], str] | None) -> Shown:
    points: tuple[float, ...] = ()
    if array.dtype.kind in "biuf" and array.size > 1:
        flat = array.ravel()[:: -(-array.size // _POINTS)].astype(np.float64)
        points = tuple(flat[np.isfinite(flat)].tolist())
    tokens = ""
    if decode is not None and array.ndim == 1 and array.dtype.kind in "iu":
        most = _TOKENS // 8 if brief else _TOKENS
        tokens = decode(array[:most].tolist()) + (" …" if array.size > most else "")
    text = f"{array.dtype} {list(array.shape)}" if brief and (points or tokens) else summary(array)
    return Shown("array", text, points=points, tokens=tokens)


def _tree(value: Any, brief: bool, decode: Callable[[Sequence[int]], str] | None, depth: int) -> Shown:
    named = isinstance(value, Mapping)
    pairs = list(cast("Mapping[Any, Any]", value).items() if named else enumerate(cast("Sequence[Any]", value)))
    text = f"{len(pairs):,} {'field' if named else 'item'}{'s' * (len(pairs) != 1)}"
    if depth >= _DEEPEST:
        return Shown("text", f"{text}, not unfolded")
    most = 8 if brief else _MOST_ITEMS
    items = tuple(
        (str(name)[:80], show(item, brief=brief, decode=decode, depth=depth + 1)) for name, item in pairs[:most]
    )
    items = tuple(
        (name, Shown("text", item.text) if item.kind in ("image", "audio", "video") else item) for name, item in items
    )
    return Shown("tree", text, f"{len(pairs) - most:,} more" if len(pairs) > most else "", items=items)
