"""Which columns of a dataset are read: some by their names, or all; and whether reading them is safe."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from streaming.core.errors import ConfigError, UnsafeTypeError
from streaming.format.index import Index

__all__ = ["as_columns", "check_columns"]


def as_columns(value: Any) -> tuple[str, ...] | None:
    """Return names of columns, checked.

    Args:
        value: What the user gave: a list of names, or ``None`` for all columns.

    Raises:
        ConfigError: It is no list of names, is empty, or has a name twice.
    """
    if value is None:
        return None
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    names: list[Any] = list(value) if is_list else []
    if not is_list or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"columns must be a list of names such as ['text', 'label'], got {value!r}.")
    if not names:
        raise ConfigError("columns is empty: name at least one column, or leave it out for all of them.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"columns has {', '.join(map(repr, twice))} more than once: {names!r}.")
    return tuple(names)


def check_columns(index: Index, columns: tuple[str, ...] | None, where: str, allow_unsafe_types: bool) -> None:
    """Check that every shard of a dataset has some columns, and that they can be decoded without running code of its own.

    Args:
        index: The dataset's index.
        columns: Names of the columns that are read, ``None`` for all.
        where: Where it is, for error texts.
        allow_unsafe_types: Accept columns whose decoding can run code.

    Raises:
        ConfigError: There is no such column, or not in every shard.
        UnsafeTypeError: Decoding one can run code, and that is not allowed.
    """
    for schema in index.schemas:
        for name in columns or ():
            if name not in schema.column_names:
                raise _unknown(name, schema.column_names, where, len(index.schemas) > 1)
        unsafe = [name for name in schema.unsafe_columns if columns is None or name in columns]
        if unsafe and not allow_unsafe_types:
            raise UnsafeTypeError(
                f"The dataset at {where} has columns that are unpickled when read ({', '.join(unsafe)}): whoever wrote "
                "it could run code here. If you trust it, pass allow_unsafe_types=True."
            )


def _unknown(name: str, known: Sequence[str], where: str, has_several: bool) -> ConfigError:
    close = get_close_matches(name, known, 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    which = "Some shards of the dataset" if has_several else "The dataset"
    have = "have" if has_several else "has"
    return ConfigError(
        f"{which} at {where} {have} no column {name!r}; there {'are' if len(known) > 1 else 'is'} "
        f"{', '.join(map(repr, known)) or 'none'}.{hint}"
    )
