"""The MDS format: one file holding a table of offsets, its own description, and the samples.

Layout, all numbers little-endian::

    u32 n | u32 offset[n + 1] | config, JSON | sample 0 | sample 1 | ...

A sample is the u32 sizes of its variable-size columns, then the bytes of all columns in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from struct import Struct
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import (
    ColumnSizeError,
    SampleError,
    ShardFormatError,
    ShardTooLargeError,
)
from streaming.format.encodings import Encoding, encodings, get_encoding, is_mds_encoding
from streaming.format.encodings.base import RowsEncoding, decodes_many
from streaming.format.layout import encode_offsets, missing_column
from streaming.format.options import MAX_SHARD_BYTES, WriteOptions, check_columns, dump_config
from streaming.format.sample import SampleDecoder
from streaming.format.schema import Schema

__all__ = ["MDSShardEncoder", "compile_decoder"]


class MDSShardEncoder:
    """Turns samples into the bytes of MDS shards.

    Args:
        columns: Encoding of each column by its name.
        options: How shards are written.

    Raises:
        UnknownEncodingError: An encoding does not exist.
    """

    format = "mds"
    roles = ("data",)
    extra_bytes_per_sample = 4  # its offset

    def __init__(self, columns: Mapping[str, str], options: WriteOptions) -> None:
        columns = check_columns(columns, is_mds_encoding, list(encodings))
        coders = [get_encoding(encoding) for encoding in columns.values()]
        sizes = [getattr(coder, "size", None) or None for coder in coders]
        self._plan = [
            (name, encoding, coder.encode, size, getattr(coder, "passes_bytes", True))
            for (name, encoding), coder, size in zip(columns.items(), coders, sizes, strict=True)
        ]
        self._pack_sizes = Struct(f"<{sizes.count(None)}I").pack
        self._fields = {
            "column_encodings": list(columns.values()),
            "column_names": list(columns),
            "column_sizes": sizes,
            "format": self.format,
            "version": 2,
            **options.fields(),
        }
        self.config = dump_config(self._fields)
        self.base_bytes = 8 + len(self.config)

    def index_fields(self) -> dict[str, Any]:
        """Return what the index says of every shard alike."""
        return dict(self._fields)

    def encode_sample(self, sample: Mapping[str, Any]) -> bytes:
        """Encode a sample. Values that are no columns are ignored.

        Raises:
            SampleError: A column is missing, or its value does not fit its encoding.
            ShardTooLargeError: A value takes 4 GiB or more.
        """
        sizes: list[int] = []
        parts = [b""]
        for name, encoding, encode, size, passes_bytes in self._plan:
            try:
                value = sample[name]
            except KeyError:
                raise missing_column(name, sample) from None
            if passes_bytes and isinstance(value, bytes):
                data = value
            else:
                try:
                    data = encode(value)
                except SampleError as error:
                    raise type(error)(f"Column {name!r} ({encoding}): {error}") from error
            if size is None:
                sizes.append(len(data))
            elif len(data) != size:
                raise ColumnSizeError(
                    f"Column {name!r} ({encoding}) takes {size} bytes, got {len(data)} of {type(value).__name__}."
                )
            parts.append(data)
        try:
            parts[0] = self._pack_sizes(*sizes)
        except Exception as error:
            raise ShardTooLargeError(
                f"A value of {max(sizes)} bytes is too large: a shard holds at most {MAX_SHARD_BYTES}."
            ) from error
        return b"".join(parts)

    def encode_shard(self, samples: Sequence[bytes]) -> dict[str, bytes]:
        """Lay out a shard.

        Args:
            samples: What :meth:`encode_sample` returned, in order.

        Returns:
            The contents of the file of each role.

        Raises:
            ShardTooLargeError: It would pass 4 GiB, which its offsets cannot address.
        """
        first = self.base_bytes + self.extra_bytes_per_sample * len(samples)
        offsets = encode_offsets(samples, first)
        return {"data": b"".join([offsets, self.config, *samples])}


def compile_decoder(schema: Schema) -> SampleDecoder:
    """Prepare to read samples of a schema: everything that can be known beforehand is.

    Args:
        schema: An MDS schema.

    Returns:
        The decoder.

    Raises:
        UnknownNameError: A column has an encoding that nobody registered.
    """
    names = schema.column_names
    coders = [get_encoding(encoding) for encoding in schema.column_encodings]
    sizes = [size or None for size in schema.column_sizes]
    fixed_bytes = sum(size for size in sizes if size is not None)
    decodes = [coder.decode for coder in coders]
    if None in sizes:
        min_bytes = fixed_bytes + 4 * sizes.count(None)
        return SampleDecoder(_decode_variable(names, decodes, sizes), min_bytes)
    ends = list(accumulate((size or 0 for size in sizes), initial=0))
    columns = [
        (name, decode, slice(begin, end))
        for name, decode, begin, end in zip(names, decodes, ends, ends[1:], strict=False)
    ]
    return SampleDecoder(
        _decode_fixed(columns, fixed_bytes),
        fixed_bytes,
        fixed_bytes,
        _decode_rows(columns, coders),
    )


_Decode = Callable[[bytes], Any]


def _decode_fixed(columns: Sequence[tuple[str, _Decode, slice]], row_bytes: int) -> Callable[[bytes], dict[str, Any]]:
    if len(columns) == 1:
        ((only_name, only_decode, _),) = columns

        def decode_one(data: bytes) -> dict[str, Any]:
            if len(data) != row_bytes:
                raise _wrong_size(len(data), row_bytes)
            return {only_name: only_decode(data)}

        return decode_one

    def decode_all(data: bytes) -> dict[str, Any]:
        if len(data) != row_bytes:
            raise _wrong_size(len(data), row_bytes)
        return {name: decode(data[part]) for name, decode, part in columns}

    return decode_all


def _decode_variable(
    names: Sequence[str], decodes: Sequence[_Decode], sizes: Sequence[int | None]
) -> Callable[[bytes], dict[str, Any]]:
    words = Struct(f"<{sizes.count(None)}I")
    first = words.size
    unpack = words.unpack_from
    if len(names) == 1:
        (only_name,), (only_decode,) = names, decodes

        def decode_one(data: bytes) -> dict[str, Any]:
            if unpack(data)[0] != len(data) - first:
                raise _wrong_size(len(data), unpack(data)[0] + first)
            return {only_name: only_decode(data[first:])}

        return decode_one

    columns = list(zip(names, decodes, sizes, strict=True))

    def decode_all(data: bytes) -> dict[str, Any]:
        variable = iter(unpack(data))
        begin = first
        sample: dict[str, Any] = {}
        for name, decode, size in columns:
            end = begin + (size or next(variable))
            sample[name] = decode(data[begin:end])
            begin = end
        if begin != len(data):
            raise _wrong_size(len(data), begin)
        return sample

    return decode_all


def _decode_rows(
    columns: Sequence[tuple[str, _Decode, slice]], coders: Sequence[Encoding]
) -> Callable[[NDArray[np.uint8]], list[dict[str, Any]]] | None:
    if not columns or not all(map(decodes_many, coders)):
        return None
    parts = [
        (cast("RowsEncoding", coder).decode_many, part) for coder, (_, _, part) in zip(coders, columns, strict=True)
    ]
    names = [name for name, _, _ in columns]

    if len(columns) == 1:
        (only_name,), ((only_decode, _),) = names, parts
        return lambda rows: [{only_name: value} for value in only_decode(rows)]

    def decode_rows(rows: NDArray[np.uint8]) -> list[dict[str, Any]]:
        values = [decode(np.ascontiguousarray(rows[:, part])) for decode, part in parts]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    return decode_rows


def _wrong_size(found: int, stated: int) -> ShardFormatError:
    return ShardFormatError(f"its columns take {stated} bytes, it has {found}")
