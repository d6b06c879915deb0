"""Batches as ``default_collate`` makes them, without making the samples first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import default_collate

from streaming.cache.cache import ShardCache
from streaming.cache.files.rows import FoundRows
from streaming.cache.reading.gather import get_columns, get_many
from streaming.core.process.ledger import COLLATE, DECODE, LEDGERS
from streaming.core.world import in_worker, worker_of_process
from streaming.format.samples.sample import FixedColumn, ListedColumn, SampleDecoder
from streaming.loader.counting import Counted
from streaming.loader.explain import collate
from streaming.loader.handover import Handover
from streaming.loader.packing import Packer

__all__ = ["DefaultCollator"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Target:
    """What becomes of a column: elements of a dtype, in a tensor."""

    column: FixedColumn
    dtype: np.dtype[Any]

    @property
    def converts(self) -> bool:
        return self.dtype != self.column.dtype


@dataclass(frozen=True)
class _Fixed:
    """Columns of rows of one size, yet to be copied."""

    rows: FoundRows
    indexes: Ints
    targets: list[_Target]

    @property
    def _is_one(self) -> bool:
        return len(self.targets) == 1 and not self.targets[0].converts

    def tensors(self) -> dict[str, Tensor]:
        """Return the columns."""
        block = self.rows.gather(self.indexes)
        if self._is_one:
            return {self.targets[0].column.name: torch.from_numpy(_values(block, self.targets[0].column))}
        batch: dict[str, Tensor] = {}
        for target in self.targets:
            array = _values(block, target.column).astype(target.dtype, order="C")
            batch[target.column.name] = torch.from_numpy(array)
        return batch

    def lay_out(self, packer: Packer) -> dict[str, Any]:
        """Make room for the columns."""
        count = len(self.indexes)
        return {t.column.name: packer.add_array(t.dtype, (count, *t.column.shape)) for t in self.targets}

    def fill(self, batch: Any) -> None:
        """Copy the columns to where there is room for them."""
        arrays: list[Any] = [batch.array(batch.columns[target.column.name]) for target in self.targets]
        if self._is_one:
            self.rows.gather(self.indexes, arrays[0].reshape(len(self.indexes), -1).view(np.uint8))
            return
        block = self.rows.gather(self.indexes)
        for target, array in zip(self.targets, arrays, strict=True):
            np.copyto(array, _values(block, target.column), casting="unsafe")


class DefaultCollator:
    """Makes what ``torch.utils.data.default_collate`` makes of the same samples: equal values, types and keys.

    Samples of one size are copied from their shards into the batch at once. Whatever ``default_collate`` does with their
    columns is found out by asking it, once for each schema.

    Args:
        drop_last: Whether a last batch of fewer samples is left out.
        handover: How batches get from workers to the main process; ``None``: PyTorch's way.
    """

    def __init__(self, drop_last: bool, handover: Handover | None = None) -> None:
        self.drop_last = drop_last
        self._handover = handover
        #: What was found out last of rows, and of columns, of each part of a sample.
        self._known: dict[int, tuple[SampleDecoder, list[_Target] | None]] = {}
        self._known_listed: dict[int, tuple[tuple[ListedColumn, ...], list[np.dtype[Any] | None] | None]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings."""
        return {**self.__dict__, "_known": {}, "_known_listed": {}}

    def of_shards(self, cache: ShardCache, places: Sequence[tuple[Ints, Ints]]) -> Counted:
        """Return the batch of ``k`` samples, each made of what is at these places: shards and indexes, ``int64[k]`` both."""
        parts = [self._part(number, cache, *place) for number, place in enumerate(places)]
        LEDGERS.own.enter(COLLATE)
        return self._counted(self._packed(parts), len(places[0][0]))

    def of_samples(self, samples: list[Any]) -> Counted:
        """Return the batch of samples."""
        LEDGERS.own.enter(COLLATE)
        return self._counted(self._packed([collate(samples)]), len(samples))

    def _counted(self, batch: Any, samples: int) -> Counted:
        return Counted(batch, samples, worker_of_process()[0], None, LEDGERS.own.take(samples))

    def _part(self, number: int, cache: ShardCache, shards: Ints, indexes: Ints) -> _Fixed | dict[str, Any]:
        """Return the columns of a part of samples: tensors and lists, or rows to copy them from."""
        rows = cache.find_rows(shards)
        targets = None if rows is None else self._targets(number, rows.decoder)
        if rows is not None and targets is not None:
            return _Fixed(rows, indexes, targets)
        found = get_columns(cache, shards, indexes) if rows is None else None
        dtypes = None if found is None else self._dtypes(number, found[0])
        if found is None or dtypes is None:
            samples = get_many(cache, shards, indexes)
            LEDGERS.own.enter(COLLATE)
            made = collate(samples)
            LEDGERS.own.enter(DECODE)
            return made
        return {
            column.name: values if dtype is None else _tensor(column, values, dtype)
            for column, values, dtype in zip(*found, dtypes, strict=True)
        }

    def _packed(self, parts: Sequence[_Fixed | dict[str, Any]]) -> Any:
        """Return the batch of columns; in a worker, laid out to be sent."""
        batch: dict[str, Any] = {}
        one: Any = parts[0] if len(parts) == 1 else None
        if one is not None and not isinstance(one, (_Fixed, dict)):  # samples without columns, as an object's may be
            return one
        if not in_worker():
            for part in parts:
                batch.update(part.tensors() if isinstance(part, _Fixed) else part)
            return batch
        packer = Packer(self._handover)
        for part in parts:
            batch.update(part.lay_out(packer) if isinstance(part, _Fixed) else packer.add_columns(part))
        packed = packer.finish(batch)
        for part in parts:
            if isinstance(part, _Fixed):
                part.fill(packed)
        return packed

    def _dtypes(self, number: int, columns: tuple[ListedColumn, ...]) -> list[np.dtype[Any] | None] | None:
        known = self._known_listed.get(number)
        if known is None or known[0] is not columns:
            known = self._known_listed[number] = columns, _ask_listed(columns)
        return known[1]

    def _targets(self, number: int, decoder: SampleDecoder) -> list[_Target] | None:
        known = self._known.get(number)
        if known is None or known[0] is not decoder:
            known = self._known[number] = decoder, _ask(decoder)
        return known[1]


