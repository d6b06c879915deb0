"""What people hand to ``streaming.write``, as rows: mappings from the names of columns to values.

Tables (pandas, Arrow, Polars) and Hugging Face datasets know their columns' types, and where values are missing; so
their columns are inferred from all of that. Of anything else, the first rows are looked at.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np

from streaming.core.arrays import is_tensor, tensor_to_numpy
from streaming.core.errors import ConfigError, StreamingError
from streaming.format.encodings.tensor import TENSOR_DTYPES
from streaming.writing.rows.encoded import EncodedRows
from streaming.writing.rows.hugging_face import hugging_face_rows
from streaming.writing.rows.infer import infer_column
from streaming.writing.rows.tables import Columnar, arrow_rows, dask_rows, pandas_rows

__all__ = ["Inputs", "Items", "Rows", "Table", "checked_row", "made_rows", "metadata_of", "taken", "taken_inputs"]

Row = Mapping[str, Any]


class Table(Protocol):
    """What offers its rows by Arrow's protocol: tables and frames of pandas, Polars and Arrow."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return a stream of record batches."""
        ...


class Items(Protocol):
    """A map-style dataset."""

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """Return an item."""
        ...


#: What ``streaming.write`` takes.
Rows = Iterable[Row] | Table | Items

#: What it takes if a function makes rows of each item.
Inputs = Iterable[Any] | Table | Items

_SHAPE = (
    "Give rows: an iterable of mappings from the names of columns to values, such as [{'text': 'a'}, {'text': 'b'}]"
)


def taken(given: Rows, columns: Mapping[str, str] | None) -> tuple[Iterable[Row], Mapping[str, str] | None]:
    """Return the rows of what a user has, and the encodings of their columns.

    Args:
        given: An iterable of mappings; a data frame or table of pandas, Polars or Arrow; a dataset of Hugging Face, of
            Ray, or with ``__getitem__`` and ``__len__``. Torch tensors in it become arrays.
        columns: Encodings that the user chose, or ``None``.

    Returns:
        Rows: a sequence, if ``given`` is one. And ``columns``, or those of a table if there are none; ``None`` where they
        are to be inferred from the first rows.

    Raises:
        ConfigError: There are no rows in it, or no encoding fits a column of a table.
        MissingDependencyError: Reading the table needs a package that is not installed.
    """
    _refuse(given)
    table = _table(given)
    if table is not None:
        if not table.names:
            raise ConfigError(f"The {type(given).__name__} has no columns. Give each row at least one.")
        if columns is None:
            columns = {name: _encoding(table, name) for name in table.names}
        return table, columns
    if isinstance(given, Sequence):
        return _Items(cast("Sequence[Any]", given), len(cast("Sequence[Any]", given))), columns
    if not hasattr(given, "__iter__") and hasattr(given, "__getitem__"):
        # Of a map-style dataset: one without a length would be asked for items for ever.
        return _Items(given, _length(given)), columns
    return _Stream(_iterator(given), given), columns


def taken_inputs(given: Inputs) -> Iterable[Any]:
    """Return the items of what a user has, for a function to make rows of; the rows of a table.

    Returns:
        A sequence, if ``given`` is one.

    Raises:
        ConfigError: There are none in it.
    """
    if isinstance(given, (str, bytes, os.PathLike, Mapping)):
        raise ConfigError(
            f"inputs are items or their numbers, for fn to make rows of: a list, range or iterator; got {given!r:.80}."
        )
    table = _table(given)
    if table is not None:
        return table
    if isinstance(given, Sequence):
        return cast("Sequence[Any]", given)
    if not hasattr(given, "__iter__") and hasattr(given, "__getitem__"):
        return _Items(given, _length(given))
    return _Stream(_iterator(given), given)


def metadata_of(rows: Iterable[Row]) -> dict[str, Any]:
    """Return what is known of the columns of rows, as metadata of a dataset."""
    facts = {name: known for name, known in getattr(rows, "facts", dict[str, Any]()).items() if known}
    return {"columns": facts} if facts else {}


def made_rows(made: Any) -> Iterator[Row | EncodedRows | StreamingError]:
    """Yield the rows that a function has made: of ``None`` none, a mapping, a table's, or many of these.

    Among many there may also be samples that are encoded already, and errors in place of rows.

    Raises:
        ConfigError: It is nothing of that.
    """
    if made is None:
        return
    if isinstance(made, Mapping):
        yield checked_row(_plain(made))
        return
    table = None if isinstance(made, (str, bytes)) else _table(made)
    if table is not None:
        yield from table
        return
    if isinstance(made, (str, bytes, np.ndarray)) or not isinstance(made, Iterable):
        raise ConfigError(
            f"it returned a {type(made).__name__}; expected a mapping of column names to values, None, or an iterable of "
            "mappings."
        )
    for one in cast("Iterable[Any]", made):
        if isinstance(one, Mapping):
            yield checked_row(_plain(one))
        elif isinstance(one, (EncodedRows, StreamingError)):
            yield one
        elif one is not None:
            yield from _table(one) or (checked_row(one),)


def _table(given: Any) -> Columnar | None:
    for module, names, rows in _KINDS:
        kinds = tuple(kind for name in names if (kind := getattr(sys.modules.get(module), name, None)) is not None)
        if kinds and isinstance(given, kinds):
            return rows(given)
    return arrow_rows(given) if hasattr(given, "__arrow_c_stream__") or hasattr(given, "__arrow_c_array__") else None


