"""A user's function over inputs: what runs in the worker processes of a bulk write that has one."""

from __future__ import annotations

import os
import pickle
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, islice
from reprlib import Repr
from typing import Any, cast

import numpy as np

from streaming.core.errors import ConfigError, InputError, SampleError, ShardTooLargeError, StreamingError
from streaming.format.codecs.hashing import get_hash
from streaming.writing.bulk.journal import fingerprint
from streaming.writing.bulk.recipe import Piece, Recipe
from streaming.writing.rows.encoded import EncodedRows
from streaming.writing.rows.failures import failed_on
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
        pieces: They, encoded, one after the other.
        sizes: Bytes of each.
        runs: Where runs of samples come from: how many samples of this part came before the run, the number of its input,
            and the number of its first sample among what was made of that.
        skipped: What was left out: how many samples of this part came before it, number of the input, how that looks,
            and why.
        unknown: Keys of a row that are no columns, and how many samples of this part came before it.
        inputs: Inputs that ended in this part.
        seconds: What it took to make.
        bytes: Size of the samples.
        is_last: Whether all inputs that were given together have ended.
    """

    pieces: list[bytes] = field(default_factory=list[bytes])
    sizes: list[int] = field(default_factory=list[int])
    runs: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    skipped: list[tuple[int, int, str, str]] = field(default_factory=list[tuple[int, int, str, str]])
    unknown: tuple[int, list[str]] | None = None
    inputs: int = 0
    seconds: float = 0.0
    bytes: int = 0
    is_last: bool = False

    def joined(self) -> Piece:
        """Return the samples as one piece."""
        return b"".join(self.pieces), self.sizes

    def place(self, index: int) -> tuple[int, int]:
        """Return the number of a sample's input, and its number among what was made of that."""
        before, number, row = self.runs[bisect_right(self.runs, index, key=lambda run: run[0]) - 1]
        return number, row + index - before


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
        rest = _rows(function, number, item)
        row_number = 0
        try:
            if after is not None and number == first:
                row_number, left = _skip_to(rest, recipe, number, item, *after)
                rest = chain(left, rest)
            for row in rest:
                if isinstance(row, EncodedRows):
                    maker.take_encoded(number, row_number, row)
                    row_number += len(row.sizes)
                else:
                    maker.take(number, row_number, item, row)
                    row_number += 1
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
        self._next: tuple[int, int] | None = None  # place of the next sample, if it belongs to the last run
        self._began = time.monotonic()

    @property
    def is_full(self) -> bool:
        """Whether it is time to hand it over."""
        return self.bytes >= _PART_BYTES or len(self.sizes) >= _MOST_SAMPLES

    def take(self, number: int, row_number: int, item: Any, row: Mapping[str, Any] | StreamingError) -> None:
        """Encode a row."""
        if isinstance(row, StreamingError):
            if not self._skips:
                raise row
            self.skip(number, item, str(row))
            return
        if len(row) != len(self._names) and self.unknown is None:
            extra = [key for key in row.keys() if key not in self._names]  # noqa: SIM118 - a row of pandas iterates its values
            self.unknown = (len(self.sizes), extra) if extra else None
        try:
            sample = self._encode(row)
        except (SampleError, ShardTooLargeError) as error:
            if not self._skips:
                raise type(error)(f"Input {number} ({_shown(item)}), row {row_number} of it: {error}") from error
            self.skip(number, item, f"row {row_number}: {error}")
            return
        self._add(number, row_number, sample, [len(sample)])

    def take_encoded(self, number: int, row_number: int, rows: EncodedRows) -> None:
        """Take rows that are encoded."""
        if rows.sizes:
            self._add(number, row_number, rows.data, rows.sizes)

    def _add(self, number: int, row_number: int, data: bytes, sizes: list[int]) -> None:
        if self._next != (number, row_number):
            self.runs.append((len(self.sizes), number, row_number))
        self.pieces.append(data)
        self.sizes += sizes
        self.bytes += len(data)
        self._next = (number, row_number + len(sizes))

    def skip(self, number: int, item: Any, reason: str) -> None:
        """Note what is left out."""
        self.skipped.append((len(self.sizes), number, _shown(item), reason))

    def part(self) -> Part:
        """Return what was made since the last call."""
        now = time.monotonic()
        part = Part(
            self.pieces, self.sizes, self.runs, self.skipped, self.unknown, self.inputs, now - self._began, self.bytes
        )
        self._began = now
        self.pieces, self.sizes, self.runs, self.skipped, self.unknown = [], [], [], [], None
        self.inputs, self.bytes, self._next = 0, 0, None
        return part


def _rows(function: Function, number: int, item: Any) -> Iterator[Mapping[str, Any] | EncodedRows | StreamingError]:
    """Yield the rows that a function makes of an input.

    Raises:
        InputError: It failed, or made something else.
    """
    try:
        # What is done with a row, in `yield`, raises nothing here.
        yield from made_rows(function(item))
    except (Exception, SystemExit) as error:
        raise failed_on(f"Input {number} ({_shown(item)})", function, error) from error


def _skip_to(
    rows: Iterator[Any], recipe: Recipe, number: int, item: Any, row: int, wanted: str
) -> tuple[int, list[EncodedRows]]:
    """Leave out the rows up to one, and compare that.

    Returns:
        The number of the row behind it, and what was taken of those that follow.
    """
    at = 0
    for found in rows:
        count = len(found.sizes) if isinstance(found, EncodedRows) else 1
        if at + count <= row:
            at += count
            continue
        sample, left = _sample_at(found, row - at, recipe)
        if sample is None or fingerprint(sample) != wanted:
            break
        return row + 1, left
    raise ConfigError(
        f"The unfinished write cannot be continued: row {row} of input {number} ({_shown(item)}) is another now than "
        "the one that it holds. Give the same inputs in the same order and a function that makes the same of them, "
        "or discard it: pass exist_ok=True and resume=False."
    )


def _sample_at(found: Any, index: int, recipe: Recipe) -> tuple[bytes | None, list[EncodedRows]]:
    """Return a sample among what was made, ``None`` if it is none, and what follows it there."""
    if isinstance(found, EncodedRows):
        ends = list(accumulate(found.sizes))
        begin = ends[index] - found.sizes[index]
        return found.data[begin : ends[index]], [EncodedRows(found.data[ends[index] :], found.sizes[index + 1 :])]
    try:
        return (None if isinstance(found, StreamingError) else recipe.encoder.encode_sample(found)), []
    except SampleError:
        return None, []


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
    failure: InputError | None = None
    for number, item in enumerate(map(pickle.loads, items)):
        try:
            made = (row for row in _rows(function, number, item) if isinstance(row, Mapping))
            rows += (snapshot(row) for row in islice(made, num_rows - len(rows)))
        except InputError as error:
            if not skips:
                raise
            failure = failure or error
        if len(rows) >= num_rows:
            break
    if len(rows) < num_rows and not is_last:
        return None
    if not rows and failure is not None:  # to leave all of it out is not what anybody wants
        raise failure
    if not rows:
        raise ConfigError(
            "Columns cannot be inferred without a row: fn made none of the first inputs. Have it return rows, or pass "
            "`columns`."
        )
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
