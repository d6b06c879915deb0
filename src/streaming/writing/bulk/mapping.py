"""A user's function over inputs: what runs in the worker processes of a bulk write that has one."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from reprlib import Repr
from traceback import format_exc
from typing import Any, cast

import numpy as np

from streaming.core.errors import ConfigError, InputError, SampleError, ShardTooLargeError
from streaming.format.codecs.hashing import get_hash
from streaming.writing.bulk.journal import fingerprint
from streaming.writing.bulk.recipe import Piece, Recipe, join_samples
from streaming.writing.rows.infer import infer_columns
from streaming.writing.rows.inputs import made_rows
from streaming.writing.rows.snapshot import check_fit, snapshot

__all__ = ["Function", "Part", "identity", "infer_from", "map_inputs"]

_PART_BYTES = 1 << 20
_MOST_SAMPLES = 4096

Function = Callable[[Any], Any]

_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 200


@dataclass
class Part:
    """Some of the samples made of some inputs, in order.

    Attributes:
        samples: They, encoded.
        places: Of each, the number of its input and its number among what was made of that.
        skipped: What was left out: how many samples of this part came before it, number of the input, how that looks,
            and why.
        unknown: Keys of a row that are no columns, and how many samples of this part came before it.
        inputs: Inputs that ended in this part.
        seconds: What it took to make.
        bytes: Size of the samples.
        is_last: Whether all inputs that were given together have ended.
    """

    samples: list[bytes] = field(default_factory=list[bytes])
    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    skipped: list[tuple[int, int, str, str]] = field(default_factory=list[tuple[int, int, str, str]])
    unknown: tuple[int, list[str]] | None = None
    inputs: int = 0
    seconds: float = 0.0
    bytes: int = 0
    is_last: bool = False

    def joined(self) -> Piece:
        """Return the samples as one piece."""
        return join_samples(self.samples)


def map_inputs(
    function: Function,
    recipe: Recipe,
    first: int,
    items: Sequence[bytes],
    after: tuple[int, str] | None,
    skips: bool,
) -> Iterator[Part]:
    """Yield what a function makes of inputs, encoded, some at a time.

    Args:
        function: Makes of an input a row, ``None``, or many rows.
        recipe: How they are encoded.
        first: Number of the first input.
        items: The inputs, pickled.
        after: Of the first input, leave out the samples up to this number, which has this fingerprint.
        skips: Leave out inputs for which the function fails, and rows that do not fit, and note them.

    Raises:
        InputError: The function failed, or made something else than rows.
        SampleError: A row does not fit the columns.
        ConfigError: The sample that was named is another now.
    """
    maker = _Maker(recipe, skips)
    for number, item in enumerate(map(pickle.loads, items), first):
        rest = enumerate(_rows(function, number, item))
        try:
            if after is not None and number == first:
                _skip_to(rest, recipe, number, item, *after)
            for row_number, row in rest:
                maker.take(number, row_number, item, row)
                if maker.is_full:
                    yield maker.part()
        except InputError as error:
            if not skips:
                yield maker.part()
                raise
            maker.skip(number, item, f"{type(error.__cause__).__name__}: {error.__cause__}")
        except Exception:
            yield maker.part()
            raise
        maker.inputs += 1
    last = maker.part()
    last.is_last = True
    yield last


class _Maker(Part):
    """A part in the making."""

    def __init__(self, recipe: Recipe, skips: bool) -> None:
        super().__init__()
        self._encode = recipe.encoder.encode_sample
        self._names = frozenset(name for name, _ in recipe.columns)
        self._skips = skips
        self._began = time.monotonic()

    @property
    def is_full(self) -> bool:
        """Whether it is time to hand it over."""
        return self.bytes >= _PART_BYTES or len(self.samples) >= _MOST_SAMPLES

    def take(self, number: int, row_number: int, item: Any, row: Mapping[str, Any]) -> None:
        """Encode a row."""
        if len(row) != len(self._names) and self.unknown is None:
            extra = [key for key in row.keys() if key not in self._names]  # noqa: SIM118 - a row of pandas iterates its values
            self.unknown = (len(self.samples), extra) if extra else None
        try:
            sample = self._encode(row)
        except (SampleError, ShardTooLargeError) as error:
            if not self._skips:
                raise type(error)(f"Input {number} ({_shown(item)}), row {row_number} of it: {error}") from error
            self.skip(number, item, f"row {row_number}: {error}")
            return
        self.samples.append(sample)
        self.places.append((number, row_number))
        self.bytes += len(sample)

    def skip(self, number: int, item: Any, reason: str) -> None:
        """Note what is left out."""
        self.skipped.append((len(self.samples), number, _shown(item), reason))

    def part(self) -> Part:
        """Return what was made since the last call."""
        now = time.monotonic()
        part = Part(self.samples, self.places, self.skipped, self.unknown, self.inputs, now - self._began, self.bytes)
        self._began = now
        self.samples, self.places, self.skipped, self.unknown, self.inputs, self.bytes = [], [], [], None, 0, 0
        return part


def _rows(function: Function, number: int, item: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the rows that a function makes of an input.

    Raises:
        InputError: It failed, or made something else.
    """
    try:
        # What is done with a row, in `yield`, raises nothing here.
        yield from made_rows(function(item))
    except Exception as error:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise InputError(
            f"Input {number} ({_shown(item)}): fn ({name}) failed: {type(error).__name__}: {error}", format_exc()
        ) from error


