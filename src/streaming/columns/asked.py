"""Side columns of a dataset that has none beside it, but whose files can be asked: made of them when they are asked for."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.columns.parquet import Facts, arrow, write_tables
from streaming.columns.query import select_rows
from streaming.columns.side import SideColumns
from streaming.columns.words import unknown_column
from streaming.core.process.lock import locked_part

__all__ = ["AskedColumns"]

logger = logging.getLogger(__name__)

_LOCK_S = 600.0
_NAME = re.compile(r'"((?:[^"]|"")*)"|(\w+)')
_TEXT = re.compile(r"'[^']*'")
#: Where a condition has these, texts in it may end otherwise.
_ODD = re.compile(r"--|/\*|[\\$;]")
#: What a file has that is to have no column of the dataset.
_NOTHING = " "


@dataclass(frozen=True)
class AskedColumns:
    """Columns of a dataset's files, of which those that are asked for are read once, and kept on this machine.

    It has the methods of :class:`~streaming.columns.side.SideColumns`.

    Attributes:
        directory: Where they are kept.
        digest: Of the dataset's index.
        origin: Where the dataset is, for error texts.
        names: Of all columns.
        num_rows: Samples of the dataset.
        read: From names to tables of Arrow of these columns, one after the other, a row a sample.
    """

    directory: str
    digest: bytes
    origin: str
    names: tuple[str, ...]
    num_rows: int
    read: Callable[[Sequence[str]], Iterable[Any]]

    def where(self, condition: str) -> NDArray[np.bool_]:
        """Say for which samples a condition is true: as :meth:`SideColumns.where`, which see."""
        path = self._file(_named(condition, self.names))
        return select_rows(path, self.names, self.num_rows, condition, self.origin)

    def values(self, name: str) -> Any:
        """Return one column as Arrow has it: as :meth:`SideColumns.values`, which see."""
        path = self.file_of(name)
        return SideColumns(path, (name,), self.num_rows).values(name)

    def file_of(self, name: str) -> str:
        """Return the path of a file that holds a column.

        Raises:
            ConfigError: There is no such column.
        """
        if name not in self.names:
            raise unknown_column(name, self.names, self.origin)
        return self._file((name,))

    def _file(self, names: tuple[str, ...]) -> str:
        told = blake2s(repr((self.digest, names)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        path = os.path.join(self.directory, f".streaming-columns-{told}.parquet")
        if os.path.exists(path):
            return path
        os.makedirs(self.directory, exist_ok=True)
        with locked_part(f"{path}.part", _LOCK_S):
            if not os.path.exists(path):  # made by whoever held the lock before
                logger.info("reading %s of %s once, to choose by it", ", ".join(names) or "nothing", self.origin)
                self._write(path, names)
        return path

    def _write(self, path: str, names: tuple[str, ...]) -> None:
        tables = iter(self.read(names) if names else [self._empty()])
        first = next(tables)
        facts = Facts(self.digest.hex(), self.num_rows, {name: name for name in first.column_names})
        write_tables(path, first.schema, _chained(first, tables), facts)

    def _empty(self) -> Any:
        pa = arrow("pyarrow")
        return pa.table({_NOTHING: pa.array(np.zeros(self.num_rows, np.bool_))})


def _chained(first: Any, rest: Iterable[Any]) -> Iterable[Any]:
    yield first
    yield from rest


def _named(condition: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a condition names, or that it has in a text of another meaning."""
    text = str(condition) if _ODD.search(str(condition)) else _TEXT.sub(" ", str(condition))
    found = {(quoted or word).replace('""', '"').casefold() for quoted, word in _NAME.findall(text)}
    return tuple(name for name in names if name.casefold() in found)
