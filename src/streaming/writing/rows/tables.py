"""Rows of tables: pandas' data frames, and whatever Arrow can read (its own tables, Polars' frames, record batches)."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np

from streaming.core.errors import ConfigError
from streaming.core.imports import optional_import
from streaming.format.arrow_types import encoding_of

__all__ = [
    "Columnar",
    "arrow_encoding",
    "arrow_rows",
    "arrow_values",
    "dask_rows",
    "has_arrays",
    "pandas_rows",
    "present_part",
]

_ROWS_AT_ONCE = 1000
_EXAMPLES = 32
#: Types that values of Python's have as well.
_PYTHONS = ("bool", "int64", "float64")
_NUMPYS = (np.bool_, np.int64, np.float64)


class Columnar(ABC, Iterable[Mapping[str, Any]]):
    """Rows of what is kept by columns.

    Attributes:
        names: Of the columns.
        facts: What is known of each besides its values.
    """

    names: Sequence[str]
    facts: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    @abstractmethod
    def examples(self, name: str) -> list[Any]:
        """Return some values of a column, ``None`` among them if any is known to be missing."""

    def encoding(self, name: str) -> str | None:
        """Return the encoding of a column's type, for one that has no values; ``None`` if it has no type that tells."""
        return None

    @abstractmethod
    def parts(self) -> Iterator[Sequence[Sequence[Any]]]:
        """Yield the values of all columns, some rows at a time."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows."""
        for columns in self.parts():
            for row in zip(*columns, strict=True):
                yield dict(zip(self.names, row, strict=True))


def checked_names(names: Iterable[Any]) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        ConfigError: One is no text, or is there twice.
    """
    found = list(names)
    wrong = next((name for name in found if not isinstance(name, str)), None)
    if wrong is not None:
        raise ConfigError(f"Names of columns are text, got {wrong!r}. Rename it, such as by frame.rename(columns=str).")
    if len(set(found)) < len(found):
        raise ConfigError(f"Two columns have the same name, among {', '.join(map(repr, found))}. Rename one.")
    return found


class _Frame(Columnar):
    """A data frame of pandas. Its index is not stored."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names = checked_names(frame.columns)

    def __len__(self) -> int:
        return len(self._frame)

    def examples(self, name: str) -> list[Any]:
        column = self._frame[name]
        missing = _missing(column)
        return _frame_values(column[~missing][:_EXAMPLES]) + ([None] if missing.any() else [])

    def parts(self) -> Iterator[Sequence[Sequence[Any]]]:
        for begin in range(0, len(self._frame), _ROWS_AT_ONCE):
            part = self._frame.iloc[begin : begin + _ROWS_AT_ONCE]
            yield [_frame_values(part[name]) for name in self.names]


def pandas_rows(frame: Any) -> Columnar:
    """Return the rows of a pandas ``DataFrame``, without its index; one that has a name, or no numbers, is warned of.

    ``None`` and ``NA`` are ``None``; so is ``NaN``, but for columns of NumPy floats, where it is a value.

    Raises:
        ConfigError: A column's name is no text.
    """
    _warn_of_index(frame.index)
    return _Frame(frame)


def _warn_of_index(index: Any) -> None:
    names = [name for name in getattr(index, "names", [index.name]) if name is not None]
    if names or not np.issubdtype(getattr(index.dtype, "type", object), np.integer):
        which = f"index {', '.join(map(repr, names))}".strip()
        warnings.warn(
            f"The {which} of the DataFrame is not stored. Give frame.reset_index() to keep it, or "
            "frame.reset_index(drop=True) to leave it out.",
            stacklevel=2,
        )


