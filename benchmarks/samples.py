"""The samples that every system writes: the same values everywhere, made from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

COLUMNS = {
    "tokens": {"tokens": "ndarray:uint16:2048"},
    "text": {"text": "str"},
    "small": {"id": "int", "label": "uint8", "weight": "float32", "name": "str", "score": "float64"},
    "images": {"image": "bytes", "label": "int"},
    "columns": {f"c{i}": "int32" for i in range(40)},
}
# Samples of a full run, and the size of a shard in bytes.
SIZES = {"tokens": (65_536, 1 << 26), "text": (40_000, 1 << 24), "small": (200_000, 1 << 20),
         "images": (8_000, 1 << 25), "columns": (100_000, 1 << 22)}  # fmt: skip


def samples(kind: str, count: int) -> Iterator[dict[str, Any]]:
    """Make samples of a kind."""
    random = np.random.default_rng(7)
    if kind == "tokens":
        block = random.integers(0, 50_000, (1024, 2048), np.uint16)
        for i in range(count):
            row = block[i % 1024].copy()
            row[0] = i % 50_000
            yield {"tokens": row}
    elif kind == "text":
        words = ["".join(chr(97 + c) for c in random.integers(0, 26, size)) for size in random.integers(2, 11, 5000)]
        ranks = (random.zipf(1.2, 1 << 20) - 1) % 5000
        lengths = random.lognormal(5.5, 0.8, count).astype(int) + 10
        starts = random.integers(0, len(ranks) - 20_000, count)
        for length, start in zip(np.minimum(lengths, 15_000).tolist(), starts.tolist(), strict=True):
            yield {"text": " ".join([words[r] for r in ranks[start : start + length].tolist()])}
    elif kind == "small":
        for i in range(count):
            yield {
                "id": i,
                "label": np.uint8(i % 10),
                "weight": np.float32(i / 3),
                "name": f"sample {i}",
                "score": i / 7,
            }
    elif kind == "images":
        block = random.bytes(1 << 20)
        for i, size in enumerate(random.integers(20_000, 34_000, count).tolist()):
            yield {"image": block[i % 1000 : i % 1000 + size], "label": i}
    elif kind == "columns":
        for i in range(count):
            yield {f"c{j}": np.int32(i + j) for j in range(40)}
    else:
        raise ValueError(f"No samples of kind {kind!r}; known: {', '.join(COLUMNS)}.")
