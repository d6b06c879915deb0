"""Side columns of many encoded samples as Arrow: what is not asked for is not decoded.

Legend: n samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.columns.expressions import Expression
from streaming.columns.parquet import arrow
from streaming.core.errors import ConfigError, ShardFormatError
from streaming.format.formats import get_decoder
from streaming.format.samples.schema import Schema

__all__ = ["project"]


def project(
    data: Any,
    offsets: NDArray[np.int64],
    schema: Schema,
    expressions: Sequence[Expression],
    arrow_schema: Any,
    where: str,
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
    wanted = tuple(dict.fromkeys(one.column for one in expressions))
    if schema.format == "mds":
        for one in expressions:
            encodings[one.column] = one.read_as(encodings[one.column])
        schema = replace(schema, column_encodings=tuple(encodings.values()))
    read = get_decoder(schema, wanted).read
    measures = [(one.column, one.measure(encodings[one.column])) for one in expressions]
    columns: list[list[Any]] = [[] for _ in expressions]
    for i, (begin, end) in enumerate(pairwise(offsets.tolist())):
        try:
            sample = read(data, begin, end)
            for (name, measure), column in zip(measures, columns, strict=True):
                column.append(measure(sample[name]))
        except Exception as error:
            raise ShardFormatError(f"{where}, sample {i}: {type(error).__name__}: {error}") from error
    arrays: list[Any] = []
    for one, field, values in zip(expressions, arrow_schema, columns, strict=True):
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, OverflowError, TypeError) as error:
            raise ConfigError(f"{where}: column {one.column!r} has a value that is no {field.type}: {error}") from error
    return pa.Table.from_arrays(arrays, schema=arrow_schema)