class _Frames(Columnar):
    """A frame of Dask: frames of pandas, made one after the other."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names = checked_names(frame.columns)
        self._first: _Frame | None = None

    def _partition(self, number: int) -> _Frame:
        if number:
            return _Frame(self._frame.get_partition(number).compute())
        self._first = self._first or _Frame(self._frame.get_partition(0).compute())
        return self._first

    def examples(self, name: str) -> list[Any]:
        return self._partition(0).examples(name)

    def parts(self) -> Iterator[Sequence[Sequence[Any]]]:
        for number in range(self._frame.npartitions):
            yield from self._partition(number).parts()


def dask_rows(frame: Any) -> Columnar:
    """Return the rows of a ``DataFrame`` of Dask, as :func:`pandas_rows` those of its partitions.

    Raises:
        ConfigError: A column's name is no text.
    """
    _warn_of_index(frame.index)
    return _Frames(frame)


def _missing(column: Any) -> Any:
    dtype = column.dtype
    return np.zeros(len(column), np.bool_) if isinstance(dtype, np.dtype) and dtype.kind in "biuf" else column.isna()


def _frame_values(column: Any) -> list[Any]:
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return _numbers(column.to_numpy())
    present = zip(column, _missing(column), strict=True)
    return [None if missing else value.item() if type(value) in _NUMPYS else value for value, missing in present]


def _numbers(array: np.ndarray[Any, Any]) -> list[Any]:
    """Return Python's numbers where they have the same width, else NumPy's."""
    return array.tolist() if array.dtype.name in _PYTHONS else list(array)


def arrow_rows(given: Any) -> Columnar:
    """Return the rows of a table, record batch, or stream of record batches, of any library that speaks Arrow.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        ConfigError: It is one column rather than a table, or a column's name is there twice.
    """
    pa = optional_import("pyarrow", "arrow", f"Writing a {type(given).__name__}")
    try:
        if isinstance(given, pa.RecordBatchReader):
            return _ArrowStream(given)
        if hasattr(given, "__arrow_c_array__"):
            return _ArrowTable(pa.Table.from_batches([pa.record_batch(given)]))
        if hasattr(given, "__len__"):
            return _ArrowTable(pa.table(given))
        return _ArrowStream(pa.RecordBatchReader.from_stream(given))
    except (TypeError, pa.ArrowException) as error:
        raise ConfigError(
            f"A {type(given).__name__} is no table ({error}). Give one with names of columns, such as "
            "pyarrow.table({'x': column})."
        ) from error


class _Arrow(Columnar):
    """What has a schema of Arrow."""

    def __init__(self, schema: Any) -> None:
        self.names = checked_names(schema.names)
        self._schema = schema

    def encoding(self, name: str) -> str | None:
        return arrow_encoding(self._schema.field(name))


class _ArrowTable(_Arrow):
    """A table of Arrow."""

    def __init__(self, table: Any) -> None:
        super().__init__(table.schema)
        self._table = table
        self._arrays = [has_arrays(column) for column in table.columns]

    def __len__(self) -> int:
        return self._table.num_rows

    def examples(self, name: str) -> list[Any]:
        column = self._table.column(name)
        with _named(name):
            return arrow_examples(column, self._arrays[self.names.index(name)])

    def parts(self) -> Iterator[Sequence[Sequence[Any]]]:
        for batch in self._table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            yield _batch_values(batch, self._arrays)


class _ArrowStream(_Arrow):
    """A stream of record batches, of which the first is looked at beforehand."""

    def __init__(self, reader: Any) -> None:
        super().__init__(reader.schema)
        self._batches = iter(reader)
        self._first = [batch for batch in [next(self._batches, None)] if batch is not None]
        self._arrays = [has_arrays(column) for batch in self._first for column in batch.columns]

    def examples(self, name: str) -> list[Any]:
        if not self._first:
            raise ConfigError("Columns cannot be inferred without a row. Pass `columns`, such as {'text': 'str'}.")
        at = self.names.index(name)
        with _named(name):
            return arrow_examples(self._first[0].column(at), self._arrays[at])

    def parts(self) -> Iterator[Sequence[Sequence[Any]]]:
        for batch in chain(self._first, self._batches):
            yield _batch_values(batch, self._arrays)


def _batch_values(batch: Any, arrays: Sequence[bool]) -> list[list[Any]]:
    values: list[list[Any]] = []
    for name, column, are_arrays in zip(batch.schema.names, batch.columns, arrays, strict=True):
        with _named(name):
            values.append(arrow_values(column, are_arrays))
    return values


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which column it is whose values cannot be taken.

    Raises:
        ConfigError: They cannot.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ConfigError(f"Column {name!r}: {error}. Convert it first, as to another type.") from error


def arrow_encoding(field: Any) -> str | None:
    """Return the encoding of all values that a field's type has, and of ``None``; ``None`` if it has no values at all."""
    import pyarrow as pa

    with suppress(ConfigError):
        return None if pa.types.is_null(field.type) else encoding_of(field.with_nullable(True))
    return None


def present_part(column: Any) -> Any:
    """Return some rows of a column from the first value that is not missing."""
    first = import_module("pyarrow.compute").index(column.is_valid(), True).as_py()
    return column[max(first, 0) :][:_EXAMPLES]


def arrow_examples(column: Any, arrays: bool) -> list[Any]:
    """Return some values of a column, ``None`` among them if any is missing."""
    return arrow_values(present_part(column), arrays) + [None] * (column.null_count > 0)


def has_arrays(column: Any) -> bool:
    """Tell whether lists of numbers can all be arrays: none is empty, and no number is missing."""
    import pyarrow as pa

    # Its functions are made while it is imported, so that no checker knows of them.
    pc: Any = import_module("pyarrow.compute")
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    if not (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)):
        return False
    shortest = pc.min(pc.list_value_length(column)).as_py()
    return bool(shortest) and pc.list_flatten(column).null_count == 0


def arrow_values(column: Any, arrays: bool) -> list[Any]:
    """Return a column's values: numbers with their types, lists as arrays if that is asked for, the rest as Python's."""
    import pyarrow as pa

    if hasattr(column, "combine_chunks"):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        is_view = pa.types.is_string_view(kind.value_type)  # which Arrow does not cast yet
        return column.to_pylist() if is_view else arrow_values(column.cast(kind.value_type), arrays)
    if hasattr(column, "to_numpy_ndarray") and not column.null_count:  # tensors of a shape
        return list(column.to_numpy_ndarray())
    if pa.types.is_time64(kind) and kind.unit == "ns":
        column = column.cast(pa.time64("us"))  # or they would lose what is less, without a word
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _arrow_numbers(column)
    if not arrays:
        return column.to_pylist()
    dtype = np.dtype(kind.value_type.to_pandas_dtype())
    if pa.types.is_fixed_size_list(kind):
        return [None if value is None else np.array(value, dtype) for value in column.to_pylist()]
    numbers = column.values.to_numpy(zero_copy_only=False)
    ends = column.offsets.to_numpy()
    present = column.is_valid().to_pylist()
    return [numbers[ends[i] : ends[i + 1]] if valid else None for i, valid in enumerate(present)]


def _arrow_numbers(column: Any) -> list[Any]:
    dtype = np.dtype(column.type.to_pandas_dtype())
    if column.null_count:
        numbers: list[Any] = column.to_pylist()
        if dtype.name in _PYTHONS:
            return numbers
        return [None if number is None else dtype.type(number) for number in numbers]
    return _numbers(column.to_numpy(zero_copy_only=False))
