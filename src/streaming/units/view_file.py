"""A view as it is kept: which rows of which datasets, and by what they were chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.columns import dump_columns, read_columns
from streaming.core.errors import ConfigError
from streaming.units.selection import Selection

__all__ = ["ViewFile"]

_MAGIC = b"SDVIEW01"
_COLUMNS = ("sizes", "counts", "offsets", "blob")


@dataclass(frozen=True)
class ViewFile:
    """What a file of a view holds.

    Args:
        query: By what the rows were chosen, in words or SQL.
        datasets: For each stream, the digest of its ``index.json`` in hexadecimal: the version that the view is of.
        origins: For each stream, where its dataset was, fit to be shown.
        selections: For each stream, its rows.
    """

    query: str
    datasets: tuple[str, ...]
    origins: tuple[str, ...]
    selections: tuple[Selection, ...]

    def dump(self) -> bytes:
        """Return the contents of the file."""
        columns: dict[str, NDArray[Any]] = {
            f"{i}.{name}": getattr(selection, name) for i, selection in enumerate(self.selections) for name in _COLUMNS
        }
        facts = {"query": self.query, "datasets": list(self.datasets), "origins": list(self.origins)}
        return b"".join(dump_columns(_MAGIC, facts, columns))

    @classmethod
    def parse(cls, data: Any, source: str) -> ViewFile:
        """Read the contents of a file.

        Args:
            data: Bytes, or a map of them.
            source: Where they are from, for error texts.

        Raises:
            ConfigError: They are not those of a view, or damaged.
        """
        found = read_columns(_MAGIC, data)
        try:
            if found is None:
                raise ValueError("its checksum or its first bytes are wrong")
            facts, columns = found
            selections = tuple(
                _selection([columns[f"{i}.{name}"] for name in _COLUMNS]) for i in range(len(facts["datasets"]))
            )
            origins = tuple(map(str, facts["origins"]))
            return cls(str(facts["query"]), tuple(map(str, facts["datasets"])), origins, selections)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{source} is no view that this version reads ({error}). Save the view again.") from None


def _selection(arrays: list[NDArray[Any]]) -> Selection:
    sizes, counts, offsets, blob = arrays
    if not len(sizes) == len(counts) == len(offsets) - 1:
        raise ValueError("its columns do not fit together")
    if (counts < 0).any() or (counts > sizes).any() or (np.diff(offsets) < 0).any() or int(offsets[-1]) != len(blob):
        raise ValueError("its columns do not fit together")
    return Selection(sizes, counts, offsets, blob)