#: Where a class is, if its module was imported at all, and what makes rows of its instances. These come before whatever
#: offers its data by Arrow's protocol, as these do too.
_KINDS: tuple[tuple[str, tuple[str, ...], Callable[[Any], Columnar | None]], ...] = (
    ("pandas", ("DataFrame",), pandas_rows),
    ("dask.dataframe", ("DataFrame",), dask_rows),
    ("datasets", ("Dataset", "IterableDataset"), hugging_face_rows),
)


def _encoding(table: Columnar, name: str) -> str:
    """Return the encoding of a table's column: by its values, or by its type where there is none."""
    values = table.examples(name)
    known = table.encoding(name) if values and all(value is None for value in values) else None
    return known or infer_column(name, values)


def _refuse(given: Any) -> None:
    """Say how to make rows of what holds none.

    Raises:
        ConfigError: It is such a thing.
    """
    if isinstance(given, (str, bytes, os.PathLike)):
        raise ConfigError(
            f"{given!r:.80} is text or a path, not rows. {_SHAPE}; of a file's lines: ({{'text': line}} for line in "
            "open(path)). Files that have rows are written by streaming.convert(path, out)."
        )
    module = sys.modules.get("datasets")
    splits = tuple(filter(None, (getattr(module, f"{name}Dict", None) for name in ("Dataset", "IterableDataset"))))
    if isinstance(given, splits):
        raise ConfigError(
            f"{type(given).__name__} has several datasets: {', '.join(given)}. Give one, such as data['train']."
        )
    if isinstance(given, Mapping):
        raise ConfigError(
            "A dict of columns is not rows. Turn it into rows, by [dict(zip(d, row)) for row in zip(*d.values())], or into "
            "a table, by pyarrow.table(d) or pandas.DataFrame(d)."
        )
    if type(given).__module__.partition(".")[0] == "polars":
        _refuse_polars(given)
    if isinstance(given, (np.ndarray, np.generic)) or is_tensor(given):
        raise ConfigError(
            f"{type(given).__name__} has no names of columns. Name them: ({{'x': row}} for row in array), or a column for "
            "each of several arrays: ({'x': a, 'y': b} for a, b in zip(x, y))."
        )


def _refuse_polars(given: Any) -> None:
    """Refuse what Polars has no values of yet, or none that it would hand over.

    Raises:
        ConfigError: It is such a thing.
    """
    if type(given).__name__ == "LazyFrame":
        raise ConfigError("A LazyFrame has no rows yet. Give lazy.collect().")
    odd = [name for name, kind in dict(getattr(given, "schema", {})).items() if str(kind) == "Object"]
    if odd:
        raise ConfigError(
            f"Column {odd[0]!r} holds Python's objects, which Polars does not hand over. Convert or drop it."
        )


def _iterator(given: Any) -> Callable[[], Iterator[Any]]:
    """Return what begins to iterate.

    Raises:
        ConfigError: Nothing does.
    """
    iter_rows = getattr(given, "iter_rows", None)  # of Ray Data, whose `__iter__` raises
    if callable(iter_rows) and type(given).__module__.partition(".")[0] == "ray":
        return cast("Callable[[], Iterator[Any]]", iter_rows)
    if not hasattr(given, "__iter__"):
        raise ConfigError(f"A {type(given).__name__} holds no rows. {_SHAPE}.")
    return lambda: iter(given)


def _length(given: Any) -> int:
    try:
        return len(given)
    except Exception as error:
        raise ConfigError(
            f"{type(given).__name__} has items but no length ({type(error).__name__}: {error}), so nothing says where it "
            "ends. Give an iterator, such as (data[i] for i in range(n))."
        ) from error


class _Items(Sequence[Row]):
    """The rows of anything with items by number."""

    def __init__(self, items: Any, length: int) -> None:
        self._items = items
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return _plain(self._items[index])


class _Stream(Iterable[Row]):
    """The rows of an iterable."""

    def __init__(self, begin: Callable[[], Iterator[Any]], given: Any) -> None:
        self._begin = begin
        try:
            self._length: int | None = len(given)
        except Exception:  # there are classes whose length is an error, or costs a whole pass
            self._length = None

    def __iter__(self) -> Iterator[Row]:
        return map(_plain, self._begin())

    def __length_hint__(self) -> int:
        return NotImplemented if self._length is None else self._length


def _plain(row: Any) -> Any:
    """Return a row with arrays for tensors; anything else is left for others to judge."""
    torch: Any = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", None)
    if tensor is None or not isinstance(row, Mapping):
        return row
    values = cast("Mapping[str, Any]", row)
    if tensor not in map(type, values.values()):
        return values
    return {name: _array(name, value) if is_tensor(value) else value for name, value in values.items()}


def _array(name: str, tensor: Any) -> Any:
    if str(tensor.dtype).removeprefix("torch.") in TENSOR_DTYPES:
        return tensor
    try:
        return tensor_to_numpy(tensor)[()]  # a number, where the tensor has no axis
    except TypeError as error:
        raise ConfigError(f"Column {name!r}: {error}.") from error


def checked_row(row: Any) -> Row:
    """Return a sample.

    Raises:
        ConfigError: It is no mapping.
    """
    if not isinstance(row, Mapping):
        raise ConfigError(
            f"A sample must be a mapping of column names to values, got {type(row).__name__}. Name what it holds, such as "
            "{'text': value}."
        )
    return row  # pyright: ignore[reportUnknownVariableType]
