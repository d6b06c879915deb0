"""Reading samples of the MDS format, by a function that is compiled for each schema.

What is known of a schema beforehand is its columns' encodings, and which of them have a fixed size. The function that comes
of it has no loop and asks no questions: numbers that lie side by side are read by one ``struct``, and the commonest
encodings are written out in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from struct import Struct
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ShardFormatError
from streaming.format.encodings import get_encoding
from streaming.format.encodings.array import NDArrayEncoding
from streaming.format.encodings.base import Encoding, RowsEncoding, decodes_many, element_of
from streaming.format.encodings.scalar import Int, number_of
from streaming.format.encodings.text import Bytes, Str
from streaming.format.sample import FixedColumn, SampleDecoder
from streaming.format.schema import Schema

__all__ = ["compile_decoder"]


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
    read = _compile(names, coders, sizes)
    if None in sizes:
        return SampleDecoder(read, fixed_bytes + 4 * sizes.count(None))
    ends = list(accumulate((size or 0 for size in sizes), initial=0))
    parts = [slice(begin, end) for begin, end in pairwise(ends)]
    return SampleDecoder(
        read, fixed_bytes, fixed_bytes, _decode_rows(names, parts, coders), _fixed_columns(names, parts, coders)
    )


def _compile(
    names: Sequence[str], coders: Sequence[Encoding], sizes: Sequence[int | None]
) -> Callable[[Any, int, int], dict[str, Any]]:
    """Write the function ``read(buffer, begin, end)``, and compile it."""
    known: dict[str, Any] = {"wrong_size": _wrong_size}
    lines: list[str] = []
    # Numbers to read by one struct at ``at``: names of variables, and their codes.
    run: list[tuple[str, str]] = [(f"size{i}", "I") for i, size in enumerate(sizes) if size is None]
    values: list[str] = []

    def read_run() -> None:
        if run:
            code = Struct("<" + "".join(code for _, code in run))
            known[f"run{len(lines)}"] = code.unpack_from
            lines.append(f"{', '.join(name for name, _ in run)}, = run{len(lines)}(buffer, at)")
            lines.append(f"at += {code.size}")
            run.clear()

    for i, (name, coder, size) in enumerate(zip(names, coders, sizes, strict=True)):
        number = number_of(coder) if size == coder.size else None
        if number is not None:
            code, kind = number
            run.append((f"value{i}", code))
            known[f"type{i}"] = kind
            values.append(f"{name!r}: value{i}" if type(coder) is Int else f"{name!r}: type{i}(value{i})")
            continue
        read_run()
        known[f"decode{i}"] = coder.decode
        known[f"dtype{i}"] = getattr(coder, "dtype", None)
        known["frombuffer"] = np.frombuffer
        data = f"buffer[at : at + {f'size{i}' if size is None else size}]"
        lines.append(f"value{i} = {_expression(coder, size, i).format(data=data)}")
        lines.append(f"at += {f'size{i}' if size is None else size}")
        values.append(f"{name!r}: value{i}")
    read_run()
    body = [
        "def read(buffer, begin, end):",
        "at = begin",
        *lines,
        "if at != end: raise wrong_size(end - begin, at - begin)",
        f"return {{{', '.join(values)}}}",
    ]
    exec("\n    ".join(body), known)
    return known["read"]


def _expression(coder: Encoding, size: int | None, i: int) -> str:
    """Return how to decode ``{data}``. Only what is known to the last detail is written out."""
    if type(coder) is Bytes:
        return "{data}"
    if type(coder) is Str:
        return 'str({data}, "utf-8")'
    if type(coder) is NDArrayEncoding and size == coder.size and coder.shape is not None and len(coder.shape) == 1:
        return f"frombuffer({{data}}, dtype{i})"
    return f"decode{i}({{data}})"


def _decode_rows(
    names: Sequence[str], parts: Sequence[slice], coders: Sequence[Encoding]
) -> Callable[[NDArray[np.uint8]], list[dict[str, Any]]] | None:
    if not names or not all(map(decodes_many, coders)):
        return None
    columns = [(cast("RowsEncoding", coder).decode_many, part) for coder, part in zip(coders, parts, strict=True)]

    if len(columns) == 1:
        (only_name,), ((only_decode, _),) = names, columns
        return lambda rows: [{only_name: value} for value in only_decode(rows)]

    def decode_rows(rows: NDArray[np.uint8]) -> list[dict[str, Any]]:
        values = [decode(np.ascontiguousarray(rows[:, part])) for decode, part in columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    return decode_rows


def _fixed_columns(
    names: Sequence[str], parts: Sequence[slice], coders: Sequence[Encoding]
) -> tuple[FixedColumn, ...] | None:
    elements = [element_of(coder) for coder in coders]
    fixed = [
        FixedColumn(name, part, *element)
        for name, part, element in zip(names, parts, elements, strict=True)
        if element is not None
    ]
    return tuple(fixed) if fixed and len(fixed) == len(names) else None


def _wrong_size(found: int, stated: int) -> ShardFormatError:
    return ShardFormatError(f"its columns take {stated} bytes, it has {found}")
