"""What is in an archive of grouped members, without their contents: by its headers, or by an index that lies beside it.

Indexes that are used: ``name.tar.idx`` with the place of each group as 8 bytes, as Energon writes it, and ``name.idx`` with
a line of text a group, as NVIDIA's ``wds2idx`` writes it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from streaming.core.errors import AccessDeniedError, ObjectNotFoundError, SourceError
from streaming.sources.file import SourceFile
from streaming.sources.kinds.archive import Members, is_compressed
from streaming.sources.learning import Learner
from streaming.sources.pieces import Piece, Scan

__all__ = ["KEY", "Named", "Rows", "Survey", "check_together", "name_members", "read_index"]

#: The column of what the members of a row have in common.
KEY = "__key__"
_PIECE_BYTES = 8 << 20
_BLOCK = 512
#: Of how many groups the headers are read, if an index does not name columns.
_LOOKED_AT = 16

#: What tars are padded with at their ends.
_MOST_ZEROS = 12 << 10

_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")


class Named(NamedTuple):
    """Members of which rows are made, in order. Legend: N members.

    Attributes:
        keys: N keys: those with the same one are a row.
        columns: N names of columns.
        names: N names.
        begins: Where the headers of each begin.
        data: Where the contents of each begin.
        sizes: Bytes of the contents of each.
    """

    keys: list[str]
    columns: list[str]
    names: list[str]
    begins: list[int]
    data: list[int]
    sizes: list[int]

    @classmethod
    def joined(cls, several: Iterable[Named]) -> Named:
        """Return all of several."""
        columns: Any = zip(cls([], [], [], [], [], []), *several, strict=True)
        return cls(*(list(chain.from_iterable(each)) for each in columns))

    def part(self, begin: int, end: int) -> Named:
        """Return members ``[begin, end)``."""
        some = slice(begin, end)
        return Named(
            self.keys[some], self.columns[some], self.names[some], self.begins[some], self.data[some], self.sizes[some]
        )


class Rows(NamedTuple):
    """Rows of members. Legend: R rows.

    Attributes:
        firsts: The number of the first member of each.
        keys: R keys.
        kinds: The columns of each, in the order of its members.
    """

    firsts: list[int]
    keys: list[str]
    kinds: list[tuple[str, ...]]

    @classmethod
    def of(cls, found: Named) -> Rows:
        """Return the rows of members."""
        keys, columns = found.keys, found.columns
        width = max(1, next((number for number, key in enumerate(keys) if key != keys[0]), len(keys)))
        own, count = keys[::width], len(keys) // width
        is_uniform = columns == columns[:width] * count and len(set(own)) == count
        if is_uniform and all(own == keys[at::width] for at in range(1, width)):  # as nearly all are
            return cls([*range(0, len(keys), width)], own, [tuple(columns[:width])] * count)
        firsts = [number for number, (one, other) in enumerate(zip(["", *keys], keys, strict=False)) if one != other]
        kinds = [tuple(columns[begin:end]) for begin, end in pairwise([*firsts, len(keys)])]
        return cls(firsts, [keys[first] for first in firsts], kinds)


def name_members(some: Members) -> Named:
    """Return the members of which rows are made."""
    text = "\0".join(["", *some.names])
    if "/" not in text and "\0__" not in text:
        dots = [name.find(".") for name in some.names]
        if min(dots) > 0:
            keys = [name[:dot] for name, dot in zip(some.names, dots, strict=True)]
            columns = [name[dot + 1 :].lower() for name, dot in zip(some.names, dots, strict=True)]
            return Named(keys, columns, *some[:4])
    keys, columns, taken = list[str](), list[str](), list[int]()
    key, prefix, begin = "", "/", 0
    for number, name in enumerate(some.names):
        column = name[begin:]
        if "/" in column or not name.startswith(prefix):
            found = _NAME.fullmatch(name)
            if found is None or name.startswith("__"):
                continue
            key, column = found.groups()
            prefix = f"{key}."
            begin = len(prefix)
        keys.append(key)
        columns.append(column.lower())
        taken.append(number)
    if len(taken) == len(some.names):
        return Named(keys, columns, *some[:4])
    lists: tuple[Any, ...] = some[:4]
    return Named(keys, columns, *([each[number] for number in taken] for each in lists))


Found = Iterable[Named]


class Groups(NamedTuple):
    """What an index says.

    Attributes:
        begins: Where each group begins, and where the last ends.
        columns: The columns of each group; ``None`` if it does not name them.
    """

    begins: list[int]
    columns: list[list[str]] | None


class Survey:
    """Surveys an archive.

    Args:
        file: It.
        hint: From the name of a column to its encoding, if that is not ``bytes``.
    """

    def __init__(self, file: SourceFile, hint: Callable[[str], str | None]) -> None:
        self._file = file
        self._learner = Learner(file.name, {KEY: "str"}, hint)
        self._rows: Counter[tuple[str, ...]] = Counter()
        self._keys: dict[tuple[str, ...], str] = {}
        self._pieces: list[Piece] = []

    def by_members(self, found: Found) -> Scan:
        """Learn from all members.

        Raises:
            SourceError: A group has two members of a column, or its members lie apart.
        """
        self._cut(self._learned(found))
        return Scan(self._learner.encodings(), self._pieces)

    def by_index(self, groups: Groups, look: Callable[[int, int], Found]) -> Scan:
        """Learn from an index.

        Args:
            groups: The index.
            look: Yields the members in a range of the archive.
        """
        if groups.columns is not None:
            for columns, rows in Counter(map(tuple, groups.columns)).items():
                self._learner.add_names([KEY, *columns], rows)
        else:
            some = groups.begins[: _LOOKED_AT + 1]
            self._learned(look(some[0], some[-1]))
        self._cut(groups.begins)
        return Scan(self._learner.encodings(), self._pieces)

    def lacking(self) -> str | None:
        """Say of how many groups a member is missing that others have, and name one; ``None`` if all have the same."""
        every = {column for columns in self._rows for column in columns}
        some = {columns: rows for columns, rows in self._rows.items() if len(columns) < len(every)}
        if not some:
            return None
        columns = min(some, key=lambda each: some[each])
        lost = ", ".join(repr(name) for name in sorted(every - set(columns)))
        rows = sum(some.values())
        return f"{rows:,} of {self._rows.total():,} rows, such as {self._keys[columns]!r}, which has no {lost}"

    def _learned(self, found: Found) -> list[int]:
        """Learn from members; returns where each row begins, and where the last ends."""
        seen: dict[str, tuple[str, ...]] = {}
        begins, end = list[int](), 0
        for some in _whole_rows(found):
            rows = Rows.of(some)
            kinds = Counter(rows.kinds)
            for kind in kinds.keys() - self._keys.keys():
                self._keys[kind] = self._checked(kind, rows, some)
            self._rows += kinds
            if len(set(rows.keys)) == len(rows.keys) and seen.keys().isdisjoint(rows.keys):
                seen.update(zip(rows.keys, rows.kinds, strict=True))
            else:
                for key, kind in zip(rows.keys, rows.kinds, strict=True):
                    check_together(self._file.name, key, kind, seen)
            begins += [some.begins[first] for first in rows.firsts]
            end = some.data[-1] + -(-some.sizes[-1] // _BLOCK) * _BLOCK
        for names, count in self._rows.items():
            self._learner.add_names([KEY, *names], count)
        return [*begins, end]

    def _checked(self, kind: tuple[str, ...], rows: Rows, members: Named) -> str:
        """Return the key of the first row that has certain columns, once it is seen that none has two members."""
        row = rows.kinds.index(kind)
        key, first = rows.keys[row], rows.firsts[row]
        for at, column in enumerate(kind):
            if column in kind[:at]:
                raise SourceError(
                    f"{self._file.name}, {members.names[first + at]}: {key!r} has two members {column!r}."
                )
        return key

    def _cut(self, begins: list[int]) -> None:
        if len(begins) < 2:
            return
        if is_compressed(self._file.name):
            self._pieces.append(Piece(0, -1, len(begins) - 1, begins[-1]))
            return
        first, rows = begins[0], 0
        for _, end in pairwise(begins):
            rows += 1
            if end - first >= _PIECE_BYTES or end == begins[-1]:
                self._pieces.append(Piece(first, end, rows, end - first))
                first, rows = end, 0


def _whole_rows(found: Found) -> Iterator[Named]:
    """Yield members so that those of a row come at once."""
    held = Named([], [], [], [], [], [])
    for some in found:
        some = Named.joined([held, some])
        cut = len(some.keys)
        while cut and some.keys[cut - 1] == some.keys[-1]:
            cut -= 1
        if cut:
            yield some.part(0, cut)
        held = some.part(cut, len(some.keys))
    if held.keys:
        yield held


def check_together(name: str, key: str, columns: tuple[str, ...], seen: dict[str, tuple[str, ...]]) -> None:
    """Check that what was found under a name is all that there is, and note it.

    Args:
        name: Of the archive.
        key: The name.
        columns: What was found of it, one member after the other.
        seen: What was found of others before.

    Raises:
        SourceError: Other members of that name were found before, elsewhere.
    """
    before = seen.setdefault(key, columns)
    if before != columns and set(before) != set(columns):
        raise SourceError(
            f"{name}: the members of {key!r} lie apart: {', '.join(sorted(before))} here, {', '.join(columns)} there. "
            "Write those of a name one after the other, as tar --sort=name does."
        )


def read_index(file: SourceFile, names: Set[str] | None) -> Groups | None:
    """Return what the index of an archive says; ``None`` if there is none, or none that is known.

    Args:
        file: The archive.
        names: Names of files that may be indexes; ``None``: nobody knows.

    Raises:
        SourceError: It is that of another archive.
    """
    stem = file.name.removesuffix(".tar")
    for name, parse in ((f"{file.name}.idx", _of_numbers), (f"{stem}.idx", _of_lines)):
        if names is None or name in names:
            try:
                data = file.store.get(name)
            except (ObjectNotFoundError, AccessDeniedError):
                if names is not None:
                    raise
                continue
            file.came(len(data))
            groups = parse(data)
            if groups is None:
                continue
            if not 0 <= file.size - groups.begins[-1] <= _MOST_ZEROS:
                raise SourceError(f"{name} is not the index of {file.name}. Write it again, or remove it.")
            return groups
    return None


def _of_numbers(data: bytes) -> Groups | None:
    if len(data) % 8 or len(data) < 16:
        return None
    begins: list[int] = np.frombuffer(data, "<u8").tolist()
    return Groups(begins, None) if all(one < other for one, other in pairwise(begins)) else None


def _of_lines(data: bytes) -> Groups | None:
    first, *lines = data.decode("utf-8", "replace").splitlines()
    version, _, count = first.partition(" ")
    width = {"v1.1": 3, "v1.2": 4}.get(version)
    if width is None or not count.strip().isdigit() or int(count) != len(lines):
        return None
    begins, columns = [0], list[list[str]]()
    for line in lines:
        words = line.split(" ")
        if len(words) % width or not all(
            words[i + 1].isdigit() and words[i + 2].isdigit() for i in range(0, len(words), width)
        ):
            return None
        columns.append([word.lower() for word in words[::width]])
        at, size = int(words[-width + 1]), int(words[-width + 2])
        begins.append(at + -(-size // _BLOCK) * _BLOCK)
    return Groups(begins, columns)
