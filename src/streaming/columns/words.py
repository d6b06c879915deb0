"""What several modules say of a column that there is not."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from streaming.core.errors import ConfigError

__all__ = ["unknown_column"]


def unknown_column(name: str, known: Sequence[str], where: str) -> ConfigError:
    """Return the error of a name that is no column's.

    Args:
        name: It.
        known: The columns that there are.
        where: The file or dataset.
    """
    folded = {column.casefold(): column for column in known}
    close = get_close_matches(name.casefold(), folded, 1)
    hint = f" Did you mean {folded[close[0]]!r}?" if close else ""
    return ConfigError(f"{where} has no column {name!r}; it has {', '.join(map(repr, known)) or 'none'}.{hint}")
