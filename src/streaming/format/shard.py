"""A shard on local disk: mapped, checked once, then read sample by sample or many at a time."""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streaming.core.errors import (
    MissingDependencyError,
    ShardFormatError,
    UnknownNameError,
)
from streaming.format.formats import get_decoder
from streaming.format.index import ShardInfo
from streaming.format.index.files import FileInfo
from streaming.format.samples.rows import Rows
from streaming.format.samples.sample import OFFSETS, ReadSample, SampleDecoder, SampleTable
from streaming.format.samples.schema import Schema

__all__ = ["NameSample", "Shard", "open_shard"]

_MIN_ROWS = 4  # from here on, gathering rows beats decoding them one by one

Buffer = mmap.mmap | bytes
#: From the number of a sample, and what reads a column of it (``None`` where it cannot), to what people call the sample.
NameSample = Callable[[int, Callable[[str], Any]], str]


def open_shard(
    info: ShardInfo,
    directory: str,
    statuses: list[os.stat_result] | None = None,
    columns: tuple[str, ...] | None = None,
    name: NameSample | None = None,
) -> Shard:
    """Map a shard's files and check them against the index and against themselves.

    Args:
        info: The shard's entry in the index.
        directory: Local directory of the index.
        statuses: What was opened, a file each, is appended here.
        columns: Names of the columns that samples are to have, in that order; ``None`` for all.
        name: What samples are called in errors; ``None``: by the file and their number.

    Returns:
        The shard.

    Raises:
        FileNotFoundError: A file is not there.
        ShardFormatError: A file is not what the index says, contradicts itself, or is in a directory outside of
            ``directory``, to which a link leads.
        UnknownNameError: A column has an encoding that nobody registered.
    """
    decoder = get_decoder(info.schema, columns)
    paths = [os.path.join(directory, file.basename) for file in info.raw]
    opened: list[os.stat_result] = [] if statuses is None else statuses
    buffers = [_map(path, file, directory, opened) for path, file in zip(paths, info.raw, strict=True)]
    try:
        offsets = _read_offsets(buffers[0], info.samples, paths[0])
        first = None if info.schema.is_split else 4 * (info.samples + 2)
        _check_offsets(offsets, len(buffers[-1]), first, decoder, paths[0])
    except BaseException:
        for buffer in buffers:
            _unmap(buffer)
        raise
    return Shard(paths[-1], buffers, offsets, decoder, _Fault(info.schema, name))


class Shard:
    """Samples of a shard, decoded on request. Made by :func:`open_shard`.

    Safe to read from several threads.

    Args:
        path: Of the data file, for error texts.
        buffers: The files; the first begins with the offsets, the last holds the samples.
        offsets: ``uint32[n + 1]``, view of the first buffer, checked.
        decoder: How a sample is read.
        fault: What tells which sample, and which column of it, cannot be read.

    Attributes:
        decoder: How a sample is read.
        samples: Where its samples are.
        get: Decodes a sample, by its index from 0 up to, not including, the number of samples. Returns its columns, whose
            values own their memory: they outlive the shard. Raises ``IndexError`` if there is no such sample,
            ``ShardFormatError`` if its bytes are not what its columns say, ``ValueError`` once the shard is closed.
    """

    def __init__(
        self,
        path: str,
        buffers: list[Buffer],
        offsets: NDArray[np.uint32],
        decoder: SampleDecoder,
        fault: _Fault,
    ) -> None:
        self._path = path
        self._buffers = buffers
        self._table = buffers[0]
        self._data = buffers[-1]
        self._num_samples = len(offsets) - 1
        self.decoder = decoder
        self._decode_rows = decoder.decode_rows
        self._rows: Rows | None = None
        first, count = int(offsets[0]), self._num_samples
        if decoder.row_bytes:
            # Offsets were checked to be one row apart.
            shape = count, decoder.row_bytes
            rows: Any = np.frombuffer(self._data, np.uint8, prod(shape), first)
            self._rows = Rows.of(rows.reshape(shape))
        # Nothing in it leads back here, or a shard that nobody uses would stay mapped until the garbage collector comes.
        outside, failed = partial(_no_sample, path, count), partial(_explain, path, self._data, self._table, fault)
        self.samples = SampleTable(self._data, self._table, first, count, outside, failed)
        self.get: ReadSample = decoder.bind(self.samples)

    def __len__(self) -> int:
        return max(self._num_samples, 0)

    @property
    def path(self) -> str:
        """Path of the data file."""
        return self._path

    @property
    def nbytes(self) -> int:
        """Bytes of the files that are mapped."""
        return sum(map(len, self._buffers))

    def sample_bytes(self, sample_id: int) -> bytes:
        """Return a sample as it is stored.

        Raises:
            IndexError: There is no such sample.
            ValueError: The shard is closed.
        """
        if not 0 <= sample_id < self._num_samples:
            _no_sample(self._path, self._num_samples, sample_id)
        begin, end = OFFSETS.unpack_from(self._table, 4 + 4 * sample_id)
        return self._data[begin:end]

    def get_many(self, sample_ids: ArrayLike) -> list[dict[str, Any]]:
        """Decode samples, gathering them in one operation where all their columns are fixed-size.

        Args:
            sample_ids: ``int64[k]``, in any order, repeats allowed.

        Returns:
            The ``k`` samples: the same values that :meth:`get` gives. Arrays of one call may share
            a block of memory.

        Raises:
            IndexError: There is no such sample.
            ShardFormatError: Bytes are not what their columns say.
            ValueError: The shard is closed.
        """
        ids = np.asarray(sample_ids, np.int64)
        rows = self._rows
        if rows is None or self._decode_rows is None or len(ids) < _MIN_ROWS:
            return [self.get(sample_id) for sample_id in ids.tolist()]
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= self._num_samples:
            _no_sample(self._path, self._num_samples, low if low < 0 else high)
        taken = self.decoder.taken
        return self._decode_rows(rows.array[ids] if taken is None else rows.array[:, taken][ids])

    @property
    def rows(self) -> Rows | None:
        """All samples as they are stored, if they are of one size that is known."""
        return self._rows

    def close(self) -> None:
        """Unmap the files. What was decoded stays valid. Closing twice is fine."""
        self._rows = None
        self._table = self._data = b""
        self._num_samples = -1
        self.get = partial(_no_sample, self._path, -1)
        self.samples: SampleTable = replace(self.samples, data=b"", table=b"", count=-1)
        buffers, self._buffers = self._buffers, []
        for buffer in buffers:
            _unmap(buffer)


