"""A map-style data set of images and classes, such as torchvision's, to MDS."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from streaming.converters.programs import shuffled
from streaming.writing.bulk.write import write

__all__ = ["convert_image_class_dataset"]


def convert_image_class_dataset(
    dataset: Any,
    out_root: str,
    split: str | None = None,
    compression: str | None = None,
    hashes: Sequence[str] | None = None,
    size_limit: int = 1 << 24,
    progress_bar: bool = True,
    leave: bool = False,
    encoding: str = "pil",
) -> None:
    """Write pairs of an image and a class as the columns ``i``, ``x`` and ``y``, in random order.

    Args:
        dataset: Has a length, and a pair at each index from 0.
        out_root: Where to write: a directory or a URL.
        split: Sub-directory of it.
        compression: Of shards, as for :func:`streaming.write`.
        hashes: Of files, likewise.
        size_limit: Bytes of a shard.
        progress_bar: Show one.
        leave: Accepted; bars never stay.
        encoding: Of the images: ``'pil'``, ``'jpeg'`` or ``'png'``.
    """
    del leave

    def samples() -> Iterator[dict[str, Any]]:
        for i in shuffled(len(dataset)):
            image, label = dataset[i]
            yield {"i": i, "x": image, "y": int(np.asarray(label))}

    write(
        samples(),
        os.path.join(out_root, split) if split else out_root,
        {"i": "int", "x": encoding, "y": "int"},
        compression=compression,  # pyright: ignore[reportArgumentType] - so is its name
        hashes=list(hashes) if hashes else None,  # pyright: ignore[reportArgumentType] - names are checked there
        size_limit=size_limit,
        progress_bar=progress_bar,
    )
