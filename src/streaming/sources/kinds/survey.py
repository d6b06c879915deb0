"""What is in an archive of grouped members, without their contents: by its headers, or by an index that lies beside it.

Indexes that are used: ``name.tar.idx`` with the place of each group as 8 bytes, as Energon writes it, and ``name.idx`` with
a line of text a group, as NVIDIA's ``wds2idx`` writes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from streaming.core.errors import AccessDeniedError, ObjectNotFoundError, SourceError
from streaming.sources.file import SourceFile
from streaming.sources.kinds.archive import Member, is_compressed
from streaming.sources.learning import Learner
from streaming.sources.pieces import Piece, Scan

__all__ = ["KEY", "Survey", "check_together", "read_index"]

#: The column of what the members of a row have in common.
KEY = "__key__"
_PIECE_BYTES = 8 << 20
_BLOCK = 512
#: Of how many groups the headers are read, if an index does not name columns.
_LOOKED_AT = 16

#: What tars are padded with at their ends.
_MOST_ZEROS = 12 << 10

Found = Iterable[tuple[str, str, Member]]


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
        places = list(self._groups(found))
        self._cut([begin for begin, _ in places] + [end for _, end in places[-1:]])
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
            for _ in self._groups(look(some[0], some[-1])):
                pass
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

    def _groups(self, found: Found) -> Iterator[tuple[int, int]]:
        """Yield where each group begins and ends, once its columns are learned."""
        seen: dict[str, tuple[str, ...]] = {}
        key, begin, end = "", 0, 0
        columns: list[str] = []
        for name, column, member in found:
            if columns and name != key:
                self._add(key, columns, seen)
                yield begin, end
                columns = []
            if not columns:
                key, begin = name, member.begin
            if column in columns:
                raise SourceError(f"{self._file.name}, {member.name}: {name!r} has two members {column!r}.")
            columns.append(column)
            end = member.data + -(-member.size // _BLOCK) * _BLOCK
        if columns:
            self._add(key, columns, seen)
            yield begin, end
        for names, rows in self._rows.items():
            self._learner.add_names([KEY, *names], rows)

    def _add(self, key: str, columns: list[str], seen: dict[str, tuple[str, ...]]) -> None:
        these = tuple(columns)
        self._rows[these] += 1
        self._keys.setdefault(these, key)
        check_together(self._file.name, key, these, seen)

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
