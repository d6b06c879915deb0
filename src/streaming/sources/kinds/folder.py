"""Folders of images, sounds or videos, a file a row; labels are the names of directories, or come from a table.

A row has the file (column ``image``, ``audio`` or ``video``), its ``path`` below the folder, and, where files are in
directories, ``label``: the number of the directory's name among all, sorted. A table (``metadata.csv``, ``metadata.jsonl``,
or what ``labels`` names) has a row a file: ``file_name``, or its first column, is the path; its other columns are added.
"""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError, StorageError
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.images import fault_of_image
from streaming.sources.names import media_of
from streaming.sources.streams import fetch
from streaming.storage.providers.local import LocalStore

__all__ = ["Folder"]

_MOST_FILES = 256
_AT_ONCE = 16
_TABLES = ("metadata.csv", "metadata.jsonl")


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

    def _read_table(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return what a table says of each file by its path, and the encodings of its columns."""
        wanted = self.files.options.get("labels")
        names = [wanted] if wanted else list(_TABLES)
        number = next((i for i, info in enumerate(self.files.infos) if info.path in names), None)
        if number is None:
            if wanted:
                raise ConfigError(
                    f"There is no table {wanted!r} in {self.files.origin}. Name one by its path below that."
                )
            return {}, {}
        file = self.files[number]
        text = fetch(file).decode("utf-8-sig")
        is_lines = file.name.endswith("l")
        rows: list[dict[Any, Any]] = _objects(text) if is_lines else list(csv.DictReader(io.StringIO(text, newline="")))
        if not rows:
            raise ConfigError(f"The table {file.name} in {self.files.origin} has no rows.")
        key = "file_name" if "file_name" in rows[0] else next(iter(rows[0]))
        prefix = file.name.rpartition("/")[0]
        table: dict[str, dict[str, Any]] = {}
        for number, row in enumerate(rows):
            path = f"{prefix}/{row.get(key)}".lstrip("/")
            is_ragged = not is_lines and None in (*row, *row.values())
            if path in table or is_ragged or row.keys() != rows[0].keys():
                what = f"{path!r} is there twice" if path in table else "it has other columns than the first"
                raise SourceError(f"{file.name}, row {number}: {what}. A table of labels has a row for each file.")
            table[path] = {k: v for k, v in row.items() if k != key}
        self._check_there(table, file.name)
        columns = {name: _encoding_of([row[name] for row in table.values()]) for name in rows[0] if name != key}
        for row in table.values():
            row.update({name: _value(row[name], encoding) for name, encoding in columns.items()})
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
        fault = fault_of_image(data) if self._kind == "image" else None if data else "it is empty"
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


def _objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _encoding_of(values: Sequence[Any]) -> str:
    """Return the encoding of a column of a table whose values may be text."""
    for encoding, kind in (("int", int), ("float64", float)):
        try:
            for value in values:
                kind(value)
        except (TypeError, ValueError):
            continue
        if all(not isinstance(value, float) for value in values) or encoding == "float64":
            return encoding
    return "str" if all(isinstance(value, str) for value in values) else "json"


def _value(value: Any, encoding: str) -> Any:
    return int(value) if encoding == "int" else float(value) if encoding == "float64" else value
