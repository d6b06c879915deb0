"""How the shards of a bulk write are made, and the steps of making them that run in worker processes."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, cast

import numpy as np

from streaming.core.arrays import is_tensor
from streaming.core.errors import SampleError, ShardTooLargeError, UploadError
from streaming.core.text import advice_on
from streaming.format.encodings import mds_encode
from streaming.format.encodings.compatible import check_compatible
from streaming.format.encodings.image import jpeg_file_of
from streaming.format.formats import ShardEncoder, make_shard_encoder
from streaming.writing.build import build_shard
from streaming.writing.options import WriterOptions, checked_columns

__all__ = ["Piece", "Recipe", "encode_row", "encode_rows", "freeze_row", "join_samples", "make_files", "make_recipe"]

_JPEG = {"jpeg", "list[jpeg]", "jpeg?", "list[jpeg]?"}
_NUMBERS = {np.dtype(f"{kind}{size}").type for kind in "iu" for size in (1, 2, 4, 8)} | {
    np.float16,
    np.float32,
    np.float64,
}
#: Types, not their subclasses, whose values never change.
_IMMUTABLE = frozenset({str, bytes, int, float, bool, type(None), Decimal, np.bool_, np.str_, *_NUMBERS})

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


def make_recipe(columns: Mapping[str, str], options: WriterOptions, compatible: bool) -> Recipe:
    """Return how shards are made, all of it checked.

    Args:
        columns: Encoding of each column.
        options: Of the writer.
        compatible: Whether ``mosaicml-streaming`` must be able to read them.

    Raises:
        ConfigError: There is no such encoding, or it cannot.
    """
    recipe = Recipe(
        tuple(sorted(checked_columns(columns).items())),
        options.compression,
        tuple(options.hashes or ()),
        options.most_bytes,
    )
    _ = recipe.encoder
    if compatible:
        check_compatible(dict(recipe.columns))
    return recipe


def freeze_row(recipe: Recipe, number: int, row: Mapping[str, Any]) -> dict[str, Any] | bytes:
    """Return a row with the values that it has now, whatever becomes of them, to be sent to a worker.

    Args:
        recipe: How it will be encoded.
        number: Its number in the dataset, for error texts.
        row: The row.

    Returns:
        A row of values that cannot change, or that are copies. If some cannot be copied simply: a pickle of it. A row that
        cannot be pickled, or has tensors, is encoded here already, and that pickled.

    Raises:
        SampleError: It does not fit the columns, which was seen by encoding it.
        ShardTooLargeError: It is too large.
    """
    try:
        wanted = {name: row[name] for name, _ in recipe.columns if name in row}
        simple = True
        for name, value in wanted.items():
            if type(value) is np.ndarray and value.dtype.kind in "biuf":
                wanted[name] = value.copy()
            elif is_tensor(value):  # PyTorch does not read back each of those that it pickles
                return pickle.dumps(encode_row(recipe, number, row), protocol=5)
            elif type(value) not in _IMMUTABLE:
                simple = False
        if simple:
            return wanted
        for name, encoding in recipe.columns:
            if encoding in _JPEG and name in wanted:
                wanted[name] = _with_files(encoding, wanted[name])
        return pickle.dumps(wanted, protocol=5)
    except Exception:  # whatever a value's own pickling raises; encoding says what is wrong, if anything is
        return pickle.dumps(encode_row(recipe, number, row), protocol=5)


def _with_files(encoding: str, value: Any) -> Any:
    """Return images encoded already if they are stored as their files, which they forget on the way to a process."""
    if not isinstance(value, list):
        return jpeg_file_of(value) or value
    images = cast("list[Any]", value)
    return mds_encode(encoding, images) if any(jpeg_file_of(image) is not None for image in images) else images


def encode_row(recipe: Recipe, number: int, row: Mapping[str, Any]) -> bytes:
    """Encode a row.

    Args:
        recipe: How.
        number: Its number in the dataset, for error texts.
        row: The row.

    Raises:
        SampleError: It does not fit the columns; the text says which row it is.
        ShardTooLargeError: It is too large.
    """
    try:
        return recipe.encoder.encode_sample(row)
    except (SampleError, ShardTooLargeError) as error:
        raise type(error)(f"Sample {number}: {error}") from error


def encode_rows(recipe: Recipe, first: int, rows: Sequence[dict[str, Any] | bytes]) -> Piece:
    """Encode rows.

    Args:
        recipe: How.
        first: Number of the first of them in the dataset, for error texts.
        rows: What :func:`freeze_row` made of them.

    Raises:
        SampleError: A row does not fit the columns; the text says which.
        ShardTooLargeError: One is too large.
    """
    samples: list[bytes] = []
    for number, frozen in enumerate(rows, first):
        row: Mapping[str, Any] | bytes = pickle.loads(frozen) if isinstance(frozen, bytes) else frozen
        samples.append(row if isinstance(row, bytes) else encode_row(recipe, number, row))
    return join_samples(samples)


def join_samples(samples: Sequence[bytes]) -> Piece:
    """Return encoded samples as one piece."""
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

    Raises:
        UploadError: The disk is full, or a file may not be written.
    """
    samples: list[bytes] = []
    for data, sizes in pieces:
        samples += [data[begin:end] for begin, end in pairwise(accumulate(sizes, initial=0))]
    entry, files = build_shard(recipe.encoder, stem, samples, recipe.compression, recipe.hashes)
    written: list[tuple[str, str]] = []
    for name, data in files.items():
        # Named after the process: one that outlives its killed parent for a moment disturbs nobody.
        path = os.path.join(directory, f"{name}.{os.getpid()}")
        try:
            with open(path, "wb") as file:
                file.writelines(data.drain())
        except OSError as error:
            advice = advice_on(error) or "Check free space and permissions."
            raise UploadError(
                f"Could not write {path}: {error.strerror or error}. {advice} The same call again continues."
            ) from error
        written.append((name, path))
    return entry, written
