"""Arrow's columns as the columns of MDS rows, most of them without touching a value by itself.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import SampleError
from streaming.format.encodings import Nullable, get_encoding
from streaming.format.encodings.array import NDArrayEncoding
from streaming.format.encodings.base import Encoding
from streaming.format.encodings.lists import List
from streaming.format.encodings.scalar import Bool, Int, Scalar
from streaming.format.encodings.serialized import JSON
from streaming.format.encodings.text import Bytes, Str
from streaming.format.encodings.times import Date, DateTime, Time, TimeDelta
from streaming.format.kinds.mds_columns import Fixed, Varying

__all__ = ["Spans", "encode_column", "encode_spans", "encode_values"]

Ints = NDArray[np.int64]


class Spans(NamedTuple):
    """The values of a column that lie among other bytes. Legend: N rows, V of which have a value.

    Attributes:
        data: The bytes.
        begins: ``int64[V]``, where each value begins.
        ends: ``int64[V]``, where each ends.
        rows: ``int64[V]``, which row each is of, in ascending order.
        total: N.
    """

    data: bytes
    begins: Ints
    ends: Ints
    rows: Ints
    total: int

    def each(self) -> Iterator[bytes]:
        """Yield the V values."""
        for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True):
            yield self.data[begin:end]

    def values(self, decode: Callable[[bytes], Any]) -> list[Any]:
        """Return N values, decoded; ``None`` for rows without one."""
        found: list[Any] = [None] * self.total
        for row, data in zip(self.rows.tolist(), self.each(), strict=True):
            found[row] = decode(data)
        return found


def encode_column(name: str, array: Any, encoding: str) -> Fixed | Varying:
    """Encode a column.

    Args:
        name: Of the column, for error texts.
        array: A ``pyarrow.Array`` of N values.
        encoding: Its encoding.

    Raises:
        SampleError: A value does not fit; the text has its row in ``array``.
    """
    coder = get_encoding(encoding)
    nullable = isinstance(coder, Nullable)
    inner = coder.item if nullable else coder
    if array.null_count and not nullable and type(inner) is not JSON:
        row = int(np.flatnonzero(~_valid(array))[0])
        raise SampleError(
            f"Row {row}, column {name!r}: a value is missing, and {encoding!r} takes none. Use '{encoding}?'."
        )
    how = _fast(array, inner)
    if how is None:
        return _slowly(name, array, coder)
    column = how(array)
    return _marked(column, _valid(array)) if nullable else column


def encode_values(name: str, values: list[Any], encoding: str) -> Fixed | Varying:
    """Encode a column of Python's values.

    Args:
        name: Of the column, for error texts.
        values: N values.
        encoding: Its encoding.

    Raises:
        SampleError: A value does not fit; the text has its row in ``values``.
    """
    coder = get_encoding(encoding)
    if isinstance(coder, (Int, Scalar)):
        dtype: np.dtype[Any] = coder.element[0]  # pyright: ignore[reportAttributeAccessIssue]
        if set(map(type, values)) <= ({int} if dtype == np.int64 else {float} if dtype == np.float64 else set[type]()):
            with suppress(OverflowError):  # which is said below, by the row
                return Fixed(np.array(values, dtype).view(np.uint8).reshape(len(values), dtype.itemsize))
    if type(coder) is Str and set(map(type, values)) <= {str}:
        with suppress(UnicodeEncodeError):  # likewise
            return _varying([value.encode() for value in values])
    return _joined(name, values, coder)


def encode_spans(spans: Spans, encoding: str) -> Varying | None:
    """Encode a column of values that are bytes as the encoding stores them already.

    Args:
        spans: N rows.
        encoding: Its encoding.

    Returns:
        The column, which shares the bytes; ``None`` if the encoding takes none, or has no mark for rows without a value.
    """
    coder = get_encoding(encoding)
    nullable = isinstance(coder, Nullable)
    inner = coder.item if nullable else coder
    if getattr(inner, "size", None) or not getattr(inner, "passes_bytes", True):
        return None
    if not nullable and len(spans.rows) < spans.total:
        return None
    begins, ends = np.zeros((2, spans.total), np.int64)
    valid = np.zeros(spans.total, np.bool_)
    begins[spans.rows], ends[spans.rows], valid[spans.rows] = spans.begins, spans.ends, True
    column = Varying(np.frombuffer(spans.data, np.uint8), begins, ends)
    return _marked(column, valid) if nullable else column


def _valid(array: Any) -> NDArray[np.bool_]:
    return array.is_valid().to_numpy(zero_copy_only=False)


def _fast(array: Any, coder: Encoding) -> Callable[[Any], Fixed | Varying] | None:
    """Return how a column is encoded at once, if its type is just that of the encoding."""
    import pyarrow as pa

    kind, types = array.type, pa.types
    if isinstance(coder, (Int, Scalar)):
        element: Any = coder.element  # pyright: ignore[reportAttributeAccessIssue]
        same = types.is_primitive(kind) and not types.is_boolean(kind) and not types.is_temporal(kind)
        return _numbers if same and np.dtype(kind.to_pandas_dtype()) == element[0] else None
    if type(coder) is Bool:
        return _truths if types.is_boolean(kind) else None
    if type(coder) is Str:
        return _texts if types.is_string(kind) or types.is_large_string(kind) else None
    if type(coder) in (Bytes, JSON):
        return _texts if types.is_binary(kind) or types.is_large_binary(kind) else None
    if isinstance(coder, (Date, DateTime, Time, TimeDelta)):
        return _moments if _is_moment(kind, coder) else None
    if isinstance(coder, List) and coder.dtype is not None:
        has_gaps = _is_list_of(kind, coder.dtype) and array.values.null_count
        return _bare_lists if _is_list_of(kind, coder.dtype) and not has_gaps else None
    if type(coder) is NDArrayEncoding and coder.dtype is not None and coder.shape is not None:
        return _rows if _is_row_of(array, coder.dtype, coder.shape) else None
    if type(coder) is NDArrayEncoding and coder.dtype is not None and coder.shape is None:
        return _lists if _is_list_of(kind, coder.dtype) and not _has_odd_lists(array) else None
    return None


def _numbers(array: Any) -> Fixed:
    dtype = np.dtype(array.type.to_pandas_dtype())
    (_, data) = array.buffers()
    values: Any = (
        np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize) if len(array) else np.empty(0, dtype)
    )
    return Fixed(values.view(np.uint8).reshape(len(array), dtype.itemsize))


def _truths(array: Any) -> Fixed:
    return Fixed(array.fill_null(False).to_numpy(zero_copy_only=False).view(np.uint8).reshape(-1, 1))


def _is_moment(kind: Any, coder: Encoding) -> bool:
    """Say whether a type is stored as an encoding stores it."""
    import pyarrow as pa

    types = pa.types
    if isinstance(coder, Date):
        return types.is_date32(kind)
    if isinstance(coder, Time):
        return types.is_time64(kind) and kind.unit == "us"
    if isinstance(coder, TimeDelta):
        return types.is_duration(kind) and kind.unit == "us"
    has_zone = isinstance(coder, DateTime) and coder.has_zone
    return types.is_timestamp(kind) and kind.unit == "us" and (kind.tz is not None) == has_zone


def _moments(array: Any) -> Fixed:
    import pyarrow as pa

    return _numbers(array.view(pa.int32() if pa.types.is_date32(array.type) else pa.int64()))


def _is_row_of(array: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    import pyarrow as pa

    kind = array.type
    if not pa.types.is_fixed_size_list(kind) or prod(shape) != kind.list_size:
        return False
    value = kind.value_type
    is_number = pa.types.is_integer(value) or pa.types.is_floating(value)
    return (
        is_number
        and np.dtype(value.to_pandas_dtype()) == dtype
        and not array.null_count
        and not array.flatten().null_count
    )


def _rows(array: Any) -> Fixed:
    return Fixed(_numbers(array.flatten()).values.reshape(len(array), -1))


def _offsets(array: Any, data: Any) -> Ints:
    import pyarrow as pa

    kind = array.type
    is_large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind) or pa.types.is_large_list(kind)
    dtype = np.dtype("<i8" if is_large else "<i4")
    return np.frombuffer(data, dtype, len(array) + 1, array.offset * dtype.itemsize).astype(np.int64)


def _texts(array: Any) -> Varying:
    _, offsets, data = array.buffers()
    ends = _offsets(array, offsets) if len(array) else np.zeros(1, np.int64)
    blob = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return Varying(blob, ends[:-1], ends[1:])


def _is_list_of(kind: Any, dtype: np.dtype[Any]) -> bool:
    import pyarrow as pa

    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    value = kind.value_type
    return (pa.types.is_integer(value) or pa.types.is_floating(value)) and np.dtype(value.to_pandas_dtype()) == dtype


def _has_odd_lists(array: Any) -> bool:
    """Say whether a list is empty, or lacks a number."""
    lengths = np.diff(_list_ends(array))
    return bool(array.values.null_count) or bool((lengths[_valid(array)] == 0).any())


def _list_ends(array: Any) -> Ints:
    return _offsets(array, array.buffers()[1]) if len(array) else np.zeros(1, np.int64)


def _bare_lists(array: Any) -> Varying:
    ends, values = _list_ends(array), array.values
    size = np.dtype(array.type.value_type.to_pandas_dtype()).itemsize
    data = values.buffers()[1]
    blob = np.frombuffer(data, np.uint8)[values.offset * size :] if data is not None else np.empty(0, np.uint8)
    return Varying(blob, ends[:-1] * size, ends[1:] * size)


def _lists(array: Any) -> Varying:
    bare = _bare_lists(array)
    counts = np.diff(_list_ends(array))
    # One axis: a byte for it and the width of its length, then the length.
    width = np.where(counts < 1 << 8, 0, np.where(counts < 1 << 16, 1, 2))
    heads = np.empty((len(counts), 5), np.uint8)
    heads[:, 0] = 4 | width
    lengths: Any = counts.astype("<u4")
    heads[:, 1:] = lengths.view(np.uint8).reshape(-1, 4)
    return Varying(bare.data, bare.begins, bare.ends, heads, 1 + (1 << width))


def _marked(column: Fixed | Varying, valid: NDArray[np.bool_]) -> Varying:
    """Put before each value the byte that says whether it is there."""
    mark = valid.astype(np.uint8).reshape(-1, 1)
    if isinstance(column, Fixed):
        values = np.ascontiguousarray(column.values)
        begins = np.arange(len(values)) * values.shape[1]
        column = Varying(values.reshape(-1), begins, begins + values.shape[1])
    ends = np.where(valid, column.ends, column.begins)
    if column.heads is None:
        return Varying(column.data, column.begins, ends, mark)
    used = np.full(len(mark), column.heads.shape[1]) if column.head_sizes is None else column.head_sizes
    return Varying(column.data, column.begins, ends, np.hstack([mark, column.heads]), np.where(valid, used + 1, 1))


def _slowly(name: str, array: Any, coder: Any) -> Fixed | Varying:
    return _joined(name, array.to_pylist(), coder)


def _joined(name: str, values: Iterable[Any], coder: Any) -> Fixed | Varying:
    takes_bytes = getattr(coder, "passes_bytes", True)
    found: list[bytes] = []
    for row, value in enumerate(values):
        try:
            found.append(value if takes_bytes and isinstance(value, bytes) else bytes(coder.encode(value)))
        except SampleError as error:
            raise type(error)(f"Row {row}, column {name!r}: {error}") from error
    size = getattr(coder, "size", None)
    return Fixed(np.frombuffer(b"".join(found), np.uint8).reshape(len(found), size)) if size else _varying(found)


def _varying(values: list[bytes]) -> Varying:
    ends = np.cumsum([0, *map(len, values)])
    return Varying(np.frombuffer(b"".join(values), np.uint8), ends[:-1], ends[1:])
