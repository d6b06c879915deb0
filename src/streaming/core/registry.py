"""Names to implementations, resolved on first use and open to third parties.

A registry maps a name to ``"module:attribute"`` (imported when first asked for) or to an object. It is a
mutable mapping, so that code written for plain dicts of implementations keeps working; installed packages
may add names by an entry point of the registry's group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module, metadata
from typing import Any, Generic, TypeVar, cast

from streaming.core.errors import UnknownNameError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(MutableMapping[str, T], Generic[T]):
    """A mapping from names to lazily imported objects.

    Args:
        kind: What the names name, in the singular, for error texts (``"shuffle algorithm"``).
        entries: Names and their objects, or ``"module:attribute"`` strings.
        group: Entry-point group that third parties register names in.

    Example:
        >>> codecs = Registry('codec', {'hex': 'binascii:hexlify'})
        >>> codecs['hex'](b'a')
        b'61'
        >>> codecs['none'] = bytes
        >>> codecs['nonne']
        Traceback (most recent call last):
            ...
        streaming.core.errors.UnknownNameError: Unknown codec 'nonne'. Known: hex, none.
    """

    def __init__(self, kind: str, entries: Mapping[str, T | str], group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, T | str] = dict(entries)
        self._scanned = group is None

    def _scan(self) -> None:
        if not self._scanned and self.group is not None:
            self._scanned = True
            for point in metadata.entry_points(group=self.group):
                self._entries.setdefault(point.name, point.value)

    def __getitem__(self, name: str) -> T:
        """Return the object of a name, importing it if need be.

        Raises:
            UnknownNameError: The name is not registered; the text lists those that are.
        """
        if name not in self._entries:
            self._scan()
        try:
            entry = self._entries[name]
        except (KeyError, TypeError):
            known = ", ".join(sorted(self._entries))
            raise UnknownNameError(f"Unknown {self.kind} {name!r}. Known: {known}.") from None
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            loaded = cast(T, _resolve(import_module(module), attribute))
            self._entries[name] = loaded
            return loaded
        return entry

    def __setitem__(self, name: str, value: T | str) -> None:
        self._entries[name] = value

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def snapshot(self) -> dict[str, T | str]:
        """Return the entries as they are, for :meth:`restore`."""
        return dict(self._entries)

    def restore(self, entries: Mapping[str, T | str]) -> None:
        """Put entries in place of those that are here."""
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        self._scan()
        return iter(self._entries)

    def __len__(self) -> int:
        self._scan()
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        if name in self._entries:
            return True
        self._scan()
        return name in self._entries

    def __repr__(self) -> str:
        return f"Registry({self.kind}: {', '.join(sorted(self))})"


def _resolve(obj: Any, path: str) -> Any:
    for part in path.split("."):
        obj = getattr(obj, part)
    return obj
