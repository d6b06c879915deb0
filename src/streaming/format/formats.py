"""The shard formats by name: how each is written and how its samples are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streaming.core.registry import Registry
from streaming.format.encodings import encodings
from streaming.format.kinds import jsonl, mds, mds_decoder, xsv
from streaming.format.samples.options import WriteOptions
from streaming.format.samples.sample import SampleDecoder, pick
from streaming.format.samples.schema import SEPARATORS, Schema

__all__ = ["ShardEncoder", "ShardFormat", "column_names", "empty_bytes", "formats", "get_decoder", "make_shard_encoder"]


class ShardEncoder(Protocol):
    """Turns samples into the bytes of shards. Pure: it does no I/O and keeps no samples.

    The data file of a shard has ``base_bytes + sum(len(sample) + extra_bytes_per_sample)`` bytes in
    the MDS format; the others count lines alone. That is what a size limit is held against.
    """

    @property
    def format(self) -> str:
        """Name of the format."""
        ...

    @property
    def roles(self) -> tuple[str, ...]:
        """The files of a shard: ``('data',)`` or ``('data', 'meta')``."""
        ...

    @property
    def config(self) -> bytes:
        """What a shard says of itself, as JSON."""
        ...

    @property
    def base_bytes(self) -> int:
        """Size of a shard without samples, as held against a size limit."""
        ...

    @property
    def extra_bytes_per_sample(self) -> int:
        """What a sample adds beside its own bytes."""
        ...

    def encode_sample(self, sample: Mapping[str, Any]) -> bytes:
        """Return the bytes of a sample."""
        ...

    def encode_shard(self, samples: Sequence[bytes]) -> dict[str, bytes]:
        """Return the contents of the file of each role."""
        ...

    def index_fields(self) -> dict[str, Any]:
        """Return what the index says of every shard alike."""
        ...


@dataclass(frozen=True)
class ShardFormat:
    """A shard format.

    Args:
        make_encoder: ``(columns, options, newline, separator) -> ShardEncoder``.
        compile_decoder: From a schema to how its samples are read.
        compile_some: From a schema and the names of some of its columns to how these alone are read, in that order;
            ``None``: samples are read whole, and the columns picked out of them.
    """

    make_encoder: Callable[[Mapping[str, str], WriteOptions, str, str | None], ShardEncoder]
    compile_decoder: Callable[[Schema], SampleDecoder]
    compile_some: Callable[[Schema, Sequence[str]], SampleDecoder] | None = None


def _xsv(name: str) -> ShardFormat:
    return ShardFormat(
        lambda columns, options, newline, separator: xsv.XSVShardEncoder(columns, options, name, newline, separator),
        xsv.compile_decoder,
        xsv.compile_decoder,
    )


#: Shard formats by name.
formats: Registry[ShardFormat] = Registry(
    "shard format",
    {
        "mds": ShardFormat(
            lambda columns, options, _newline, _separator: mds.MDSShardEncoder(columns, options),
            mds_decoder.compile_decoder,
            mds_decoder.compile_decoder,
        ),
        "json": ShardFormat(
            lambda columns, options, newline, _separator: jsonl.JSONShardEncoder(columns, options, newline),
            jsonl.compile_decoder,
        ),
        "xsv": _xsv("xsv"),
        "csv": _xsv("csv"),
        "tsv": _xsv("tsv"),
    },
)


def make_shard_encoder(
    format: str,
    *,
    columns: Mapping[str, str],
    compression: str | None = None,
    hashes: Sequence[str] | None = None,
    size_limit: int | str | None = 1 << 26,
    newline: str = "\n",
    separator: str | None = None,
) -> ShardEncoder:
    r"""Make the encoder of a format.

    Args:
        format: ``'mds'``, ``'json'``, ``'xsv'``, ``'csv'`` or ``'tsv'``.
        columns: Encoding of each column by its name.
        compression: ``'family'`` or ``'family:level'`` that the writer will compress files with.
        hashes: Names of the hash algorithms that the writer will record, sorted.
        size_limit: Largest size of a shard that the writer aims at, such as ``'64mb'``; ``None`` or
            0: no limit.
        newline: What ends a line (not for ``'mds'``).
        separator: What stands between fields (``'xsv'`` alone).

    Returns:
        The encoder.

    Raises:
        ConfigError: An argument is wrong.

    Example:
        >>> encoder = make_shard_encoder("csv", columns={"b": "str", "a": "int"})
        >>> encoder.encode_shard([encoder.encode_sample({"a": 7, "b": "hi"})])["data"]
        b'a,b\n7,hi\n'
    """
    options = WriteOptions.check(compression, hashes, size_limit)
    return formats[format].make_encoder(columns, options, newline, separator)


def column_names(encoder: ShardEncoder) -> list[str]:
    """Return the names of the columns of an encoder, in the order in which they are stored."""
    fields = encoder.index_fields()
    return list(fields.get("column_names") or fields.get("columns") or ())


def empty_bytes(schema: Schema) -> int:
    """Return the bytes of a shard without samples, its meta file included.

    Args:
        schema: Of its samples.

    Raises:
        ConfigError: Nothing here writes such shards.
    """
    encoder = make_shard_encoder(
        schema.format,
        columns=dict(zip(schema.column_names, schema.column_encodings, strict=True)),
        compression=schema.compression,
        hashes=schema.hashes,
        size_limit=schema.size_limit,
        newline=schema.newline or "\n",
        separator=None if schema.format in SEPARATORS else schema.separator,
    )
    return sum(map(len, encoder.encode_shard([]).values()))


def get_decoder(schema: Schema, columns: tuple[str, ...] | None = None) -> SampleDecoder:
    """Return how samples of a schema are read: one object for each schema and columns, whichever threads ask at once.

    Args:
        schema: What the samples have in common.
        columns: Names of the columns that a sample is to have, each one of the schema's, in that order; ``None`` for all.

    Raises:
        UnknownNameError: A column has an encoding that nobody registered.
    """
    key = schema, columns, encodings.generation
    found = _decoders.get(key)
    if found is None:
        if len(_decoders) >= _MOST_DECODERS:
            _decoders.clear()
        kind = formats[schema.format]
        if columns is None:
            made = kind.compile_decoder(schema)
        elif kind.compile_some is not None:
            made = kind.compile_some(schema, columns)
        else:
            made = pick(kind.compile_decoder(schema), columns)
        found = _decoders.setdefault(key, made)
    return found


_MOST_DECODERS = 1024
_decoders: dict[tuple[Schema, tuple[str, ...] | None, int], SampleDecoder] = {}
