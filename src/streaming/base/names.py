"""Names of files."""

from __future__ import annotations

__all__ = ["get_index_basename"]


def get_index_basename() -> str:
    """Return the name of the file that lists a dataset's shards.

    Example:
        >>> get_index_basename()
        'index.json'
    """
    return "index.json"
