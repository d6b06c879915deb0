"""Reading samples of the MDS format, by a function that is compiled for each schema.

What is known of a schema beforehand is its columns' encodings, and which of them have a fixed size. The function that comes
of it has no loop and asks no questions: numbers that lie side by side are read at once, and the commonest encodings are
written out in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from struct import Struct
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streaming.format.encodings import get_encoding
from streaming.format.encodings.array import NDArrayEncoding
from streaming.format.encodings.base import Encoding, RowsEncoding, decodes_many, element_of
from streaming.format.encodings.scalar import Bool, number_of
from streaming.format.encodings.text import Bytes, Str
from streaming.format.kinds.mds_body import Body, wrong_size
from streaming.format.samples.sample import (
    MOST_WRITTEN,
    Columns,
    FixedColumn,
    ListedColumn,
    ReadSample,
    SampleDecoder,
    SampleTable,
)
from streaming.format.samples.schema import Schema

__all__ = ["compile_decoder"]


def compile_decoder(schema: Schema, wanted: Sequence[str] | None = None) -> SampleDecoder:
    """Prepare to read samples of a schema: everything that can be known beforehand is.

    Args:
        schema: An MDS schema.
        wanted: Names of the columns to decode, in the order in which a sample is to have them; ``None`` for all. Others are
            passed over, whatever their encoding.

    Returns:
        The decoder.

    Raises:
        UnknownNameError: A column has an encoding that nobody registered.
    """
    names = schema.column_names
    order = range(len(names)) if wanted is None else [names.index(name) for name in wanted]
    coders: list[Encoding | None] = [None] * len(names)
    for place in order:
        coders[place] = get_encoding(schema.column_encodings[place])
    sizes = [size or None for size in schema.column_sizes]
    fixed_bytes = sum(size for size in sizes if size is not None)
    if len(names) > MOST_WRITTEN:
        return _loop(names, coders, sizes, fixed_bytes, order)
    read, bind = _compile(names, coders, sizes, order)
    if None in sizes:
        listed = _compile_columns(names, coders, sizes, order)
        return SampleDecoder(read, bind, fixed_bytes + 4 * sizes.count(None), listed=listed)
    ends = list(accumulate((size or 0 for size in sizes), initial=0))
    begin, end = min((ends[i] for i in order), default=0), max((ends[i + 1] for i in order), default=0)
    names = [names[i] for i in order]
    parts = [slice(ends[i] - begin, ends[i + 1] - begin) for i in order]
    read_by = [coder for i in order if (coder := coders[i]) is not None]
    return SampleDecoder(
        read,
        bind,
        fixed_bytes,
        fixed_bytes,
        _decode_rows(names, parts, read_by),
        _fixed_columns(names, parts, read_by),
        taken=None if end - begin == fixed_bytes else slice(begin, end),
    )


def _loop(
    names: Sequence[str],
    coders: Sequence[Encoding | None],
    sizes: Sequence[int | None],
    fixed_bytes: int,
    order: Sequence[int],
) -> SampleDecoder:
    """Return the decoder of samples of a great many columns."""
    lengths = Struct(f"<{sizes.count(None)}I")
    columns = [(name, coder and coder.decode, size) for name, coder, size in zip(names, coders, sizes, strict=True)]
    in_order = None if list(order) == list(range(len(names))) else [names[i] for i in order]

    def read(buffer: Any, begin: int, end: int) -> dict[str, Any]:
        varying = iter(lengths.unpack_from(buffer, begin))
        at = begin + lengths.size
        sample: dict[str, Any] = {}
        for name, decode, size in columns:
            stop = at + (next(varying) if size is None else size)
            at, begin_of = stop, at
            if stop > end:
                break
            if decode is not None:
                sample[name] = decode(buffer[begin_of:stop])
        if at != end:
            stated = lengths.size + sum(size or 0 for size in sizes) + sum(lengths.unpack_from(buffer, begin))
            raise wrong_size(end - begin, stated)
        return sample if in_order is None else {name: sample[name] for name in in_order}

    return SampleDecoder.of_reader(read, fixed_bytes + lengths.size, None if lengths.size else fixed_bytes)


def _compile(
    names: Sequence[str], coders: Sequence[Encoding | None], sizes: Sequence[int | None], order: Sequence[int]
) -> tuple[Callable[[Any, int, int], dict[str, Any]], Callable[[SampleTable], ReadSample]]:
    """Write the functions ``read(buffer, begin, end)`` and ``bind(samples)``, and compile them."""
    body = Body(names, coders, sizes, order)
    is_fixed = None not in sizes
    # Samples of a fixed size have been found to be just so far apart.
    check = [] if is_fixed else [f"if at + {body.at} != end: raise wrong_size(end - begin, at + {body.at} - begin)"]
    source = [
        "def read(buffer, begin, end):",
        "    at = begin",
        *(f"    {line}" for line in body.lines),
        f"    if at + {body.at} != end: raise wrong_size(end - begin, at + {body.at} - begin)",
        f"    return {body.result}",
        "def bind(samples):",
        "    buffer, table, first, count = samples.data, samples.table, samples.first, samples.count",
        "    outside, failed = samples.outside, samples.failed",
        "    def get(index):",
        "        if not 0 <= index < count: outside(index)",
        "        try:",
        f"            at = first + {body.at} * index"
        if is_fixed
        else "            begin, end = offsets(table, 4 + 4 * index); at = begin",
        *(f"            {line}" for line in [*body.lines, *check]),
        f"            return {body.result}",
        "        except Exception as error:",
        "            failed(index, error)",
        "    return get",
    ]
    known = body.known
    exec("\n".join(source), known)
    return known["read"], known["bind"]


def _compile_columns(
    names: Sequence[str], coders: Sequence[Encoding | None], sizes: Sequence[int | None], order: Sequence[int]
) -> Columns | None:
    """Write the function that reads many samples by their columns, if it is known of each what it holds."""
    listed = [_listed(names[i], coder, sizes[i]) for i in order if (coder := coders[i]) is not None]
    known = [column for column in listed if column is not None]
    if len(known) < len(order):
        return None
    body = Body(names, coders, sizes, order, by_column=True)
    source = [
        "def read(places, shards, indexes):",
        *(f"    column{i} = []; add{i} = column{i}.append" for i in order),
        "    for shard, index in zip(shards, indexes):",
        "        place = places[shard]",
        "        buffer = place.data",
        "        if not 0 <= index < place.count: raise IndexError(index)",
        "        begin, end = offsets(place.table, 4 + 4 * index); at = begin",
        *(f"        {line}" for line in body.lines),
        f"        if at + {body.at} != end: raise wrong_size(end - begin, at + {body.at} - begin)",
        *(f"        add{i}(value{i})" for i in order),
        f"    return [{', '.join(f'column{i}' for i in order)}]",
    ]
    exec("\n".join(source), body.known)
    return Columns(tuple(known), body.known["read"])


def _listed(name: str, coder: Encoding, size: int | None) -> ListedColumn | None:
    if type(coder) in (Bytes, Str):
        return ListedColumn(name)
    if type(coder) is Bool and size == coder.size:
        return ListedColumn(name, np.dtype(np.bool_))
    element = element_of(coder) if size is not None and size == coder.size else None
    if element is None:
        return None
    dtype, shape = element
    if number_of(coder) is not None:
        return ListedColumn(name, dtype)
    return ListedColumn(name, dtype, shape) if type(coder) is NDArrayEncoding else None


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
