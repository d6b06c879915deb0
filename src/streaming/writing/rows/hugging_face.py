"""Rows of Hugging Face datasets: images and sounds as the files that they are kept as, not decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from streaming.core.errors import ConfigError
from streaming.writing.rows.images import ImageFile
from streaming.writing.rows.tables import (
    Columnar,
    arrow_encoding,
    arrow_values,
    checked_names,
    has_arrays,
    present_part,
)

__all__ = ["hugging_face_rows"]

_ROWS_AT_ONCE = 1000
_EXAMPLES = 32
_FILES = ("Image", "Audio", "Video")


def hugging_face_rows(dataset: Any) -> Columnar | None:
    """Return the rows of a ``datasets.Dataset`` or ``IterableDataset``; ``None`` for one with a transform of the user's.

    Images are :class:`ImageFile`, sounds and videos ``bytes``: those of the files, also in lists. Lists of numbers are
    arrays if none is empty. Class labels are their numbers.

    Raises:
        ConfigError: The dataset does not say what its columns are.
    """
    if hasattr(dataset, "format"):
        return None if dataset.format["type"] == "custom" else _Table(dataset)
    return None if dataset.features is None else _Stream(dataset)


class _Table(Columnar):
    """A dataset that is a table of Arrow, of which some rows may be selected."""

    def __init__(self, dataset: Any) -> None:
        columns = dataset.format["columns"]
        self._dataset = dataset.with_format("arrow", columns=columns)
        self.names = checked_names(columns)
        self._features = {name: dataset.features[name] for name in columns}
        self.facts = {name: _facts(feature) for name, feature in self._features.items()}
        # The rows behind the dataset, more than are selected: what holds of all holds of these.
        self._behind = dataset.data
        self._arrays = {name: has_arrays(self._column(name)) for name in columns}

    def __len__(self) -> int:
        return len(self._dataset)

    def _column(self, name: str) -> Any:
        return self._behind.column(self._behind.column_names.index(name))

    def examples(self, name: str) -> list[Any]:
        column = self._column(name)
        return self._values(name, present_part(column)) + [None] * (column.null_count > 0)

    def encoding(self, name: str) -> str | None:
        return None if _holds_files(self._features[name]) else arrow_encoding(self._behind.schema.field(name))

    def parts(self) -> Iterator[Sequence[Sequence[Any]]]:
        for table in self._dataset.iter(batch_size=_ROWS_AT_ONCE):
            yield [self._values(name, table.column(name)) for name in self.names]

    def _values(self, name: str, column: Any) -> list[Any]:
        feature = self._features[name]
        column = column.combine_chunks()
        if hasattr(column.type, "shape"):  # Array2D and its like
            return [None if value is None else np.array(value, feature.dtype) for value in column.storage.to_pylist()]
        return [_bare(name, feature, value) for value in arrow_values(column, self._arrays[name])]


class _Stream(Columnar):
    """A dataset that is made while it is read."""

    def __init__(self, dataset: Any) -> None:
        self._features = dict(dataset.features)
        self.names = checked_names(self._features)
        self.facts = {name: _facts(feature) for name, feature in self._features.items()}
        for name, feature in self._features.items():
            if _holds_files(feature):
                dataset = dataset.cast_column(name, _undecoded(feature))
        self._rows = iter(dataset)
        self._first = list(islice(self._rows, _EXAMPLES))

    def examples(self, name: str) -> list[Any]:
        if not self._first:
            raise ConfigError("Columns cannot be inferred without a row. Pass `columns`, such as {'text': 'str'}.")
        return [self._value(name, row) for row in self._first]

    def parts(self) -> Iterator[Sequence[Sequence[Any]]]:
        for row in chain(self._first, self._rows):
            yield [[self._value(name, row)] for name in self.names]

    def _value(self, name: str, row: Any) -> Any:
        return _bare(name, self._features[name], row[name])


def _is_file(feature: Any) -> bool:
    return type(feature).__name__ in _FILES


def _of_list(feature: Any) -> Any:
    """Return the feature of the values of a list; ``None`` of what is none."""
    return feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)


def _holds_files(feature: Any) -> bool:
    return _is_file(feature) or _is_file(_of_list(feature))


def _undecoded(feature: Any) -> Any:
    """Return a feature of files, or of lists of them, whose values are not decoded."""
    if _is_file(feature):
        return type(feature)(decode=False)
    inner = _undecoded(_of_list(feature))
    return [inner] if isinstance(feature, list) else type(feature)(inner)


def _bare(name: str, feature: Any, value: Any) -> Any:
    """Return a value with the bytes of files in place of them."""
    if _is_file(feature):
        return _file(name, feature, value)
    inner = _of_list(feature)
    return [_file(name, inner, one) for one in value] if value is not None and _is_file(inner) else value


def _facts(feature: Any) -> dict[str, Any]:
    """Return what a feature says besides the type of its values."""
    kind = type(feature).__name__
    if kind == "ClassLabel":
        return {"names": list(feature.names)}
    if kind == "Audio":
        return {"type": "audio"} | ({"sampling_rate": feature.sampling_rate} if feature.sampling_rate else {})
    inner = _of_list(feature)
    if inner is not None:
        return _facts(inner)
    return {"type": kind.lower()} if kind in _FILES else {}


def _file(name: str, feature: Any, value: Any) -> bytes | None:
    """Return the bytes of a file that is kept as bytes, or as a path.

    Raises:
        ConfigError: It is neither here.
    """
    if value is None:
        return None
    data, path = value["bytes"], value["path"]
    if data is None:
        if not path or not os.path.isfile(path):
            raise ConfigError(
                f"Column {name!r}: its file {path!r} is not on this machine. Have the dataset keep the bytes: "
                "dataset.save_to_disk(...), or dataset.map(...) with what reads them."
            )
        with open(path, "rb") as file:
            data = file.read()
    return ImageFile(data) if type(feature).__name__ == "Image" else data
