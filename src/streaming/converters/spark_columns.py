"""Which encoding a column of a Spark ``DataFrame`` is stored by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import types as spark

from streaming.core.errors import ConfigError

__all__ = ["SPARK_TO_MDS", "infer_dataframe_schema", "is_json_compatible"]

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
# What else a type may be stored as, if that is asked for.
_ALSO: dict[type, str] = {
    spark.BooleanType: "bool",
    spark.DateType: "date",
    spark.TimestampType: "datetime",
    spark.TimestampNTZType: "datetime",
    spark.DayTimeIntervalType: "timedelta",
    spark.ArrayType: "list",
}


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
    if len(fields) < len(dataframe.columns):
        twice = next(name for name in fields if dataframe.columns.count(name) > 1)
        raise ConfigError(
            f"The DataFrame has two columns {twice!r}, of which nobody can tell which is meant. Rename one."
        )
    if user_defined_cols is None:
        return {name: _encoding_of(name, data_type) for name, data_type in fields.items()}
    for name, encoding in user_defined_cols.items():
        if name not in fields:
            raise ConfigError(f"The DataFrame has no column {name!r}. It has: {', '.join(fields)}.")
        data_type = fields[name]
        base = ":".join(encoding.removesuffix("?").split(":")[:2])
        if base.split(":")[0] == _ALSO.get(type(data_type)):
            fits = True
        elif base == "json":
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


def _lookup(data_type: Any) -> str | None:
    if isinstance(data_type, spark.DecimalType):
        return "str_decimal"  # of any precision
    if isinstance(data_type, spark.ArrayType):
        data_type = spark.ArrayType(data_type.elementType)  # whether it may hold nulls is not its encoding's matter
    return SPARK_TO_MDS.get(data_type)


def _encoding_of(name: str, data_type: Any) -> str:
    encoding = _lookup(data_type)
    if encoding is None:
        also = _list_of(data_type) or _ALSO.get(type(data_type))
        hint = "Cast the column" + (f", give it the encoding {also!r} in `encodings`" if also else "")
        if is_json_compatible(data_type) and not _list_of(data_type):
            hint = "Give it the encoding 'json' in `encodings`"
        raise ConfigError(
            f"Column {name!r} has Spark type {data_type.simpleString()}, for which there is no encoding. {hint}, or leave "
            "the column out."
        )
    return encoding


def _list_of(data_type: Any) -> str | None:
    """Return the encoding of lists of simple values; ``None`` of other types."""
    if not isinstance(data_type, spark.ArrayType):
        return None
    element = data_type.elementType
    item = None if isinstance(element, spark.ArrayType) else _ALSO.get(type(element)) or _lookup(element)
    return f"list:{item}" if item else None
