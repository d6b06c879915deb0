"""Encoding of MDS samples, by a function that is compiled for each dataset's columns.

It takes the values that a column usually gets. Whatever else comes (another type that can be converted, bytes that are
encoded already, a value that does not fit) it passes on to a slow function that looks at everything and says what is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any

import numpy as np

from streaming.format.encodings.array import NDArrayEncoding
from streaming.format.encodings.base import Encoding
from streaming.format.encodings.scalar import Bool, Int, number_of
from streaming.format.encodings.text import Bytes, Str
from streaming.format.samples.sample import MOST_WRITTEN

__all__ = ["compile_encoder"]

Encode = Callable[[Mapping[str, Any]], bytes]


def compile_encoder(
    names: Sequence[str], coders: Sequence[Encoding], sizes: Sequence[int | None], slowly: Encode
) -> Encode:
    """Return a function from a sample to its bytes.

    Args:
        names: Names of the columns.
        coders: Their encodings.
        sizes: Bytes of each column where that is fixed, else ``None``.
        slowly: Encodes any sample, or raises what is wrong with it.
    """
    if len(names) > MOST_WRITTEN:
        return slowly
    known: dict[str, Any] = {"slowly": slowly, "ndarray": np.ndarray}
    lines: list[str] = []
    parts: list[str] = []
    for i, (name, coder, size) in enumerate(zip(names, coders, sizes, strict=True)):
        lines.append(f"v{i} = sample[{name!r}]")
        known[f"encode{i}"] = coder.encode
        check, data = _usual(coder, size, i, known)
        lines.append(f"if {check}: return slowly(sample)")
        lines.append(f"d{i} = {data}")
        if size is not None and data.startswith("encode"):
            lines.append(f"if len(d{i}) != {size}: return slowly(sample)")
        parts.append(f"d{i}")
    lengths = [f"len(d{i})" for i, size in enumerate(sizes) if size is None]
    if lengths:
        known["pack"] = Struct(f"<{len(lengths)}I").pack
        parts.insert(0, f"pack({', '.join(lengths)})")
    if len(parts) == 1:
        result = f"bytes({parts[0]})"  # a copy of what an encoding lends; bytes stay themselves
    elif len(parts) == 2:
        result = " + ".join(parts)
    else:
        result = f"join(({', '.join(parts)}))"
        known["join"] = b"".join
    body = [
        "def encode(sample):",
        "    try:",
        *(f"        {line}" for line in lines),
        f"        return {result}",
        "    except Exception:",
        "        return slowly(sample)",
    ]
    exec("\n".join(body), known)
    return known["encode"]


def _usual(coder: Encoding, size: int | None, i: int, known: dict[str, Any]) -> tuple[str, str]:
    """Return when a value is not the usual one, and how the usual one is encoded."""
    value = f"v{i}"
    if type(coder) is Str:
        return f"type({value}) is not str", f"{value}.encode()"
    if type(coder) is Bytes:
        return f"type({value}) is not bytes", value
    if type(coder) is Bool:
        return f"type({value}) is not bool", f'(b"\\1" if {value} else b"\\0")'
    number = number_of(coder)
    if type(coder) is Int:
        known[f"pack{i}"] = Struct("<q").pack
        return f"type({value}) is not int", f"pack{i}({value})"
    if number is not None and sys.byteorder == "little":
        known[f"type{i}"] = number[1]
        return f"type({value}) is not type{i}", f"{value}.tobytes()"
    if type(coder) is NDArrayEncoding and size is not None and sys.byteorder == "little":
        known[f"dtype{i}"], known[f"shape{i}"] = coder.dtype, coder.shape
        wrong = f"type({value}) is not ndarray or {value}.dtype != dtype{i} or {value}.shape != shape{i}"
        return wrong, f"{value}.tobytes()"
    # Bytes may be encoded already.
    return f"isinstance({value}, bytes)", f"encode{i}({value})"
