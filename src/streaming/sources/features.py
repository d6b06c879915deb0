"""The columns of tables: what each is stored as, and how that is made of what a file holds.

What Hugging Face noted of columns is used: files of images and sounds are their bytes, arrays of a shape are arrays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, cast

import numpy as np

from streaming.core.errors import SourceError
from streaming.format.arrow_types import encoding_of, is_list, is_list_of_numbers
from streaming.sources.types import (
    SHAPE,
    array_encoding,
    column_values,
    plain,
)

__all__ = ["TableColumns", "is_full", "mark_full"]

_FULL = b"streaming.full"
_FILES = {"Image": "image", "Audio": "audio", "Video": "video"}


def mark_full(field: Any, full: bool) -> Any:
    """Note in a ``pyarrow.Field`` whether no value is missing, none within (of files: no bytes), and no list is empty."""
    others = {key: value for key, value in (field.metadata or {}).items() if key != _FULL}
    return field.with_metadata({**others, _FULL: b"1"} if full else others or None)


def is_full(field: Any) -> bool:
    """Say what :func:`mark_full` noted."""
    return _FULL in (field.metadata or {})


@dataclass(frozen=True)
class TableColumns:
    """The columns of the files of a source. It can be pickled.

    Attributes:
        schema: Their ``pyarrow.Schema``.
        jpegs: Columns of images of which all are JPEG files.
    """

    schema: Any
    jpegs: frozenset[str] = frozenset()

    def with_jpegs(self, names: set[str]) -> TableColumns:
        """Return the same, of which these columns are JPEG files."""
        return replace(self, jpegs=frozenset(names))

    @cached_property
    def _features(self) -> dict[str, dict[str, Any]]:
        """What Hugging Face noted of the columns."""
        try:
            noted = json.loads((self.schema.metadata or {})[b"huggingface"])["info"]["features"]
            return cast("dict[str, dict[str, Any]]", {k: each for k, each in noted.items() if isinstance(each, dict)})
        except (KeyError, ValueError, TypeError, AttributeError):
            return {}

    @cached_property
    def files(self) -> dict[str, str]:
        """Columns of files, or of lists of files, and what is in the files."""
        found: dict[str, str] = {}
        for field in self.schema:
            feature = self._features.get(field.name, {})
            kind = field.type
            if is_list(kind):
                feature, kind = _inner(feature), kind.value_type
            noted = _FILES.get(str(feature.get("_type")))
            if noted or _is_file(kind):
                found[field.name] = noted or "bytes"
        return found

    def encoding(self, name: str) -> str:
        """Return the encoding of a column.

        Raises:
            ConfigError: There is none.
        """
        field = self.schema.field(name)
        kind = self.files.get(name)
        if kind is not None and is_list(field.type):
            return f"list:{kind}{'?' if field.nullable else ''}"
        if kind is not None:
            kind = "jpeg" if name in self.jpegs else kind
            return kind if is_full(field) else f"{kind}?"
        if self._is_json(field):
            return "json"
        shape = self._shape(field)
        if shape:
            return f"ndarray:{_dtype_within(field.type).name}:{','.join(map(str, shape))}"
        if is_list_of_numbers(field.type) and is_full(field):
            return array_encoding(field.type)
        return encoding_of(field)

    def _is_json(self, field: Any) -> bool:
        """Say whether a column is text of JSON, by what Hugging Face noted."""
        import pyarrow as pa

        return self._features.get(field.name, {}).get("_type") == "Json" and pa.types.is_large_string(field.type)

    def _shape(self, field: Any) -> tuple[int, ...] | None:
        """Return the shape that all values of a column of numbers have."""
        feature = self._features.get(field.name, {})
        if not is_full(field) or _dtype_within(field.type) is None:
            return None
        if noted := (field.metadata or {}).get(SHAPE):
            return tuple(map(int, noted.split(b",")))
        if not str(feature.get("_type")).startswith("Array"):
            return None
        shape = cast("list[int | None]", feature.get("shape") or [])
        return tuple(size for size in shape if size) if all(shape) else None

    @property
    def metadata(self) -> dict[str, Any]:
        """Names of classes, sampling rates, and what files hold."""
        facts = {name: _facts(feature) for name, feature in self._features.items()}
        facts = {name: fact for name, fact in facts.items() if fact}
        return {"columns": facts} if facts else {}

    def array(self, batch: Any, name: str, where: str) -> Any:
        """Return a column of a record batch, as its encoding takes it; missing values if the batch lacks it.

        Args:
            batch: A ``pyarrow.RecordBatch``.
            name: Of the column.
            where: What the rows are, for error texts.

        Raises:
            SourceError: Its values do not fit.
        """
        import pyarrow as pa

        field = self.schema.field(name)
        kind = field.type
        if name not in batch.schema.names:
            return plain(pa.nulls(batch.num_rows, kind))
        array = batch.column(name)
        array = array.storage if hasattr(array.type, "storage_type") else array
        try:
            array = plain(array if _is_as(array.type, kind) else array.cast(kind))
            if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
                array.validate(full=True)  # that it is UTF-8, which the file only claims
            if name in self.files:
                return _contents(array, where, name)
            if self._is_json(field):
                return array.fill_null("null").cast(pa.large_binary())
            shape = self._shape(field)
            return _flattened(array, shape, where, name) if shape else array
        except pa.ArrowException as error:
            is_fine = pa.types.is_temporal(array.type)
            hint = (
                " A sample's times have microseconds: leave the column out by `columns`, or round it."
                if is_fine
                else ""
            )
            raise SourceError(f"{where}, column {name!r}: {error}.{hint}") from error

    def values(self, array: Any, name: str) -> list[Any]:
        """Return the values of what :meth:`array` returned: lists of numbers as arrays, all else as Python's."""
        shape = self._shape(self.schema.field(name))
        values = column_values(array)
        return [value.reshape(shape) for value in values] if shape else values


