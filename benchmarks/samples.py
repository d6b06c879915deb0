"""The samples that every system writes: the same values everywhere, made from a seed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

COLUMNS = {
    "tokens": {"tokens": "ndarray:uint16:2048"},
    "text": {"text": "str"},
    "small": {"id": "int", "label": "uint8", "weight": "float32", "name": "str", "score": "float64"},
    "images": {"image": "bytes", "label": "int"},
    "jpeg": {"image": "jpeg"},
    "columns": {f"c{i}": "int32" for i in range(40)},
    "tiny": {"id": "int"},
}


def tokens(count: int) -> Iterator[dict[str, Any]]:
    block = np.random.default_rng(7).integers(0, 50_000, (1024, 2048), np.uint16)
    for i in range(count):
        row = block[i % 1024].copy()
        row[0] = i % 50_000
        yield {"tokens": row}


def text(count: int) -> Iterator[dict[str, Any]]:
    """Documents of 2.1 KB on average, with the word frequencies of a language."""
    random = np.random.default_rng(7)
    words = ["".join(chr(97 + c) for c in random.integers(0, 26, size)) for size in random.integers(2, 11, 5000)]
    ranks = ((random.zipf(1.2, 1 << 20) - 1) % 5000).tolist()
    lengths = np.minimum(random.lognormal(5.2, 0.8, count).astype(int) + 10, 15_000)
    starts = random.integers(0, len(ranks) - 20_000, count)
    for length, start in zip(lengths.tolist(), starts.tolist(), strict=True):
        yield {"text": " ".join([words[r] for r in ranks[start : start + length]])}


def small(count: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        label, weight = np.uint8(i % 10), np.float32(i / 3)
        yield {"id": i, "label": label, "weight": weight, "name": f"sample {i}", "score": np.float64(i / 7)}


def images(count: int) -> Iterator[dict[str, Any]]:
    """Bytes of the size of a JPEG, 27 KB, that nobody decodes."""
    random = np.random.default_rng(7)
    block = random.bytes(1 << 20)
    for i, size in enumerate(random.integers(20_000, 34_000, count).tolist()):
        yield {"image": block[i % 1000 : i % 1000 + size], "label": i}


def jpeg(count: int) -> Iterator[dict[str, Any]]:
    """Pictures of 27 KB as JPEG: a smooth field with a little noise."""
    from PIL import Image

    random = np.random.default_rng(7)
    down, across = np.mgrid[0:320, 0:400] / 40
    made = []
    for i in range(min(count, 16)):
        field = 127 + 60 * np.sin(down + i)[..., None] * np.cos(across * (1 + i / 8))[..., None] * [1, 0.7, 0.4]
        pixels = np.clip(field + random.normal(0, 14, (320, 400, 3)), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        made.append(file.getvalue())
    for i in range(count):
        yield {"image": made[i % len(made)]}


def columns(count: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        yield {f"c{j}": np.int32(i + j) for j in range(40)}


def tiny(count: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        yield {"id": i}


KINDS = {
    "tokens": tokens,
    "text": text,
    "small": small,
    "images": images,
    "jpeg": jpeg,
    "columns": columns,
    "tiny": tiny,
}


def samples(kind: str, count: int) -> Iterator[dict[str, Any]]:
    """Make samples of a kind."""
    if kind not in KINDS:
        raise ValueError(f"No samples of kind {kind!r}; known: {', '.join(KINDS)}.")
    return KINDS[kind](count)


def decode_jpeg(data: bytes) -> Any:
    """Return the picture, its pixels decoded."""
    from PIL import Image

    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture
