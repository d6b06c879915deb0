"""Some columns of many encoded samples as Arrow: what is not asked for is not decoded.

Legend: n samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from streaming.columns.expressions import Expression
from streaming.columns.parquet import arrow
from streaming.core.errors import ConfigError, ShardFormatError
from streaming.format.encodings import get_encoding
from streaming.format.encodings.nullable import Nullable
from streaming.format.encodings.scalar import Bool, number_of
from streaming.format.formats import get_decoder
from streaming.format.samples.schema import Schema

__all__ = ["project"]

_Ints = NDArray[np.int64]


def project(
    data: Any, offsets: _Ints, schema: Schema, expressions: Sequence[Expression], arrow_schema: Any, where: str
) -> Any:
    """Return side columns of encoded samples.

    Args:
        data: The bytes of the samples, or a map of them.
        offsets: ``int64[n + 1]``, where in it each sample begins and the last ends.
        schema: Of the samples.
        expressions: The side columns.
        arrow_schema: Their types.
        where: What holds the samples, for error texts.

    Returns:
        A ``pyarrow.Table`` of n rows.

    Raises:
        ShardFormatError: Bytes are not what the columns say.
        ConfigError: A value is none of its side column's type.
    """
    pa = arrow("pyarrow")
    encodings = dict(zip(schema.column_names, schema.column_encodings, strict=True))
    if schema.format == "mds":
        places = _places(data, offsets, schema, where)
        columns = [_mds_column(data, *places[one.column], one, encodings[one.column], where) for one in expressions]
    else:
        columns = _read_whole(data, offsets, schema, expressions, where)
    arrays: list[Any] = []
    for one, field, (values, missing) in zip(expressions, arrow_schema, columns, strict=True):
        try:
            arrays.append(pa.array(values, field.type, mask=missing))
        except (pa.ArrowException, OverflowError, TypeError) as error:
            raise ConfigError(f"{where}: column {one.column!r} has a value that is no {field.type}: {error}") from error
    return pa.Table.from_arrays(arrays, schema=arrow_schema)


_Values = tuple[Any, NDArray[np.bool_] | None]
"""Values, and which of them are missing if they cannot say so themselves."""


def _places(data: Any, offsets: _Ints, schema: Schema, where: str) -> dict[str, tuple[_Ints, _Ints]]:
    """Return where in MDS samples each column begins and ends: twice ``int64[n]``."""
    view = np.frombuffer(data, np.uint8)
    begins, ends = offsets[:-1], offsets[1:]
    sizes = [size or None for size in schema.column_sizes]
    head = 4 * sizes.count(None)
    if len(begins) and int((ends - begins).min()) < head + sum(size or 0 for size in sizes):
        raise ShardFormatError(f"{where}: a sample is smaller than its columns.")
    places: dict[str, tuple[_Ints, _Ints]] = {}
    size_at, at = begins, begins + head
    for name, size in zip(schema.column_names, sizes, strict=True):
        if size is None:
            stop = at + _numbers(view, size_at, np.dtype("<u4"))
            size_at = size_at + 4
        else:
            stop = at + size
        places[name] = at, stop
        at = stop
    wrong = np.flatnonzero(at != ends)
    if len(wrong):
        i = int(wrong[0])
        raise ShardFormatError(
            f"{where}, sample {i}: its columns take {at[i] - begins[i]} bytes, it has {ends[i] - begins[i]}."
        )
    return places


def _numbers(view: NDArray[np.uint8], begins: _Ints, dtype: np.dtype[Any]) -> Any:
    """Return ``dtype[n]``: the numbers at n places of some bytes."""
    return np.ascontiguousarray(view[begins[:, None] + np.arange(dtype.itemsize)]).view(dtype)[:, 0]


def _mds_column(data: Any, begins: _Ints, ends: _Ints, one: Expression, encoding: str, where: str) -> _Values:
    coder = get_encoding(encoding)
    inner = coder.item if isinstance(coder, Nullable) else coder
    measure = one.measure(encoding)
    view = np.frombuffer(data, np.uint8)
    missing = None
    if inner is not coder:
        marks = view[begins] if (ends > begins).all() else np.full(len(begins), 2)
        missing = marks == 0
        if ((marks > 1) | (missing & (ends - begins != 1))).any():
            raise ShardFormatError(
                f"{where}: column {one.column!r} ({encoding}) holds what is no value that may be missing."
            )
        begins = begins + 1
    if measure is None:
        return ends - begins, missing
    number = None if one.is_length else number_of(inner)
    if number is not None:
        return _number_column(view, begins, ends, missing, np.dtype(f"<{number[0]}"), type(inner) is Bool, where)
    decode = inner.decode
    values: list[Any] = []
    skipped = missing.tolist() if missing is not None else [False] * len(begins)
    for i, (begin, end, skip) in enumerate(zip(begins.tolist(), ends.tolist(), skipped, strict=True)):
        try:
            values.append(None if skip else measure(decode(data[begin:end])))
        except Exception as error:
            _fail(where, i, one.column, error)
    return values, None


def _number_column(
    view: NDArray[np.uint8],
    begins: _Ints,
    ends: _Ints,
    missing: NDArray[np.bool_] | None,
    dtype: np.dtype[Any],
    is_truth: bool,
    where: str,
) -> _Values:
    present = np.arange(len(begins)) if missing is None else np.flatnonzero(~missing)
    if (ends[present] - begins[present] != dtype.itemsize).any():
        raise ShardFormatError(f"{where}: a number of {dtype.itemsize} bytes is stored in another size.")
    values = np.zeros(len(begins), dtype)
    values[present] = _numbers(view, begins[present], dtype)
    return (values != 0 if is_truth else values.astype("<f4") if dtype == np.float16 else values), missing


def _read_whole(
    data: Any, offsets: _Ints, schema: Schema, expressions: Sequence[Expression], where: str
) -> list[_Values]:
    """Return columns of samples of other formats, which are read one by one."""
    read = get_decoder(schema).read
    encodings = dict(zip(schema.column_names, schema.column_encodings, strict=True))
    measures = [(one.column, one.measure(encodings[one.column])) for one in expressions]
    columns: list[list[Any]] = [[] for _ in expressions]
    ends = offsets.tolist()
    for i, (begin, end) in enumerate(pairwise(ends)):
        try:
            sample = read(data, begin, end)
            for (name, measure), column in zip(measures, columns, strict=True):
                value = sample.get(name)
                column.append(None if value is None else len(value) if measure is None else measure(value))
        except Exception as error:
            _fail(where, i, None, error)
    return [(column, None) for column in columns]


def _fail(where: str, i: int, column: str | None, error: Exception) -> NoReturn:
    of = "" if column is None else f", column {column!r}"
    raise ShardFormatError(f"{where}, sample {i}{of}: {type(error).__name__}: {error}") from error