def _is_as(kind: Any, other: Any) -> bool:
    """Say whether values of a type are taken where another is expected: offsets of text and bytes may be of any width."""
    import pyarrow as pa

    types = pa.types
    return (
        kind == other
        or (types.is_string(kind) and types.is_large_string(other))
        or (types.is_binary(kind) and types.is_large_binary(other))
    )


def _inner(feature: dict[str, Any]) -> dict[str, Any]:
    inner = feature.get("feature")
    return cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}


def _is_file(kind: Any) -> bool:
    """Say whether a type is that of files kept as bytes or path."""
    import pyarrow as pa

    names = {kind.field(i).name for i in range(kind.num_fields)} if pa.types.is_struct(kind) else set[str]()
    return names == {"bytes", "path"}


def _dtype_within(kind: Any) -> Any:
    """Return the dtype of the numbers in lists within lists; ``None`` if there are none."""
    import pyarrow as pa

    while is_list(kind):
        kind = kind.value_type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return np.dtype(kind.to_pandas_dtype()) if is_number else None


def _flattened(array: Any, shape: tuple[int, ...], where: str, name: str) -> Any:
    """Return lists within lists as lists of a size."""
    import pyarrow as pa

    count = len(array)
    while is_list(array.type):
        array = array.flatten()
    if len(array) != count * prod(shape):
        raise SourceError(f"{where}, column {name!r}: there are values that have not the shape {shape} that is noted.")
    return pa.FixedSizeListArray.from_arrays(array, prod(shape))


def _contents(array: Any, where: str, name: str) -> Any:
    """Return the bytes of files.

    Raises:
        SourceError: One is elsewhere.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_list(array.type):
        if not pa.types.is_large_list(array.type):
            array = array.cast(pa.large_list(array.type.value_type))
        first = array.offsets[0].as_py()
        within = array.values.slice(first, array.offsets[-1].as_py() - first)
        offsets = pc.subtract(array.offsets, first)  # pyright: ignore[reportAttributeAccessIssue]
        gone = array.is_null() if array.null_count else None
        return pa.LargeListArray.from_arrays(offsets, _contents(within, where, name), mask=gone)
    if not pa.types.is_struct(array.type):  # paths, or the bytes themselves
        return array
    data = plain(array.field("bytes").cast(pa.large_binary()))
    for i, (missing, there) in enumerate(zip(data.is_null().to_pylist(), array.is_valid().to_pylist(), strict=True)):
        if missing and there:
            path = array.field("path")[i].as_py()
            raise SourceError(
                f"{where}, row {i} of them, column {name!r}: the file {path!r} is not in the table. Save it with it."
            )
    return data


def _facts(feature: Any) -> dict[str, Any]:
    """Return what a feature of Hugging Face says besides the type of its values."""
    if not isinstance(feature, dict):
        return {}
    of = cast("dict[str, Any]", feature)
    kind = of.get("_type")
    if kind == "ClassLabel":
        return {"names": list(of["names"])}
    if kind in _FILES:
        rate = of.get("sampling_rate")
        return {"type": _FILES[kind], **({"sampling_rate": rate} if rate else {})}
    return _facts(of["feature"]) if "feature" in of else {}
