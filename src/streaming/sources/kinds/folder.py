"""Folders of images, sounds or videos, a file a row; labels are the names of directories, or come from a table.

A row has the file (column ``image``, ``audio`` or ``video``), its ``path`` below the folder, and, where files are in
directories, ``label``: the number of the directory's name among all, sorted. A table (``metadata.csv``, ``metadata.jsonl``,
or what ``labels`` names) has a row a file: ``file_name``, or its first column, is the path; its other columns are added.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from posixpath import normpath
from typing import Any

from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError, StorageError
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.faults import fault_of_file
from streaming.sources.kinds.cells import Cells
from streaming.sources.kinds.lines import JSONLines
from streaming.sources.learning import NOTHING
from streaming.sources.names import LABELS, format_of, media_of
from streaming.sources.pieces import Piece
from streaming.sources.streams import fetch
from streaming.storage.providers.local import LocalStore

__all__ = ["Folder"]

_MOST_FILES = 256
_AT_ONCE = 16


class Folder(Source):
    """Files of one kind in a folder.

    Args:
        files: All files there. The option ``labels`` names a table.
    """

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        kinds = Counter(kind for info in files.infos if (kind := media_of(info.path)))
        if not kinds:
            raise EmptyDatasetError(f"There are no images, sounds or videos at {files.origin}.")
        if len(kinds) > 1:
            found = ", ".join(f"{count:,} {kind} files" for kind, count in kinds.most_common())
            raise ConfigError(f"{files.origin} has {found}. Name those of one kind by a pattern, such as **/*.jpg.")
        (self._kind,) = kinds
        self._chosen = [i for i, info in enumerate(files.infos) if media_of(info.path)]
        suffixes = {files.infos[i].path.rpartition(".")[2].lower() for i in self._chosen}
        self._encoding = self._kind
        if self._kind == "image":
            self._encoding = "jpeg" if suffixes <= {"jpg", "jpeg"} else "png" if suffixes == {"png"} else "image"
        self._table, self._table_columns = self._read_table()
        self.classes = self._find_classes()
        self.parts = list(self._cut())

    def _find_classes(self) -> list[str]:
        if "label" in self._table_columns:
            return []
        names = {_directory(self.files.infos[i].path) for i in self._chosen}
        return sorted(names) if len(names) > 1 or "" not in names else []

    def _find_table(self) -> int | None:
        """Return the number of the file that is the table of labels; ``None``: there is none.

        Raises:
            ConfigError: The one that was named is not there, or there are two.
        """
        places = {info.path: number for number, info in enumerate(self.files.infos)}
        wanted, origin = self.files.options.get("labels"), self.files.origin
        if wanted:
            if wanted not in places:
                raise ConfigError(f"There is no table {wanted!r} in {origin}. Name one by its path below that.")
            return places[wanted]
        here = [name for name in LABELS if name in places]
        if len(here) > 1:
            raise ConfigError(f"{origin} has both {' and '.join(here)}. Say which to take, by `labels`.")
        below = [] if here else [path for path in places if path.rpartition("/")[2] in LABELS]
        if below:
            warnings.warn(
                f"{below[0]} in {origin} is not read. Name it by `labels`, or the directory that it is in.",
                stacklevel=2,
            )
        return places[here[0]] if here else None

    def _read_table(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return what a table says of each file by its path, and the encodings of its columns."""
        number = self._find_table()
        if number is None:
            return {}, {}
        file = self.files[number]
        name = file.name
        kind = JSONLines if format_of(name) == "jsonl" else Cells
        files = replace(self.files, infos=[file.info], in_place=True)
        found: Any = kind(files).scan(file).schema
        encodings = {column: "json" if encoding == NOTHING else encoding for column, encoding in found.items()}
        encodings.update({c: encoding for c, encoding in self.files.encodings.items() if encoding and c in found})
        key = "file_name" if "file_name" in encodings else next(iter(encodings), "")
        columns = {column: encoding for column, encoding in encodings.items() if column != key}
        if taken := columns.keys() & {self._kind, "path"}:
            raise ConfigError(f"{name}: rename the column {taken.pop()!r}, a folder has one of that name already.")
        source = kind(replace(files, encodings=encodings))
        table: dict[str, dict[str, Any]] = {}
        for row in (row for part in source.parts for row in source.read(part)):
            if isinstance(row, SourceError):
                raise row
            path = normpath(f"{name.rpartition('/')[0]}/{row.get(key)}".lstrip("/"))
            if path in table:
                what = f"{path!r} is there twice. A table of labels has a row for each file."
                raise SourceError(f"{name}, row {len(table)}: {what}")
            table[path] = {column: row.get(column) for column in columns}
        if not table:
            raise ConfigError(f"The table {name} in {self.files.origin} has no rows.")
        self._check_there(table, name)
        return table, columns

    def _check_there(self, table: Mapping[str, Any], name: str) -> None:
        """Warn of rows of a table whose files are not there."""
        there = {self.files.infos[number].path for number in self._chosen}
        gone = [path for path in table if path not in there]
        if gone:
            warnings.warn(
                f"{name} names {len(gone):,} files that are not in {self.files.origin}, such as {gone[0]!r}: these rows are "
                "left out.",
                stacklevel=2,
            )

    def _cut(self) -> Iterator[Part]:
        begin = size = 0
        most = self.part_bytes()
        infos = self.files.infos
        for at, number in enumerate(self._chosen):
            if at > begin and (size + infos[number].bytes > most or at - begin >= _MOST_FILES):
                yield self._part(begin, at, size)
                begin, size = at, 0
            size += infos[number].bytes
        yield self._part(begin, len(self._chosen), size)

    def _part(self, begin: int, end: int, size: int) -> Part:
        first = self._chosen[begin]
        return Part(self.files.infos[first].path, first, begin, end, begin, end - begin, size)

    @property
    def is_known(self) -> bool:
        """Whether no file need be looked at."""
        return True

    @property
    def columns(self) -> dict[str, str]:
        """Encoding of each column."""
        found = {self._kind: self._encoding, "path": "str", **self._table_columns}
        return {**found, "label": "int"} if self.classes else found

    @property
    def metadata(self) -> dict[str, Any]:
        """Names of classes."""
        return {"columns": {"label": {"names": self.classes}}} if self.classes else {}

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the files of a part."""
        numbers = self._chosen[part.begin : part.end]
        if names is not None and self._kind not in names:
            yield from (self._row(number, b"") for number in numbers)
            return
        if isinstance(self.files.store, LocalStore):
            yield from map(self._get, numbers)
            return
        with ThreadPoolExecutor(_AT_ONCE, "streaming-source") as threads:
            yield from threads.map(self._get, numbers)

    def at(self, file: int, piece: Piece, row: int) -> str:
        """Return the name of a file: each is a row."""
        del file
        return self.files.infos[self._chosen[piece.begin + row]].path

    def _get(self, number: int) -> Row | SourceError:
        name = self.files.infos[number].path
        try:
            data = fetch(self.files[number])
        except StorageError as error:
            if not self.files.skips:
                raise
            return SourceError(f"{name}: {error}")
        if self.files.in_place:
            return self._row(number, data)
        fault = fault_of_file(self._kind, data)
        if fault:
            return SourceError(f"{name}, column {self._kind!r}: {fault}")
        return self._row(number, data)

    def _row(self, number: int, data: bytes) -> Row | SourceError:
        path = self.files.infos[number].path
        row: dict[str, Any] = {self._kind: data, "path": path}
        if self._table_columns:
            if path not in self._table:
                return SourceError(f"{path}: the table of labels has no row for it. Add one, or leave out the file.")
            row.update(self._table[path])
        if self.classes:
            row["label"] = self.classes.index(_directory(path))
        return row


def _directory(path: str) -> str:
    """Return the name of the directory that a file is in."""
    return path.rpartition("/")[0].rpartition("/")[2]