def _ask(decoder: SampleDecoder) -> list[_Target] | None:
    """Find out what ``default_collate`` makes of a schema's samples; ``None`` if it is nothing that can be gathered."""
    if decoder.columns is None or decoder.row_bytes is None:
        return None
    try:
        # Of bytes of its own: default_collate warns of arrays that cannot be written.
        taken = decoder.taken or slice(0, decoder.row_bytes)
        rows = np.zeros((2, taken.stop - taken.start), np.uint8)
        samples = decoder.decode_rows(rows) if decoder.decode_rows else None
        if samples is None:
            return None
        writable = [{k: v.copy() if isinstance(v, np.ndarray) else v for k, v in s.items()} for s in samples]
        batch: Any = default_collate(writable)
    except Exception:  # the samples themselves will tell
        return None
    targets: list[_Target] = []
    for column in decoder.columns:
        made = batch.get(column.name)
        if type(made) is not Tensor or tuple(made.shape) != (2, *column.shape):
            return None
        targets.append(_Target(column, made.numpy().dtype))
    return targets


def _ask_listed(columns: tuple[ListedColumn, ...]) -> list[np.dtype[Any] | None] | None:
    """Find out what ``default_collate`` makes of columns: tensors of a dtype, or lists; ``None`` if it is anything else."""
    dtypes: list[np.dtype[Any] | None] = []
    for column in columns:
        if column.dtype is None:
            dtypes.append(None)
            continue
        value = column.dtype.type(0) if column.shape is None else np.zeros(column.shape, column.dtype)
        try:
            made: Any = default_collate([value, value])
        except Exception:  # the samples themselves will tell
            return None
        if type(made) is not Tensor or tuple(made.shape) != (2, *(column.shape or ())):
            return None
        dtypes.append(made.numpy().dtype)
    return dtypes


def _tensor(column: ListedColumn, values: list[Any], dtype: np.dtype[Any]) -> Tensor:
    """Return the tensor of a column."""
    if column.shape is None:
        array: Any = np.array(values, column.dtype)
    else:
        array = np.frombuffer(bytearray().join(values), column.dtype).reshape(len(values), *column.shape)
    return torch.from_numpy(array.astype(dtype, copy=False))


def _values(block: NDArray[np.uint8], column: FixedColumn) -> NDArray[Any]:
    """Return a column of rows, ``[k, *column.shape]``, a view of them."""
    values: Any = block[:, column.part].view(column.dtype)
    return values.reshape(len(block), *column.shape)