def _skip_to(
    rows: Iterator[tuple[int, Mapping[str, Any]]], recipe: Recipe, number: int, item: Any, row: int, wanted: str
) -> None:
    found = next(islice(rows, row, None), None)
    try:
        is_same = found is not None and fingerprint(recipe.encoder.encode_sample(found[1])) == wanted
    except SampleError:
        is_same = False
    if not is_same:
        raise ConfigError(
            f"The unfinished write cannot be continued: row {row} of input {number} ({_shown(item)}) is another now than "
            "the one that it holds. Give the same inputs in the same order and a function that makes the same of them, "
            "or discard it: pass exist_ok=True and resume=False."
        )


def infer_from(
    function: Function, items: Iterable[bytes], num_rows: int, is_last: bool, skips: bool
) -> dict[str, str] | None:
    """Choose the encodings of columns from the first rows that a function makes.

    Args:
        function: Makes rows of an input.
        items: The first inputs, pickled.
        num_rows: How many rows to look at.
        is_last: Whether fewer have to do.
        skips: Leave out inputs for which the function fails.

    Returns:
        Encoding of each column; ``None`` if there are fewer rows and there may be more.

    Raises:
        InputError: The function failed.
        ConfigError: No encoding fits a column.
    """
    rows: list[dict[str, Any]] = []
    for number, item in enumerate(map(pickle.loads, items)):
        try:
            rows += (snapshot(row) for row in islice(_rows(function, number, item), num_rows - len(rows)))
        except InputError:
            if not skips:
                raise
        if len(rows) >= num_rows:
            break
    if len(rows) < num_rows and not is_last:
        return None
    columns = infer_columns(rows)
    check_fit(rows, columns)
    return columns


def identity(item: Any) -> str:
    """Return what an input is told from others by: texts, paths, numbers and what is made of them; else its type alone."""
    if isinstance(item, os.PathLike):
        return repr(os.fspath(cast("os.PathLike[str]", item)))
    if isinstance(item, bytes):
        return get_hash("xxh3_128", item)
    if item is None or isinstance(item, (str, int, float)):
        return repr(item)
    if isinstance(item, np.generic):
        return repr(item.item())
    if isinstance(item, (tuple, list)):
        return f"({', '.join(map(identity, cast('Sequence[Any]', item)))})"
    if isinstance(item, Mapping):
        items = cast("Mapping[Any, Any]", item).items()
        return "{" + ", ".join(f"{identity(key)}: {identity(value)}" for key, value in items) + "}"
    return type(item).__qualname__


def _shown(item: Any) -> str:
    return f"{len(item)} bytes" if isinstance(item, (bytes, bytearray)) else _REPR.repr(item)
