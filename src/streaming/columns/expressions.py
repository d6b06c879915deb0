"""What side columns are made of: a column of the dataset, or the length of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import Any, cast

from streaming.columns.parquet import arrow
from streaming.columns.words import unknown_column
from streaming.core.errors import ConfigError
from streaming.format.encodings import base_name
from streaming.format.samples.schema import Schema

__all__ = ["Expression", "check_expressions", "make_schema", "parse_expressions"]

_FORM = re.compile(r"(?:(?P<name>[^=(),]+)=)?(?:len\((?P<sized>.+)\)|(?P<plain>[^=()]+))")
#: Encodings whose values a Parquet file holds as they are, and Arrow's type of them.
_TYPES = {
    "bool": "bool_",
    "int": "int64",
    "float": "float64",
    "float16": "float32",
    "str": "string",
    "bytes": "binary",
    "str_int": "int64",
    "str_float": "float64",
    "str_decimal": "string",
    **{f"{kind}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"float{bits}" for bits in (32, 64)},
}
#: Values that have a length of their own; of any other encoding, it is the number of bytes that are stored.
_SIZED = {"str", "ndarray", "json"}
#: DuckDB numbers the rows by this name.
_TAKEN = {"file_row_number"}


@dataclass(frozen=True)
class Expression:
    """A side column.

    Attributes:
        name: Its name.
        column: The column of the dataset.
        is_length: Whether it is the length of the column's values rather than the values.
    """

    name: str
    column: str
    is_length: bool = False

    @property
    def source(self) -> str:
        """What it is made of: ``age``, ``len(tokens)``."""
        return f"len({self.column})" if self.is_length else self.column

    def read_as(self, encoding: str) -> str:
        """Return the encoding by which an MDS column is read: where its bytes are counted, they are not decoded.

        Args:
            encoding: Of the dataset's column.
        """
        if not self.is_length or base_name(encoding) in _SIZED:
            return encoding
        return "bytes?" if encoding.endswith("?") else "bytes"

    def measure(self, encoding: str) -> Callable[[Any], Any]:
        """Return what is made of a value that was read.

        Args:
            encoding: As it was read.
        """
        if self.is_length:
            return _length
        return {"str_decimal": _as_text, "float16": _as_float}.get(base_name(encoding), _itself)


def parse_expressions(given: str | Iterable[str]) -> tuple[Expression, ...]:
    """Read what a user wants for side columns.

    Args:
        given: Each ``column`` or ``len(column)``, with ``name=`` before it or not; in one text, joined by commas.

    Raises:
        ConfigError: One is neither, two have the same name, or there is none.

    Example:
        >>> from streaming.columns.expressions import parse_expressions
        >>> [(one.name, one.source) for one in parse_expressions('age,n_tokens=len(tokens),len(text)')]
        [('age', 'age'), ('n_tokens', 'len(tokens)'), ('len_text', 'len(text)')]
    """
    if not isinstance(given, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"Side columns are a list such as ['age', 'len(tokens)'], or one text; got {given!r}.")
    texts = given.split(",") if isinstance(given, str) else list(given)
    found: dict[str, Expression] = {}
    for text in texts:
        match = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if match is None:
            raise ConfigError(f"Side columns are such as 'age', 'len(tokens)' or 'n_tokens=len(tokens)'; got {text!r}.")
        column = (match["sized"] or match["plain"]).strip()
        one = Expression(
            (match["name"] or ("len_" if match["sized"] else "") + column).strip(), column, bool(match["sized"])
        )
        key = one.name.casefold()
        if key in found or key in _TAKEN:
            raise ConfigError(
                f"Two side columns have the name {one.name!r}; SQL knows no upper and lower case. Write NAME={one.source}."
                if key in found
                else f"{one.name!r} is the name of a column that DuckDB adds itself. Write NAME={one.source}."
            )
        found[key] = one
    if not found:
        raise ConfigError("No side columns are named. Name some, such as 'age,n_tokens=len(tokens)'.")
    return tuple(found.values())


def check_expressions(expressions: Sequence[Expression], schemas: Iterable[Schema], where: str) -> dict[str, str]:
    """Check that a dataset has what side columns are to be made of.

    Args:
        expressions: The side columns.
        schemas: Of the dataset's shards.
        where: The dataset.

    Returns:
        Arrow's type of each side column, by its name.

    Raises:
        ConfigError: There is no such column, its values go into no Parquet file, or have no length.
    """
    types: dict[str, str] = {}
    for schema in schemas:
        encodings = dict(zip(schema.column_names, schema.column_encodings, strict=True))
        for one in expressions:
            if one.column not in encodings:
                raise unknown_column(one.column, schema.column_names, where)
            kind = _type_of(one, encodings[one.column], where)
            if types.setdefault(one.name, kind) != kind:
                raise ConfigError(
                    f"Column {one.column!r} of {where} is {types[one.name]} in some shards and {kind} in others."
                )
    return types


def make_schema(types: dict[str, str]) -> Any:
    """Return Arrow's schema of side columns, of what :func:`check_expressions` returned."""
    pa = arrow("pyarrow")
    return pa.schema([(name, getattr(pa, kind)()) for name, kind in types.items()])


def _type_of(one: Expression, encoding: str, where: str) -> str:
    name = base_name(encoding)
    known = None if ":" in encoding else _TYPES.get(name)
    if not one.is_length:
        if known is None:
            raise ConfigError(
                f"Column {one.column!r} of {where} is {encoding!r}: a side column holds numbers, text, bytes or truth "
                f"values. Its length can be one: len({one.column})."
            )
        return known
    if known is not None and name not in ("str", "bytes"):
        raise ConfigError(f"Column {one.column!r} of {where} is {encoding!r}, and numbers have no length.")
    return "int64"


def _itself(value: Any) -> Any:
    return value


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _as_float(value: Any) -> float | None:
    return None if value is None else float(value)


def _length(value: Any) -> int | None:
    return None if value is None else len(cast("Sized", value))
