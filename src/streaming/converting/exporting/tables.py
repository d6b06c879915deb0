"""Parquet: columns of Arrow's types; images, sounds and videos as Hugging Face's datasets keep them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from streaming.converting.exporting.arrays import ANY, axes_of, lists
from streaming.converting.exporting.samples import FILES
from streaming.core.errors import ConfigError
from streaming.core.imports import optional_import
from streaming.format.encodings import base_name
from streaming.sources.contract import Row

__all__ = ["arrow_schema", "write_parquet"]

_ROWS, _GROUP_BYTES = 256, 32 << 20
_FEATURES = {"jpeg": "Image", "png": "Image", "image": "Image", "audio": "Audio", "video": "Video"}
_TYPES = {
    "str": "string", "json": "string", "str_int": "int64", "str_float": "float64", "str_decimal": "string",
    "bytes": "binary", "int": "int64", "bool": "bool_", "date": "date32",
}  # fmt: skip


def arrow_schema(columns: Mapping[str, str], metadata: Mapping[str, Any]) -> Any:
    """Return the ``pyarrow.Schema`` of columns.

    Args:
        columns: Encodings by name.
        metadata: What is known of the columns: names of classes, sampling rates.

    Raises:
        ConfigError: Parquet holds no values of an encoding.
    """
    pa = optional_import("pyarrow", "arrow", "Writing Parquet")
    fields: list[Any] = []
    features: dict[str, Any] = {}
    for name, encoding in columns.items():
        kind = _type(pa, name, encoding.rstrip("?"))
        fields.append(pa.field(name, kind))  # Hugging Face knows no others; statistics tell where nothing is missing
        known = metadata.get("columns", {}).get(name, {})
        features[name] = _feature(kind, encoding.rstrip("?"), known)
    return pa.schema(fields, {b"huggingface": json.dumps({"info": {"features": features}}).encode()})


def _type(pa: Any, name: str, encoding: str) -> Any:
    base, _, config = encoding.partition(":")
    if base in FILES:
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    if base in _TYPES:
        return getattr(pa, _TYPES[base])()
    if base == "datetime":
        return pa.timestamp("us", config or None)
    if base == "time":
        return pa.time64("us")
    if base == "timedelta":
        return pa.duration("us")
    if base == "list":
        return pa.list_(_type(pa, name, config))
    if base == "ndarray" and config:
        dtype, _, shape = config.partition(":")
        kind = pa.bool_() if dtype == "bool" else pa.from_numpy_dtype(np.dtype(dtype))
        for _ in shape.split(","):  # ANY says how many axes there are, and no more
            kind = pa.list_(kind)
        return kind
    try:
        return pa.from_numpy_dtype(np.dtype(base))
    except TypeError:
        raise ConfigError(
            f"Column {name!r} is {encoding!r}, of which Parquet holds no values. Leave it out by `columns`, or "
            "convert it first."
        ) from None


def _feature(kind: Any, encoding: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return Hugging Face's name of what a column holds."""
    base, _, config = encoding.partition(":")
    if base in _FEATURES:
        rate = known.get("sampling_rate")
        return {"_type": _FEATURES[base], **({"sampling_rate": rate} if rate else {})}
    if base == "list" and config in _FEATURES:
        return {"_type": "Sequence", "feature": _feature(kind.value_type, config, known)}
    if base in ("int", "int64") and "names" in known:
        return {"_type": "ClassLabel", "names": known["names"]}
    shape = [int(size) for size in config.partition(":")[2].split(",") if size]
    if base == "ndarray" and 2 <= len(shape) <= 5 and ANY not in shape:
        return {"_type": f"Array{len(shape)}D", "shape": shape, "dtype": config.partition(":")[0]}
    return _value_feature(kind)


def _value_feature(kind: Any) -> dict[str, Any]:
    if hasattr(kind, "value_type"):
        return {"_type": "Sequence", "feature": _value_feature(kind.value_type)}
    names = {"double": "float64", "float": "float32", "halffloat": "float16", "date32[day]": "date32"}
    return {"_type": "Value", "dtype": names.get(str(kind), str(kind))}


def write_parquet(path: str, rows: Iterable[Row], columns: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """Write a file.

    Args:
        path: It.
        rows: What it is to hold, files as bytes.
        columns: Encodings by name; those of arrays name a dtype and axes.
        metadata: What is known of the columns.

    Raises:
        ConfigError: Parquet does not hold such values; the text names column and row.
    """
    pa = optional_import("pyarrow", "arrow", "Writing Parquet")
    pq: Any = optional_import("pyarrow.parquet", "arrow", "Writing Parquet")
    iterator = iter(rows)
    schema = arrow_schema(columns, metadata)
    stem, done = os.path.basename(path).partition(".")[0], 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        batches: list[Any] = []
        while some := list(islice(iterator, _ROWS)):
            arrays = [_array(pa, columns[f.name], [row[f.name] for row in some], f, (stem, done)) for f in schema]
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            done += len(some)
            if sum(batch.nbytes for batch in batches) >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(batches))
                batches.clear()
        if batches:
            writer.write_table(pa.Table.from_batches(batches))


def _array(pa: Any, encoding: str, values: list[Any], field: Any, begin: tuple[str, int]) -> Any:
    """Return the values of a column; ``begin`` says of which part they are, and how many came before them."""
    base, axes = base_name(encoding), axes_of(encoding)
    if axes is not None:
        return lists(pa, values, *axes, partial(_where, field.name, begin))
    if base in FILES:
        values = list(map(_file, values))
    elif base == "list" and encoding.rstrip("?").partition(":")[2] in FILES:
        values = [None if value is None else list(map(_file, value)) for value in values]
    elif base == "list":
        values = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    elif base == "str_decimal":
        values = [None if value is None else str(value) for value in values]
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, TypeError, OverflowError):
        for number, value in enumerate(values):
            try:
                pa.array([value], field.type)
            except (pa.ArrowException, TypeError, OverflowError) as error:
                raise ConfigError(f"{_where(field.name, begin, number)} is no {field.type}: {error}") from error
        raise


def _file(data: bytes | None) -> dict[str, bytes | None] | None:
    return None if data is None else {"bytes": data, "path": None}


def _where(name: str, begin: tuple[str, int], number: int) -> str:
    return f"Column {name!r}: the value of row {begin[1] + number} of {begin[0]}"
