"""Keys of samples that are no columns: they are not stored, and nobody shall find that out later."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from streaming.core.errors import ConfigError

__all__ = ["KeyCheck", "UnstoredKeysWarning"]


class UnstoredKeysWarning(UserWarning):
    """Samples have keys that are no columns of the dataset; their values are not stored."""


class KeyCheck:
    """Looks for keys that are no columns. Call it only for samples with another number of keys than :attr:`width`.

    Args:
        names: The columns.
        where: The dataset, for texts.
        inferred: Whether nobody has named these columns: then such a key is an error instead of a warning, for it may be
            a column.

    Attributes:
        width: Number of columns.
        active: Whether there still is something to look for.
    """

    def __init__(self, names: Iterable[str], where: str, inferred: bool = False) -> None:
        self._names = frozenset(names)
        self._where = where
        self._inferred = inferred
        self.active = True
        self.width: int = len(self._names)

    def look(self, number: int, sample: Mapping[str, Any], stacklevel: int = 3) -> None:
        """Warn, once, of keys of a sample that are no columns.

        Args:
            number: Of the sample in the dataset.
            sample: A sample.
            stacklevel: Of the caller to warn, as for :func:`warnings.warn`.

        Raises:
            ConfigError: There is one, and the columns were inferred.
        """
        keys = sample.keys()  # a row of pandas iterates its values
        extra = [key for key in keys if key not in self._names]
        if not extra:
            return
        named = ", ".join(map(repr, extra[:10])) + (" ..." if len(extra) > 10 else "")
        if self._inferred:
            raise ConfigError(
                f"Sample {number} has {named}, which the first rows, from which the columns were inferred, have not. Pass "
                "`columns` with all columns, or without it to leave it out; and exist_ok=True to begin anew."
            )
        self.active: bool = False
        warnings.warn(
            f"Samples for {self._where} have {named}, which are no columns: their values are not stored (first seen in "
            f"sample {number}). Add them to `columns`, or leave them out of the samples. The columns are "
            f"{', '.join(map(repr, sorted(self._names)))}.",
            UnstoredKeysWarning,
            stacklevel=stacklevel,
        )
