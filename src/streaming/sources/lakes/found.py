"""What was found at a place: files, and what is known of them besides what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.storage.location import Location
from streaming.storage.store import ObjectInfo, Store

__all__ = ["Found", "as_version"]


@dataclass(frozen=True)
class Found:
    """The files at a place. It can be pickled.

    Attributes:
        store: The store of their root.
        kind: Their format.
        files: They, in order.
        columns: The ``pyarrow.Schema`` of the columns that all rows of a file have the same value of; ``None`` if there are
            none.
        values: These values, of each file; empty if there are none.
        gone: By the number of a file, ``int64[n]`` in ascending order: rows of it that were deleted.
        table: The ``pyarrow.Schema`` of a table, whose files may lack some of its columns or have others; ``None``: the
            columns are those of the files.
        keys: By the name of a column of a table, the number of its field in files, or its name there; ``None``: files call
            columns as the table does.
        counts: How many rows each file is said to have; ``None`` if nothing says so.
    """

    store: Store
    kind: str
    files: list[ObjectInfo]
    columns: Any = None
    values: Sequence[Mapping[str, Any]] = ()
    gone: Mapping[int, NDArray[np.int64]] = field(default_factory=dict[int, Any])
    table: Any = None
    keys: Mapping[str, int | str] | None = None
    counts: Sequence[int] | None = None

    def values_of(self, number: int) -> Mapping[str, Any]:
        """Return what all rows of a file have."""
        return self.values[number] if self.values else {}


def as_version(options: Mapping[str, str], place: Location) -> int | None:
    """Return the version of a table that was asked for.

    Raises:
        ConfigError: It is no number.
    """
    text = options.get("version")
    if text is not None and not text.isdecimal():
        raise ConfigError(f"version of {place} must be a number, got {text!r}.")
    return None if text is None else int(text)
