"""The ``xsv``, ``csv`` and ``tsv`` formats: each sample is a line of fields. Nothing is quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from streaming.core.errors import ColumnTypeError, ConfigError, SeparatorInValueError, ShardFormatError
from streaming.format.kinds.layout import value_of
from streaming.format.kinds.lines import (
    VALUE_TYPES,
    LinesShardEncoder,
    check_newline,
    check_type,
    encode_line,
    is_line_encoding,
    text_of,
)
from streaming.format.samples.options import ColumnNameError, WriteOptions, check_columns
from streaming.format.samples.sample import SampleDecoder
from streaming.format.samples.schema import SEPARATORS, Schema

__all__ = ["XSVShardEncoder", "compile_decoder"]

T = TypeVar("T")


class XSVShardEncoder(LinesShardEncoder):
    """Turns samples into the bytes of shards of separated values.

    Args:
        columns: ``'str'``, ``'int'`` or ``'float'`` for each column.
        options: How shards are written.
        format: ``'xsv'``, ``'csv'`` or ``'tsv'``.
        newline: What ends a line.
        separator: What stands between fields; given for ``'xsv'`` alone.

    Raises:
        UnknownEncodingError: An encoding does not exist.
        ColumnNameError: A column's name holds the separator or the newline.
        ConfigError: The separator or the newline is not usable.
    """

    def __init__(
        self,
        columns: Mapping[str, str],
        options: WriteOptions,
        format: str = "xsv",
        newline: str = "\n",
        separator: str | None = None,
    ) -> None:
        columns = check_columns(columns, is_line_encoding, list(VALUE_TYPES))
        separator = _check_separator(format, separator)
        if not check_newline(newline):
            raise ConfigError("newline must not be empty: rows could not be told apart.")
        if newline in separator or separator in newline:
            raise ConfigError(
                f"separator {separator!r} and newline {newline!r} must not hold each other: fields could not be told from "
                "rows."
            )
        if not _reads_back(list(columns), separator, newline):
            raise ColumnNameError(
                f"The names of the columns {', '.join(map(repr, columns))} hold the separator {separator!r} or the newline "
                f"{newline!r}, or make one where they meet it, and {format} has no quoting."
            )
        fields = {
            "column_encodings": list(columns.values()),
            "column_names": list(columns),
            "format": format,
            "newline": newline,
            "version": 2,
            **options.fields(),
        }
        if format not in SEPARATORS:
            fields["separator"] = separator
        super().__init__(fields, encode_line(separator.join(columns) + newline))
        self._columns = columns
        self._newline = newline
        self._separator = separator
        # Of one character, none can begin in a value and end beyond.
        self._is_long = len(separator) > 1 or len(newline) > 1

    def encode_sample(self, sample: Mapping[str, Any]) -> bytes:
        """Encode a sample. Values that are no columns are ignored.

        Raises:
            SampleError: A column is missing, its value has another type, or its text holds the
                separator or the newline, or a part of one that the next would complete.
        """
        texts: list[str] = []
        for name, encoding in self._columns.items():
            value = value_of(sample, name)
            if value is None:
                raise ColumnTypeError(
                    f"Column {name!r} ({encoding}): the value is None, which {self.format} cannot tell from text. Use "
                    "MDSWriter or JSONWriter with the encoding "
                    + f"{encoding + '?'!r}, or store a text that stands for it."
                )
            check_type(name, encoding, value)
            text = text_of(encoding, value)
            if self._separator in text or self._newline in text:
                raise SeparatorInValueError(
                    f"Column {name!r} holds the separator {self._separator!r} or the newline "
                    f"{self._newline!r}, and {self.format} has no quoting: {text!r:.80}"
                )
            texts.append(text)
        if self._is_long and not _reads_back(texts, self._separator, self._newline):
            raise SeparatorInValueError(
                f"Columns {', '.join(map(repr, self._columns))} make a separator {self._separator!r} or a newline "
                f"{self._newline!r} where they meet one, so that they would be read back as others, and {self.format} has "
                f"no quoting: {texts!r:.160}"
            )
        return encode_line(self._separator.join(texts) + self._newline)


def _reads_back(fields: Sequence[str], separator: str, newline: str) -> bool:
    """Say whether a line gives its fields back, and ends only where it does: ``x|`` before ``||`` does not."""
    line = separator.join(fields)
    return line.split(separator) == list(fields) and (line + newline).find(newline) == len(line)


def _check_separator(format: str, separator: str | None) -> str:
    fixed = SEPARATORS.get(format)
    if fixed is not None:
        if separator not in {None, fixed}:
            raise ConfigError(f"{format} has the separator {fixed!r}, got {separator!r}.")
        return fixed
    if not isinstance(separator, str) or not separator:
        raise ConfigError(f"{format} needs a separator such as '|', got {separator!r}.")
    return separator


def compile_decoder(schema: Schema, names: Sequence[str] | None = None) -> SampleDecoder:
    """Prepare to read samples of a schema.

    Args:
        schema: What they have in common.
        names: The columns to convert, in the order in which a sample is to have them; ``None`` for all.

    Raises:
        ConfigError: A column has an encoding that the format does not.
    """
    places = None if names is None else [schema.column_names.index(name) for name in names]
    known = list(zip(schema.column_names, schema.column_encodings, strict=True))
    columns = [(name, _reader(name, encoding)) for name, encoding in _at(known, places)]
    separator, newline = schema.separator or ",", schema.newline or ""

    def decode(data: bytes) -> dict[str, Any]:
        text = data.decode()
        fields = text[: len(text) - len(newline)].split(separator)
        if len(fields) < len(known):
            raise ShardFormatError(f"expected {len(known)} fields, got {text!r:.80}")
        return {name: read(field) for (name, read), field in zip(columns, _at(fields, places), strict=False)}

    return SampleDecoder.of_bytes(decode)


def _at(values: list[T], places: list[int] | None) -> list[T]:
    return values if places is None else [values[place] for place in places]


def _reader(name: str, encoding: str) -> type:
    if not is_line_encoding(encoding):
        raise ConfigError(
            f"Column {name!r} has the unsupported encoding {encoding!r}. Known: {', '.join(VALUE_TYPES)}."
        )
    return VALUE_TYPES[encoding]
