"""The MDS format: one file holding a table of offsets, its own description, and the samples.

Layout, all numbers little-endian::

    u32 n | u32 offset[n + 1] | config, JSON | sample 0 | sample 1 | ...

A sample is the u32 sizes of its variable-size columns, then the bytes of all columns in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any

from streaming.core.errors import (
    ColumnSizeError,
    SampleError,
    ShardTooLargeError,
)
from streaming.format.encodings import encodings, get_encoding, is_mds_encoding
from streaming.format.kinds.layout import encode_offsets, null_value, value_of
from streaming.format.kinds.mds_encoder import compile_encoder
from streaming.format.samples.options import MAX_SHARD_BYTES, WriteOptions, check_columns, dump_config

__all__ = ["MDSShardEncoder"]


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
        self._encode = compile_encoder(list(columns), coders, sizes, self._encode_slowly)
        self.config: bytes = dump_config(self._fields)
        self.base_bytes: int = 8 + len(self.config)

    def index_fields(self) -> dict[str, Any]:
        """Return what the index says of every shard alike."""
        return dict(self._fields)

    def encode_sample(self, sample: Mapping[str, Any]) -> bytes:
        """Encode a sample. Values that are no columns are ignored.

        Raises:
            SampleError: A column is missing, or its value does not fit its encoding.
            ShardTooLargeError: A value takes 4 GiB or more.
        """
        return self._encode(sample)

    def _encode_slowly(self, sample: Mapping[str, Any]) -> bytes:
        sizes: list[int] = []
        parts = [b""]
        for name, encoding, encode, size, passes_bytes in self._plan:
            value = value_of(sample, name)
            if passes_bytes and isinstance(value, bytes):
                data = value
            else:
                try:
                    data = encode(value)
                except SampleError as error:
                    if value is None:
                        raise null_value(name, encoding) from None
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
        return {"data": b"".join(self.encode_pieces(samples))}

    def encode_pieces(self, samples: Sequence[bytes]) -> list[bytes]:
        """Lay out a shard, without putting its one file together."""
        first = self.base_bytes + self.extra_bytes_per_sample * len(samples)
        return [encode_offsets(samples, first), self.config, *samples]
