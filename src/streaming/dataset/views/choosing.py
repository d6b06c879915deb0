"""Which samples a user means: by ids, by a mask, by number, by a condition or by a key."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.arguments import as_count, as_integer
from streaming.core.errors import ConfigError
from streaming.dataset.sources import Source
from streaming.units.selection import Selection
from streaming.units.splits import borders_of, parts_of_ids, parts_of_keys
from streaming.units.units import Units

__all__ = [
    "all_but",
    "by_condition",
    "by_ids",
    "by_mask",
    "first_of",
    "mask_of_units",
    "nth_of",
    "parts_of",
    "rows_served",
    "text_of",
]

_Ints = NDArray[np.int64]
_Mask = NDArray[np.bool_]


def by_ids(sources: Sequence[Source], ids: Any, is_strict: bool = True) -> list[Selection]:
    """Select samples by their ids.

    Args:
        sources: The streams.
        ids: ``int[k]``, in any form, negative from the end.
        is_strict: Whether an id that is given twice is an error.

    Returns:
        A selection for each stream.

    Raises:
        ConfigError: They are no ids, out of range, or one is there twice.
    """
    found = np.asarray(ids)
    if not found.size:
        found = found.astype(np.int64)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise ConfigError(f"Samples are chosen by a list of whole numbers; got {_describe(ids, found)}.")
    spans = _spans(sources)
    total = spans[-1][1] if spans else 0
    chosen: _Ints = np.where(found < 0, found.astype(np.int64) + total, found.astype(np.int64))
    if found.size and not (chosen.min() >= 0 and chosen.max() < total):
        wrong = found[(chosen < 0) | (chosen >= total)][0]
        raise ConfigError(f"There is no sample {wrong}: ids go from 0 to {total - 1}, or from -{total} to -1.")
    distinct = np.unique(chosen)
    if is_strict and len(distinct) != len(chosen):
        twice = distinct[np.unique(chosen, return_counts=True)[1] > 1][0]
        raise ConfigError(
            f"Sample {twice} is chosen more than once. A view holds each sample once; draw samples oftener by a stream's "
            "`repeat`, or leave out doubles with numpy.unique."
        )
    if is_strict and (np.diff(chosen) < 0).any():
        warnings.warn(
            "The ids are not ascending. A view keeps its samples in the order in which they are stored; what order they are "
            "served in, `shuffle` says.",
            stacklevel=4,
        )
    return [
        Selection.of_ids(
            source.counts, distinct[np.searchsorted(distinct, begin) : np.searchsorted(distinct, end)] - begin
        )
        for source, (begin, end) in zip(sources, spans, strict=True)
    ]


def by_mask(sources: Sequence[Source], mask: Any) -> list[Selection]:
    """Select by one truth value a sample.

    Raises:
        ConfigError: There is another number of values than of samples.
    """
    values = np.asarray(mask)
    spans = _spans(sources)
    total = spans[-1][1] if spans else 0
    if values.shape != (total,) or values.dtype != np.bool_:
        raise ConfigError(f"A mask needs a truth value for each of the {total} samples; got {_describe(mask, values)}.")
    return [
        Selection.of_mask(source.counts, values[begin:end]) for source, (begin, end) in zip(sources, spans, strict=True)
    ]


def all_but(selections: Sequence[Selection]) -> list[Selection]:
    """Return selections of all that others leave out."""
    return [selection.inverted() for selection in selections]


def first_of(sources: Sequence[Source], number: Any) -> list[Selection]:
    """Select the first samples of each stream, of larger streams more.

    Args:
        sources: The streams.
        number: How many, as a number or text such as ``'10m'``.

    Raises:
        ConfigError: There are fewer, or it is no number.
    """
    count = as_count("number", number, 1)
    spans = _spans(sources)
    total = spans[-1][1]
    if count > total:
        raise ConfigError(f"Cannot take {count} samples: there are {total}.")
    return [
        Selection.of_range(source.counts, 0, end * count // total - begin * count // total)
        for source, (begin, end) in zip(sources, spans, strict=True)
    ]


def nth_of(sources: Sequence[Source], num_shards: Any, index: Any) -> list[Selection]:
    """Select one of equal parts, cut from every stream alike.

    Raises:
        ConfigError: There is no such part.
    """
    number, at = as_integer("num_shards", num_shards, 1), as_integer("index", index, 0)
    if at >= number:
        raise ConfigError(f"There is no part {at} of {number}; they are numbered from 0 to {number - 1}.")
    return [
        Selection.of_range(source.counts, total * at // number, total * (at + 1) // number)
        for source in sources
        for total in (int(source.counts.sum()),)
    ]


def by_condition(sources: Sequence[Source], condition: str) -> list[Selection]:
    """Select by SQL over side columns.

    Raises:
        ConfigError: There are no side columns, or the condition is not one over them.
    """
    return [select_rows(source, source.side_columns().where(condition)) for source in sources]


def parts_of(
    sources: Sequence[Source], fractions: Mapping[str, float], by: str | None, seed: int
) -> dict[str, list[Selection]]:
    """Select the samples of each part of a split, by a hash of each one's key.

    Args:
        sources: The streams.
        fractions: Share of each part by its name, summing to 1.
        by: Side column that holds the keys; ``None`` for a sample's place in its stream.
        seed: Another one gives another split.

    Raises:
        ConfigError: The shares do not sum to 1, or a sample has no key.
    """
    borders = borders_of(fractions)
    parts = [_parts_of_rows(stream, source, borders, by, seed) for stream, source in enumerate(sources)]
    return {
        name: [select_rows(source, part == number) for source, part in zip(sources, parts, strict=True)]
        for number, name in enumerate(fractions)
    }


def _parts_of_rows(
    stream: int, source: Source, borders: NDArray[np.float64], by: str | None, seed: int
) -> NDArray[np.int64]:
    if by is None:
        return parts_of_ids(stream, int(source.sizes.sum()), borders, seed)
    column = source.side_columns().values(by).combine_chunks().dictionary_encode()
    missing = column.is_null().to_numpy(zero_copy_only=False)
    left_out = sum(int(mask.sum()) for mask in _unit_masks(source, missing)) if column.null_count else 0
    if left_out:
        raise ConfigError(
            f"{left_out} samples of {source.directory.origin} have no {by!r} (NULL): a split by it cannot tell where they "
            f'belong. Fill it, or leave them out first: dataset.filter("{by} is not null").split(...).'
        )
    parts = parts_of_keys(column.dictionary.to_pylist(), borders, seed)
    if not len(parts):
        return np.zeros(len(missing), np.int64)
    return parts[column.indices.fill_null(0).to_numpy(zero_copy_only=False)]


def select_rows(source: Source, rows: _Mask) -> Selection:
    """Select the units of a stream whose rows are selected."""
    if source.units is None:
        return Selection.of_mask(source.sizes, rows)
    return Selection.of_mask(source.counts, np.concatenate([np.empty(0, np.bool_), *_unit_masks(source, rows)]))


def _unit_masks(source: Source, rows: _Mask) -> list[_Mask]:
    units, ends = source.units, np.cumsum(source.sizes)
    if units is None:
        return [rows]
    return [
        units.mask(shard, rows[end - size : end])
        for shard, (size, end) in enumerate(zip(source.sizes.tolist(), ends.tolist(), strict=True))
    ]


def _spans(sources: Sequence[Source]) -> list[tuple[int, int]]:
    ends = np.cumsum([int(source.counts.sum()) for source in sources]).tolist()
    return list(zip([0, *ends], ends, strict=False))


def _describe(given: Any, found: NDArray[Any]) -> str:
    return f"{type(given).__name__} of shape {found.shape} and {found.dtype}"


def text_of(what: Any) -> str:
    """Return what samples were chosen by, in a few words."""
    if isinstance(what, str):
        return what
    if callable(what):
        return getattr(what, "__qualname__", repr(what))
    return f"{len(what)} values" if hasattr(what, "__len__") else repr(what)


def rows_served(source: Source) -> _Mask:
    """Return a truth value for each row of a stream: whether it is served."""
    return np.ones(int(source.sizes.sum()), np.bool_) if source.units is None else _rows_of(source, source.units)


def mask_of_units(source: Source, selection: Selection) -> _Mask:
    """Return a truth value for each unit of a stream: whether a selection of rows keeps its row."""
    return np.concatenate([np.empty(0, np.bool_), *_unit_masks(source, _rows_of(source, selection))])


def _rows_of(source: Source, units: Units) -> _Mask:
    kept = np.zeros(int(source.sizes.sum()), np.bool_)
    begins = (np.cumsum(source.sizes) - source.sizes).tolist()
    for shard in np.flatnonzero(units.counts).tolist():
        kept[begins[shard] + units.rows(shard)] = True
    return kept
