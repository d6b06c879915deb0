"""Batches as ``default_collate`` makes them, without making the samples first."""

from __future__ import annotations

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
from streaming.core.world import in_worker, worker_of_process
from streaming.format.samples.sample import FixedColumn, ListedColumn, SampleDecoder
from streaming.loader.counting import Counted
from streaming.loader.explain import explain, have_equal_keys
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
        self._known: tuple[SampleDecoder, list[_Target] | None] | None = None
        self._known_listed: tuple[tuple[ListedColumn, ...], list[np.dtype[Any] | None] | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings."""
        return {**self.__dict__, "_known": None, "_known_listed": None}

    def of_shards(self, cache: ShardCache, shards: Ints, indexes: Ints) -> Counted:
        """Return the batch of the samples at ``indexes`` of ``shards``, ``int64[k]`` both."""
        return Counted(self._of_shards(cache, shards, indexes), len(shards), worker_of_process()[0])

    def of_samples(self, samples: list[Any]) -> Counted:
        """Return the batch of samples."""
        return Counted(self._of_samples(samples), len(samples), worker_of_process()[0])

    def _of_shards(self, cache: ShardCache, shards: Ints, indexes: Ints) -> Any:
        rows = cache.find_rows(shards)
        targets = None if rows is None else self._targets(rows.decoder)
        if rows is not None and targets is not None:
            return _gather(rows, indexes, targets, self._handover)
        found = get_columns(cache, shards, indexes) if rows is None else None
        dtypes = None if found is None else self._dtypes(found[0])
        if found is not None and dtypes is not None:
            return self._of_columns(*found, dtypes)
        return self._of_samples(get_many(cache, shards, indexes))

    def _of_samples(self, samples: list[Any]) -> Any:
        if not have_equal_keys(samples):
            raise explain(samples)
        batch: dict[str, Any] = {}
        for name, value in samples[0].items():
            values = [sample[name] for sample in samples]
            if type(value) is np.ndarray and all(v.shape == value.shape and v.dtype == value.dtype for v in values):
                # Of read-only arrays, default_collate warns.
                batch[name] = torch.from_numpy(np.stack(values))
            else:
                try:
                    batch[name] = _numbers(values) if isinstance(value, np.generic) else default_collate(values)
                except Exception as error:
                    raise explain(samples) from error
        return self._packed(batch)

    def _of_columns(
        self, columns: tuple[ListedColumn, ...], lists: list[list[Any]], dtypes: list[np.dtype[Any] | None]
    ) -> Any:
        """Return the batch of samples by their columns, which become tensors of dtypes, or stay lists."""
        batch: dict[str, Any] = {}
        for column, values, dtype in zip(columns, lists, dtypes, strict=True):
            batch[column.name] = values if dtype is None else _tensor(column, values, dtype)
        return self._packed(batch)

    def _packed(self, batch: dict[str, Any]) -> Any:
        """Return a batch; in a worker, laid out to be sent."""
        if not in_worker():
            return batch
        packer = Packer(self._handover)
        for name, value in batch.items():
            if type(value) is Tensor:
                batch[name] = packer.add_tensor(value)
            elif type(value) is list and value and type(value[0]) in (bytes, str) and packer.takes(value):
                batch[name] = packer.add_list(value)
        return packer.finish(batch)

    def _dtypes(self, columns: tuple[ListedColumn, ...]) -> list[np.dtype[Any] | None] | None:
        if self._known_listed is None or self._known_listed[0] is not columns:
            self._known_listed = columns, _ask_listed(columns)
        return self._known_listed[1]

    def _targets(self, decoder: SampleDecoder) -> list[_Target] | None:
        if self._known is None or self._known[0] is not decoder:
            self._known = decoder, _ask(decoder)
        return self._known[1]


def _numbers(values: list[Any]) -> Any:
    """Collate NumPy's numbers, which ``default_collate`` converts singly."""
    one = default_collate(values[:1])
    array: Any = np.array(values)
    made = torch.from_numpy(array) if type(one) is Tensor else None
    return made if made is not None and made.dtype == one.dtype else default_collate(values)


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


def _gather(rows: FoundRows, indexes: Ints, targets: list[_Target], handover: Handover | None) -> Any:
    count = len(indexes)
    is_one = len(targets) == 1 and not targets[0].converts
    if not in_worker():
        block = rows.gather(indexes)
        if is_one:
            return {targets[0].column.name: torch.from_numpy(_values(block, targets[0].column))}
        batch: Any = {}
        for target in targets:
            array = _values(block, target.column).astype(target.dtype, order="C")
            batch[target.column.name] = torch.from_numpy(array)
        return batch
    packer = Packer(handover)
    shapes = [(count, *target.column.shape) for target in targets]
    places = {t.column.name: packer.add_array(t.dtype, shape) for shape, t in zip(shapes, targets, strict=True)}
    batch = packer.finish(places)
    arrays: list[Any] = [batch.array(places[t.column.name]) for t in targets]
    if is_one:
        rows.gather(indexes, arrays[0].reshape(count, -1).view(np.uint8))
        return batch
    block = rows.gather(indexes)
    for target, array in zip(targets, arrays, strict=True):
        np.copyto(array, _values(block, target.column), casting="unsafe")
    return batch


def _values(block: NDArray[np.uint8], column: FixedColumn) -> NDArray[Any]:
    """Return a column of rows, ``[k, *column.shape]``, a view of them."""
    values: Any = block[:, column.part].view(column.dtype)
    return values.reshape(len(block), *column.shape)
