"""The ``json`` format: each sample is a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from streaming.core.errors import ConfigError, ShardFormatError
from streaming.format.kinds.layout import null_value, value_of
from streaming.format.kinds.lines import (
    VALUE_TYPES,
    LinesShardEncoder,
    check_newline,
    check_type,
    encode_line,
    is_line_encoding,
)
from streaming.format.samples.options import WriteOptions, check_columns
from streaming.format.samples.sample import SampleDecoder
from streaming.format.samples.schema import Schema

__all__ = ["JSONShardEncoder", "compile_decoder"]

_SPACE = " \t\r\n"


class JSONShardEncoder(LinesShardEncoder):
    """Turns samples into the bytes of JSON-lines shards.

    Args:
        columns: ``'str'``, ``'int'`` or ``'float'`` for each column, followed by ``'?'`` if values may be ``None``.
        options: How shards are written.
        newline: What ends a line.

    Raises:
        UnknownEncodingError: An encoding does not exist.
        ConfigError: ``newline`` is not text, or not white space.
    """

    def __init__(self, columns: Mapping[str, str], options: WriteOptions, newline: str = "\n") -> None:
        columns = check_columns(columns, _is_encoding, [*VALUE_TYPES, *(f"{name}?" for name in VALUE_TYPES)])
        if check_newline(newline).strip(_SPACE):
            raise ConfigError(
                f"newline must be white space of JSON, such as '\\n', or lines could not be read back; got {newline!r}."
            )
        super().__init__(
            {
                "columns": columns,
                "format": "json",
                "newline": newline,
                "version": 2,
                **options.fields(),
            }
        )
        self._columns = columns
        self._newline = newline

    def encode_sample(self, sample: Mapping[str, Any]) -> bytes:
        """Encode a sample. Values that are no columns are ignored.

        Raises:
            SampleError: A column is missing, or its value has another type.
        """
        values: dict[str, Any] = {}
        for name, encoding in self._columns.items():
            value = value_of(sample, name)
            if value is not None:
                check_type(name, encoding.removesuffix("?"), value)
            elif not encoding.endswith("?"):
                raise null_value(name, encoding)
            values[name] = value
        return encode_line(json.dumps(values) + self._newline)


def _is_encoding(encoding: Any) -> bool:
    return isinstance(encoding, str) and is_line_encoding(encoding.removesuffix("?"))


def compile_decoder(_schema: Schema) -> SampleDecoder:
    """Prepare to read samples of a schema."""
    return SampleDecoder.of_bytes(_decode)


def _decode(data: bytes) -> dict[str, Any]:
    sample = json.loads(data.decode())
    if not isinstance(sample, dict):
        raise ShardFormatError(f"expected a JSON object, got {data[:40]!r}")
    return cast("dict[str, Any]", sample)
