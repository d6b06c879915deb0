"""Which encoding holds all values of a column, told by every one of them. It is exact, for one pass over all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from streaming.core.errors import SourceError

__all__ = ["NOTHING", "Learner", "common_encoding", "size_of"]

#: What a column has whose values are all missing.
NOTHING = "nothing"
_MISSING = ""
_KINDS: dict[type, str] = {
    bool: "bool", int: "int", float: "float64", str: "str", bytes: "bytes", dict: "json", list: "json", type(None): _MISSING,
}  # fmt: skip
_JSON = {"bool", "int", "float64", "str", "json"}
_IMAGES = {"jpeg", "png", "image"}
_MOST = 1 << 63
#: Floats hold all whole numbers up to here.
_EXACT = 1 << 53


class Learner:
    """Learns the columns of the rows of a file.

    Args:
        name: Of the file, for error texts.
        known: Encodings of columns that are known.
        hint: From the name of a column of bytes to the encoding that it is to have instead, if any.
    """

    def __init__(
        self, name: str, known: Mapping[str, str] | None = None, hint: Callable[[str], str | None] | None = None
    ) -> None:
        self.rows = 0
        self._name = name
        self._known = dict(known or {})
        self._hint = hint
        self._seen: dict[str, dict[str, int]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at a row."""
        self.rows += 1
        every = self._seen
        for name, value in row.items():
            kind = _KINDS.get(type(value)) or _kind_of(value)
            if kind == "int" and not -_EXACT <= value <= _EXACT:
                kind = "json" if not -_MOST <= value < _MOST else "int" if float(value) == value else "long"
            seen = every.get(name)
            if seen is None:
                seen = every[name] = {}
            seen[kind] = seen.get(kind, 0) + 1

    def add_names(self, names: Iterable[str], rows: int = 1) -> None:
        """Take note of rows of columns whose encodings are known."""
        self.rows += rows
        for name in names:
            seen = self._seen.setdefault(name, {})
            seen["bytes"] = seen.get("bytes", 0) + rows

    def encodings(self) -> dict[str, str]:
        """Return the encoding of each column, with a question mark if a row lacks it.

        Raises:
            SourceError: No encoding holds all values of a column.
        """
        return {name: self._encoding(name, seen) for name, seen in self._seen.items()}

    def _encoding(self, name: str, seen: dict[str, int]) -> str:
        kinds = seen.keys() - {_MISSING}
        lacks = sum(seen[kind] for kind in kinds) < self.rows
        if "long" in kinds:  # no float holds it
            kinds = kinds - {"long"} | {"json" if "float64" in kinds else "int"}
        if not kinds:
            return NOTHING
        found = self._known.get(name, "").rstrip("?") or common_encoding(kinds)
        if found is None:
            raise SourceError(f"{self._name}, column {name!r}: no encoding holds both {' and '.join(sorted(kinds))}.")
        if found == "bytes" and self._hint is not None:
            found = self._hint(name) or found
        return f"{found}?" if lacks and found != "json" else found


def _kind_of(value: Any) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, np.ndarray):
        return f"ndarray:{value.dtype.name}" if value.dtype.kind in "biuf" and value.size else "json"
    if isinstance(value, np.generic):
        return _KINDS.get(type(value.item()), "json") if value.dtype.itemsize == 8 else value.dtype.name
    return next((kind for base, kind in _KINDS.items() if isinstance(value, base)), "json")


def common_encoding(found: Iterable[str]) -> str | None:
    """Return an encoding that holds the values of several, ``None`` if there is none.

    Args:
        found: Their names, without question marks; at least one.
    """
    kinds = set(found)
    if len(kinds) == 1:
        return kinds.pop()
    if kinds == {"int", "float64"}:
        return "float64"
    if kinds <= _IMAGES:
        return "image"
    if all(kind.partition(":")[0] == "ndarray" for kind in kinds):
        return "ndarray"
    return "json" if kinds <= _JSON else None


def size_of(row: Mapping[str, Any]) -> int:
    """Return about how many bytes a row takes."""
    return sum(len(v) if isinstance(v, (str, bytes)) else getattr(v, "nbytes", 8) for v in row.values())
