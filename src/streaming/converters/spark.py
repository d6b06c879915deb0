"""Spark: each partition of a ``DataFrame`` becomes a part of one MDS dataset, written where the partition is.

Needs the ``spark`` extra and Java. Executors need this package too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from streaming.core.errors import ConfigError, MissingDependencyError, WorkerError
from streaming.storage.location import Location
from streaming.storage.url import join
from streaming.writing.merge import merge_index as merge_indexes
from streaming.writing.publish.places import Place
from streaming.writing.writers import MDSWriter

try:
    from pyspark import TaskContext
    from pyspark.sql import DataFrame
    from pyspark.sql import types as spark
except ImportError as error:
    raise MissingDependencyError(
        "Converting a Spark DataFrame needs pyspark: pip install 'streaming-dataset[spark]', and Java."
    ) from error

__all__ = ["SPARK_TO_MDS", "dataframe_to_mds", "infer_dataframe_schema", "is_json_compatible"]

logger = logging.getLogger(__name__)

#: MDS encodings by Spark type, ``None`` for those that have none.
SPARK_TO_MDS: dict[Any, str | None] = {
    spark.ByteType(): "int8",
    spark.ShortType(): "int16",
    spark.IntegerType(): "int32",
    spark.LongType(): "int64",
    spark.FloatType(): "float32",
    spark.DoubleType(): "float64",
    spark.DecimalType(): "str_decimal",
    spark.StringType(): "str",
    spark.BinaryType(): "bytes",
    spark.BooleanType(): "uint8",
    spark.ArrayType(spark.ShortType()): "ndarray:int16",
    spark.ArrayType(spark.IntegerType()): "ndarray:int32",
    spark.ArrayType(spark.LongType()): "ndarray:int64",
    spark.ArrayType(spark.FloatType()): "ndarray:float32",
    spark.ArrayType(spark.DoubleType()): "ndarray:float64",
    spark.TimestampType(): None,
    spark.TimestampNTZType(): None,
    spark.DateType(): None,
    spark.DayTimeIntervalType(): None,
}

# Binary columns may hold what these encodings store, already encoded.
_FROM_BINARY = ("pil", "png", "jpeg", "pkl")
_RESULT = spark.StructType(
    [
        spark.StructField("mds_path_local", spark.StringType(), False),
        spark.StructField("mds_path_remote", spark.StringType(), False),
    ]
)


def is_json_compatible(data_type: Any) -> bool:
    """Say whether every value of a Spark type can be stored by the ``json`` encoding.

    Args:
        data_type: A type of ``pyspark.sql.types``.
    """
    if isinstance(data_type, spark.StructType):
        return all(is_json_compatible(field.dataType) for field in data_type.fields)
    if isinstance(data_type, spark.ArrayType):
        return is_json_compatible(data_type.elementType)
    if isinstance(data_type, spark.MapType):
        return isinstance(data_type.keyType, spark.StringType) and is_json_compatible(data_type.valueType)
    leaves = (
        spark.StringType,
        spark.IntegralType,
        spark.FloatType,
        spark.DoubleType,
        spark.BooleanType,
        spark.NullType,
    )
    return isinstance(data_type, leaves)


def infer_dataframe_schema(
    dataframe: DataFrame, user_defined_cols: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """Choose an encoding for each column, or check those that are given.

    Args:
        dataframe: The data.
        user_defined_cols: Encodings by column, to be checked instead of chosen.

    Returns:
        Encodings by column; ``None`` if they were given.

    Raises:
        ConfigError: A column does not exist, or its type has no encoding or not the given one.
    """
    fields = {field.name: field.dataType for field in dataframe.schema.fields}
    if user_defined_cols is None:
        return {name: _encoding_of(name, data_type) for name, data_type in fields.items()}
    for name, encoding in user_defined_cols.items():
        if name not in fields:
            raise ConfigError(f"The DataFrame has no column {name!r}. It has: {', '.join(fields)}.")
        data_type = fields[name]
        base = ":".join(encoding.split(":")[:2])
        if base == "json":
            fits = is_json_compatible(data_type)
        elif base in _FROM_BINARY:
            fits = isinstance(data_type, spark.BinaryType)
        else:
            fits = base == _lookup(data_type)
        if not fits:
            raise ConfigError(
                f"Column {name!r} has Spark type {data_type.simpleString()}, which is not stored as {encoding!r} but as "
                f"{_lookup(data_type)!r}. Cast the column or change the encoding."
            )
    return None


def dataframe_to_mds(
    dataframe: DataFrame | None,
    merge_index: bool = True,
    mds_kwargs: Mapping[str, Any] | None = None,
    udf_iterable: Callable[..., Iterable[Mapping[str, Any]]] | None = None,
    udf_kwargs: Mapping[str, Any] | None = None,
) -> tuple[str, str]:
    """Write a ``DataFrame`` as an MDS dataset: one part a partition, in parallel, under one index.

    Args:
        dataframe: The data.
        merge_index: Write the index of all parts at the root.
        mds_kwargs: Arguments of :class:`streaming.MDSWriter`, ``out`` at least. ``columns`` are chosen by the schema if they
            are not given; ``compression`` is ``'zstd'`` if it is not given. On a cluster, a local ``out`` must be one that
            all nodes share.
        udf_iterable: Makes samples of each pandas ``DataFrame`` of a partition; ``columns`` are then needed.
        udf_kwargs: Its further arguments.

    Returns:
        The local directory that holds the dataset, or ``''``, and the remote, or ``''``.

    Raises:
        ConfigError: The frame is missing or empty, an argument is missing, or the columns do not fit the schema.
    """
    if dataframe is None or dataframe.isEmpty():
        raise ConfigError("The DataFrame is missing or empty: there is nothing to write.")
    arguments: dict[str, Any] = {"compression": "zstd", **(mds_kwargs or {})}
    if not arguments.get("out"):
        raise ConfigError("mds_kwargs needs `out`: where the dataset is written.")
    if not arguments.get("columns"):
        if udf_iterable is not None:
            raise ConfigError("mds_kwargs needs `columns` when udf_iterable makes the samples.")
        arguments["columns"] = infer_dataframe_schema(dataframe)
        logger.info("columns chosen by the schema: %s", arguments["columns"])
    elif udf_iterable is None:
        infer_dataframe_schema(dataframe, arguments["columns"])

    local, remote = _places(arguments.pop("out"))
    keep = bool(arguments.pop("keep_local", False)) or not remote
    further = dict(udf_kwargs or {})

    def convert(frames: Iterable[Any]) -> Iterator[Any]:
        import pandas as pd

        yield pd.DataFrame([_write_part(frames, (local, remote), keep, arguments, udf_iterable, further)])

    parts = [
        (row["mds_path_local"], row["mds_path_remote"]) for row in dataframe.mapInPandas(convert, _RESULT).collect()
    ]
    if merge_index:
        indexes = [remote_index or local_index for local_index, remote_index in parts]
        merge_indexes(indexes, (local, remote) if local and remote else local or remote, keep_local=keep)
    if local and not keep:
        with suppress(OSError):  # the writers removed their files; it holds something else, or is not here
            os.rmdir(local)
        local = ""
    return local, remote


def _places(out: Any) -> tuple[str, str]:
    if isinstance(out, (tuple, list)):
        place = Place.parse(out)
        return place.local.url if place.local else "", place.remote.url if place.remote else ""
    place = Location.parse(os.fspath(out))
    return (place.url, "") if place.is_local else ("", place.url)


def _write_part(
    frames: Iterable[Any],
    places: tuple[str, str],
    keep: bool,
    arguments: dict[str, Any],
    make_samples: Callable[..., Iterable[Mapping[str, Any]]] | None,
    further: dict[str, Any],
) -> dict[str, str]:
    """Write one partition on the node that has it; return where its index is."""
    context = TaskContext.get()
    if context is None:
        raise WorkerError("There is no Spark task: this runs only in an executor.")
    # An attempt has a number of its own, so that a repeated or speculative one does not write into another's part.
    name = str(context.taskAttemptId())
    local, remote = (join(place, name) if place else "" for place in places)
    out = (local, remote) if local and remote else local or remote
    with MDSWriter(out=out, keep_local=keep, **arguments) as writer:
        for frame in frames:
            samples = make_samples(frame, **further) if make_samples is not None else frame.to_dict("records")
            for sample in samples:
                writer.write({column: _plain(value) for column, value in sample.items()})
    return {
        "mds_path_local": join(local, "index.json") if local and keep else "",
        "mds_path_remote": join(remote, "index.json") if remote else "",
    }


def _plain(value: Any) -> Any:
    """Turn Spark's rows into dicts, at any depth."""
    if isinstance(value, spark.Row):
        return {name: _plain(item) for name, item in value.asDict().items()}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _lookup(data_type: Any) -> str | None:
    if isinstance(data_type, spark.DecimalType):
        return "str_decimal"  # of any precision
    if isinstance(data_type, spark.ArrayType):
        data_type = spark.ArrayType(data_type.elementType)  # whether it may hold nulls is not its encoding's matter
    return SPARK_TO_MDS.get(data_type)


def _encoding_of(name: str, data_type: Any) -> str:
    encoding = _lookup(data_type)
    if encoding is None:
        hint = "Give it the encoding 'json' in `columns`" if is_json_compatible(data_type) else "Cast the column"
        raise ConfigError(
            f"Column {name!r} has Spark type {data_type.simpleString()}, for which there is no encoding. {hint}, or leave "
            "the column out."
        )
    return encoding