def _no_sample(path: str, num_samples: int, sample_id: int) -> NoReturn:
    if num_samples < 0:
        raise ValueError(f"Shard {path} is closed.")
    raise IndexError(f"No sample {sample_id}: shard {path} has {num_samples} samples.")


@dataclass(frozen=True)
class _Fault:
    """Tells which sample, and which column of it, cannot be read.

    Attributes:
        schema: Of the samples.
        name: What samples are called; ``None``: by the file and their number.
    """

    schema: Schema
    name: NameSample | None

    def place(self, path: str, data: Buffer, table: Buffer, sample_id: int) -> str:
        """Return where the fault is, for people."""

        def read(*columns: str) -> Any:
            begin, end = OFFSETS.unpack_from(table, 4 + 4 * sample_id)
            return get_decoder(self.schema, columns).read(data, begin, end)

        def look_up(column: str) -> Any:
            with contextlib.suppress(Exception):  # it is not there, or cannot be read either
                return read(column)[column]
            return None

        where = f"Shard {path}, sample {sample_id}" if self.name is None else self.name(sample_id, look_up)
        column = ""
        try:
            read()  # its parts are where they are said to be
            for column in self.schema.column_names:
                read(column)
        except Exception:
            return f"{where}, column {column!r}" if column else where
        return where


def _explain(path: str, data: Buffer, table: Buffer, fault: _Fault, sample_id: int, error: Exception) -> NoReturn:
    if isinstance(error, (MissingDependencyError, UnknownNameError, MemoryError)):
        raise error
    if isinstance(data, mmap.mmap) and data.closed:
        raise ValueError(f"Shard {path} is closed.") from error
    where = fault.place(path, data, table, sample_id)
    raise ShardFormatError(f"{where}: {type(error).__name__}: {error}") from error


def _map(path: str, file: FileInfo, directory: str, statuses: list[os.stat_result]) -> Buffer:
    folder = os.path.dirname(path)
    # A file itself may be a link: that is how the user keeps it (the caches of hubs, of DVC and of git-annex do). An index
    # makes none, but can name one: a directory of the user's that is a link is no part of the dataset.
    if folder != directory:
        root, real = os.path.realpath(directory), os.path.realpath(folder)
        if os.path.commonpath([root, real]) != root:
            raise ShardFormatError(f"Shard file {path} leads out of the dataset's directory, to {real}: not opened.")
    # Opening a pipe would wait for its other end without O_NONBLOCK.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        statuses.append(status)
        if not stat.S_ISREG(status.st_mode):
            raise ShardFormatError(f"Shard file {path} is not a regular file. Remove it.")
        if status.st_size != file.bytes:
            raise ShardFormatError(
                f"Shard file {path} has {status.st_size} bytes; the index says {file.bytes}. It is "
                f"damaged or belongs to another dataset: delete it, so that it is fetched again."
            )
        if not status.st_size:
            return b""
        if sys.version_info >= (3, 13):
            # The map needs no descriptor of its own, so open shards do not use them up.
            return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ, trackfd=False)
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _unmap(buffer: Buffer) -> None:
    if isinstance(buffer, mmap.mmap):
        # While somebody still reads a view of it, it cannot be closed: it goes with the last view.
        with contextlib.suppress(BufferError):
            buffer.close()


def _read_offsets(table: Buffer, num_samples: int, path: str) -> NDArray[np.uint32]:
    if num_samples < 0:  # who made a reader by hand has left that to the file
        num_samples = int.from_bytes(table[:4], "little")
    if len(table) < 4 * (num_samples + 2):
        raise ShardFormatError(
            f"Shard file {path} has {len(table)} bytes: too few for the offsets of {num_samples} samples."
        )
    count = int.from_bytes(table[:4], "little")
    if count != num_samples:
        raise ShardFormatError(f"Shard file {path} holds {count} samples; the index says {num_samples}.")
    return np.frombuffer(table, "<u4", num_samples + 1, 4)


def _check_offsets(
    offsets: NDArray[np.uint32],
    data_bytes: int,
    table_bytes: int | None,
    decoder: SampleDecoder,
    path: str,
) -> None:
    if table_bytes is not None and int(offsets[0]) < table_bytes:
        raise ShardFormatError(f"Shard file {path}: the first sample, at {offsets[0]}, overlaps the table of offsets.")
    if int(offsets[-1]) != data_bytes:
        raise ShardFormatError(f"Shard file {path}: samples end at {offsets[-1]}, the data at {data_bytes}.")
    sizes = np.diff(offsets.astype(np.int64))
    low, high = decoder.min_bytes, data_bytes if decoder.row_bytes is None else decoder.row_bytes
    wrong = np.flatnonzero((sizes < low) | (sizes > high))
    if len(wrong):
        raise ShardFormatError(
            f"Shard file {path}: sample {wrong[0]} has {sizes[wrong[0]]} bytes, expected {low} to {high}."
        )
