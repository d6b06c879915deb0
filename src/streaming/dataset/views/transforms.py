"""Datasets whose samples go through functions: each is of a class of its own, below that of the dataset it is made of.

So whatever a subclass makes of a sample comes before them, and everything else stays as it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.random.bit_generator import ISpawnableSeedSequence
from numpy.typing import NDArray

from streaming.core.arguments import as_flag, as_integer
from streaming.core.errors import ConfigError
from streaming.core.indexing import Array, resolve_index
from streaming.core.layers import Layer, restored, taken_apart
from streaming.core.process.ledger import LEDGERS, USER
from streaming.dataset.sources import Source
from streaming.dataset.views.choosing import rows_served
from streaming.units.parts import Parts
from streaming.units.selection import Selection

if TYPE_CHECKING:
    from streaming.dataset.views.api import Views

__all__ = ["Stage", "add_flat_map", "add_map"]

#: Samples of which all parts are kept at hand.
_KEPT = 64


@dataclass(frozen=True)
class Stage:
    """A function over samples.

    Attributes:
        fn: The function.
        takes_rng: Whether it gets a generator.
        makes_parts: Whether it returns parts, one of which is the sample.
    """

    fn: Callable[..., Any]
    takes_rng: bool
    makes_parts: bool


class Transformed(Layer[Any]):
    """What such a dataset does with an index. The class of the dataset that it is made of comes next."""

    _stages: tuple[Stage, ...] = ()
    _left_behind = ("_at_hand",)

    @cached_property
    def _at_hand(self) -> OrderedDict[tuple[int, ...], Any]:
        return OrderedDict()

    def __getitem__(self, at: Any) -> Any:
        """Return a sample after the functions, or a list of them; see :meth:`Array.__getitem__`."""
        this = cast("Any", self)
        if not isinstance(at, (int, np.integer)):
            return Array.__getitem__(this, at)
        index = resolve_index(at, this.size)
        table = this._table
        shard, row = table.locate_row(index)
        key = (*this.sample_seed, *table.unit(shard, row))
        number = self._number_of_parts_stage()
        if number is None:
            return _through(super().__getitem__(index), self._stages, key)  # pyright: ignore[reportAttributeAccessIssue]
        parts = self._at_hand.get(key)
        if parts is None:
            value: Any = super().__getitem__(index)  # pyright: ignore[reportAttributeAccessIssue]
            parts = _through(value, self._stages[: number + 1], key)
            expected = table.translation.number(shard, row)
            if len(parts) != expected:
                raise ConfigError(
                    f"{_name(self._stages[number].fn)} made {len(parts)} parts of sample {table.place(shard, row)[1]} of "
                    f"stream {key[2]}, where flat_map(count=...) says {expected}. Count again, for instance by "
                    "dataset.measure(fn)."
                )
            self._at_hand[key] = parts
            if len(self._at_hand) > _KEPT:
                self._at_hand.popitem(last=False)
        part = table.translation.part(shard, index)
        return _through(parts[part], self._stages[number + 1 :], (*key, part), number + 1)

    def get_items(self, sample_ids: NDArray[np.int64]) -> list[Any]:
        """Return the samples at an array of indexes, each after the functions."""
        return [self[i] for i in sample_ids.tolist()]

    def _number_of_parts_stage(self) -> int | None:
        return next((number for number, stage in enumerate(self._stages) if stage.makes_parts), None)


def add_map(dataset: Views[Any], fn: Callable[..., Any], rng: bool) -> Any:
    """Return a dataset with one more function; see :meth:`Views.map`."""
    return _with_stage(dataset, Stage(_checked(fn), as_flag("rng", rng), False), dataset.sources)


def add_flat_map(dataset: Views[Any], fn: Callable[..., Any], count: Any, rng: bool) -> Any:
    """Return a dataset of parts of samples; see :meth:`Views.flat_map`."""
    stage = Stage(_checked(fn), as_flag("rng", rng), True)
    if any(source.units is not None and source.units.has_parts for source in dataset.sources):
        raise ConfigError("The samples are parts already: make all parts in one flat_map().")
    if isinstance(count, str) and count == "measure":
        count = dataset.measure(_without_rng(fn) if rng else fn)
    if isinstance(count, str):
        numbers = [_of_column(source, count) for source in dataset.sources]
    elif isinstance(count, (int, np.integer)):
        numbers = [as_integer("count", count, 0) for _ in dataset.sources]
    else:
        numbers = _of_array(dataset, np.asarray(count))
    sources = [
        replace(source, units=Parts(source.sizes, number, cast("Selection | None", source.units)))
        for source, number in zip(dataset.sources, numbers, strict=True)
    ]
    return _with_stage(dataset, stage, sources)


def _with_stage(dataset: Views[Any], stage: Stage, sources: Sequence[Source]) -> Any:
    base, layers = taken_apart(type(dataset))
    state = {name: value for name, value in dataset.__dict__.items() if name != "_at_hand"}
    made = restored(base, layers if isinstance(dataset, Transformed) else (*layers, Transformed), state)
    made._stages = (*made._stages, stage)
    return made._serving(sources, f"flat_map({_name(stage.fn)})")


def _of_column(source: Source, name: str) -> NDArray[np.int64]:
    """Return the counts that a side column holds, for each row; 0 where it has none and the row is not served."""
    column = source.side_columns().values(name)
    values = column.fill_null(-1).to_numpy() if column.null_count else column.to_numpy()
    if not np.issubdtype(values.dtype, np.integer):
        raise ConfigError(f"flat_map(count={name!r}) needs whole numbers; the side column holds {column.type}.")
    served = rows_served(source)
    if (values[served] < 0).any():
        raise ConfigError(
            f"{int((values[served] < 0).sum())} samples of {source.directory.origin} have no {name!r} (NULL), or less than "
            "0 of it."
        )
    return np.where(served, values, 0).astype(np.int64)


def _of_array(dataset: Views[Any], counts: NDArray[Any]) -> list[NDArray[np.int64]]:
    if counts.shape != (dataset.size,) or not np.issubdtype(counts.dtype, np.integer):
        raise ConfigError(
            f"count must be a number, or one for each of the {dataset.size} samples; got shape {counts.shape} of "
            f"{counts.dtype}."
        )
    if counts.size and counts.min() < 0:
        raise ConfigError(f"A sample cannot have {counts.min()} parts; counts must be at least 0.")
    every = np.zeros(sum(int(source.sizes.sum()) for source in dataset.sources), np.int64)
    every[dataset.source_ids()] = counts
    ends = np.cumsum([int(source.sizes.sum()) for source in dataset.sources])
    return np.split(every, ends[:-1])


def _through(value: Any, stages: Sequence[Stage], key: tuple[int, ...], first: int = 0) -> Any:
    ledger = LEDGERS.own
    before = ledger.enter(USER) if ledger.is_close else None
    for number, stage in enumerate(stages, first):
        value = stage.fn(value, _generator(key, number)) if stage.takes_rng else stage.fn(value)
    if before is not None:
        ledger.enter(before)
    return value


class _Key(ISpawnableSeedSequence):
    """Digest of what a generator depends on, its key as it is: with ``key=``, each would ask the system for a seed first."""

    def __init__(self, digest: bytes) -> None:
        self._digest = digest
        self._spawning: np.random.SeedSequence | None = None

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        """Return the digest: Philox takes two words of 64 bits."""
        return np.frombuffer(self._digest, "<u8", n_words).astype(dtype, copy=False)

    def spawn(self, n_children: int) -> list[Any]:
        """Return seeds of other generators."""
        if self._spawning is None:
            self._spawning = np.random.SeedSequence(int.from_bytes(self._digest, "little"))
        return self._spawning.spawn(n_children)


def _generator(key: tuple[int, ...], stage: int) -> np.random.Generator:
    """Return a generator for one sample and function: Philox (Salmon et al., Parallel random numbers, SC 2011)."""
    digest = blake2b("|".join(map(str, (*key, stage))).encode(), digest_size=16).digest()
    seed: Any = _Key(digest)
    return np.random.Generator(np.random.Philox(seed))


def _without_rng(fn: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda sample: fn(sample, np.random.Generator(np.random.Philox(0)))


def _checked(fn: Any) -> Callable[..., Any]:
    if not callable(fn):
        raise ConfigError(f"fn must be a function of a sample, got {fn!r}.")
    return fn


def _name(fn: Any) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)
