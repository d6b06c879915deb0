"""How the shards of a bulk write are made, and the steps of making them that run in worker processes."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

from streaming.core.errors import SampleError, ShardTooLargeError
from streaming.format.encodings import mds_encode
from streaming.format.formats import ShardEncoder, make_shard_encoder
from streaming.writing.build import build_shard

__all__ = ["Recipe", "encode_rows", "make_files", "pack_rows"]

_JPEG = {"jpeg", "list[jpeg]", "jpeg?", "list[jpeg]?"}

Piece = tuple[bytes, list[int]]
"""Encoded samples one after the other, and the size of each."""


@dataclass(frozen=True)
class Recipe:
    """Everything that the bytes of a shard depend on besides its samples.

    Attributes:
        columns: Name and encoding of each column.
        compression: Compression of the shards' files, or ``None``.
        hashes: Hash algorithms to record.
        size_limit: Largest raw size of a shard in bytes, or ``None``.
    """

    columns: tuple[tuple[str, str], ...]
    compression: str | None
    hashes: tuple[str, ...]
    size_limit: int | None

    @property
    def encoder(self) -> ShardEncoder:
        """The encoder, made once per process."""
        return _encoder(self)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        fields = asdict(self)
        return {**fields, "columns": dict(self.columns), "hashes": list(self.hashes)}


@lru_cache(maxsize=8)
def _encoder(recipe: Recipe) -> ShardEncoder:
    return make_shard_encoder(
        "mds",
        columns=dict(recipe.columns),
        compression=recipe.compression,
        hashes=recipe.hashes,
        size_limit=recipe.size_limit,
    )


def pack_rows(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Return rows as bytes to send to a worker, ``None`` if they cannot be sent."""
    wanted = [{name: row[name] for name, _ in recipe.columns if name in row} for row in rows]
    for name, encoding in recipe.columns:
        if encoding in _JPEG:
            # An image on its way to another process forgets the file that it would be stored as.
            for row in wanted:
                if name in row and _is_from_file(row[name]):
                    row[name] = mds_encode(encoding, row[name])
    try:
        return pickle.dumps(wanted, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError, ValueError):
        return None


def _is_from_file(value: Any) -> bool:
    images: list[Any] = value if isinstance(value, list) else [value]
    return any(getattr(image, "filename", None) for image in images)


def encode_rows(recipe: Recipe, first: int, rows: bytes | Sequence[Mapping[str, Any]]) -> Piece:
    """Encode rows.

    Args:
        recipe: How.
        first: Number of the first of them in the dataset, for error texts.
        rows: The rows, or what :func:`pack_rows` made of them.

    Raises:
        SampleError: A row does not fit the columns; the text says which.
        ShardTooLargeError: One is too large.
    """
    unpacked: Sequence[Mapping[str, Any]] = pickle.loads(rows) if isinstance(rows, bytes) else rows
    encode = recipe.encoder.encode_sample
    samples: list[bytes] = []
    for row in unpacked:
        try:
            samples.append(encode(row))
        except (SampleError, ShardTooLargeError) as error:
            raise type(error)(f"Sample {first + len(samples)}: {error}") from error
    return b"".join(samples), [len(sample) for sample in samples]


def make_files(
    recipe: Recipe, stem: str, pieces: Sequence[Piece], directory: str
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Build a shard and write its files under temporary names.

    Args:
        recipe: How.
        stem: Name of its files up to the format.
        pieces: Its samples.
        directory: Where to write; a file there may be overwritten.

    Returns:
        The shard's entry in the index, and the name and temporary path of each file.
    """
    samples: list[bytes] = []
    for data, sizes in pieces:
        samples += [data[begin:end] for begin, end in pairwise(accumulate(sizes, initial=0))]
    entry, files = build_shard(recipe.encoder, stem, samples, recipe.compression, recipe.hashes)
    written: list[tuple[str, str]] = []
    for name, data in files.items():
        # Named after the process: one that outlives its killed parent for a moment disturbs nobody.
        path = os.path.join(directory, f"{name}.{os.getpid()}")
        with open(path, "wb") as file:
            file.writelines(data.drain())
        written.append((name, path))
    return entry, written
