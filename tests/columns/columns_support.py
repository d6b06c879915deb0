"""A dataset with columns of many encodings, and what its side columns must be."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from streaming import MDSWriter
from streaming.format.index import Index

COLUMNS = {
    "tokens": "ndarray:uint16",
    "age": "int32?",
    "sex": "str",
    "score": "float64",
    "ok": "bool",
    "half": "float16",
    "items": "json",
    "image": "bytes",
    "text": "str?",
    "big": "str_int",
    "price": "str_decimal",
    "pickle": "pkl",
    "fixed": "ndarray:float32:3",
    "n": "int",
}


def sample(i: int) -> dict[str, Any]:
    return {
        "tokens": np.arange(1 + i % 300, dtype=np.uint16),
        "age": None if i % 7 == 0 else i % 100,
        "sex": "FM"[i % 2],
        "score": i / 3,
        "ok": i % 3 == 0,
        "half": np.float16(i / 8),
        "items": [1] * (i % 4),
        "image": b"x" * (i % 11),
        "text": None if i % 5 == 0 else "é" * (i % 6),
        "big": i * 10,
        "price": Decimal(i) / 8,
        "pickle": {},
        "fixed": np.zeros(3, np.float32),
        "n": i,
    }


def write(out: Any, count: int, begin: int = 0, columns: tuple[str, ...] = tuple(COLUMNS), **options: Any) -> None:
    encodings = {name: COLUMNS[name] for name in columns}
    with MDSWriter(columns=encodings, out=out, size_limit=options.pop("size_limit", "16kb"), **options) as writer:
        for i in range(begin, begin + count):
            writer.write({name: value for name, value in sample(i).items() if name in encodings})


def index_of(directory: str | Path) -> Index:
    path = Path(directory) / "index.json"
    return Index.parse(path.read_bytes(), str(path))
