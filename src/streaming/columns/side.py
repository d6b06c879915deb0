"""The handle of a file of side columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.columns.parquet import open_parquet
from streaming.columns.query import select_rows
from streaming.columns.words import unknown_column

__all__ = ["SideColumns"]


@dataclass(frozen=True)
class SideColumns:
    """Columns with one value a sample, in a Parquet file that is read when it is asked. Made by ``open_columns``.

    It can be pickled, and used in several processes at once; a forked process may use its parent's.

    Attributes:
        path: The local file.
        names: Of its columns.
        num_rows: Its rows: one a sample, in the order of the samples.

    Example:
        >>> from streaming.columns.opening import open_columns
        >>> columns = open_columns('people/columns.parquet', 'cache', index.digest, index.num_samples)
        >>> columns.where("age > 60 and name like 'A%'")
        array([False,  True])
        >>> columns.values('age').to_pylist()
        [36, 72]
    """

    path: str
    names: tuple[str, ...]
    num_rows: int

    def where(self, condition: str) -> NDArray[np.bool_]:
        """Say for which samples a condition is true.

        Args:
            condition: What follows WHERE in SQL, as DuckDB speaks it, over the columns of the file; where it has none of
                this name, ``sample_id`` is the number of the row. Where it is NULL, it is not true; a warning says how often
                it was. It cannot read other files.

        Returns:
            ``bool[num_rows]``.

        Raises:
            ConfigError: It is no condition, or names a column that there is not; the text says which there are.
            MissingDependencyError: DuckDB is not installed.
        """
        return select_rows(self.path, self.names, self.num_rows, condition)

    def file_of(self, name: str) -> str:
        """Return the path of the file that holds a column."""
        del name
        return self.path

    def values(self, name: str) -> Any:
        """Return one column as Arrow has it.

        Args:
            name: Of the column.

        Returns:
            A ``pyarrow.ChunkedArray`` of ``num_rows`` values.

        Raises:
            ConfigError: There is no such column.
        """
        if name not in self.names:
            raise unknown_column(name, self.names, self.path)
        with open_parquet(self.path) as file:
            return file.read([name], use_threads=False).column(name)
