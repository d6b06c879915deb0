"""Tars as WebDataset writes them: members that share a name up to the first dot are a row; what follows is the column."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from tarfile import InvalidHeaderError, ReadError, TruncatedHeaderError  # pyright: ignore[reportAttributeAccessIssue]
from typing import Any

import numpy as np

from streaming.core.errors import SourceError, StreamingError
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.finding import media_of
from streaming.sources.images import fault_of_image
from streaming.sources.streams import open_stream

__all__ = ["KEY", "Tars"]

#: The column of what the members of a row have in common.
KEY = "__key__"
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")


class Tars(Source):
    """Archives; each is a part."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.parts = [Part(info.path, i, 0, 1, 0, -1, info.bytes) for i, info in enumerate(files.infos)]

    def hint(self, name: str) -> str | None:
        """Return the encoding that the end of a name tells."""
        suffix = name.rpartition(".")[2].lower()
        if suffix in ("jpg", "jpeg"):
            return "jpeg"
        return "png" if suffix == "png" else media_of(name) or ("ndarray" if suffix == "npy" else None)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the groups of members."""
        row: dict[str, Any] = {}
        fault: SourceError | None = None
        for key, column, where, data in self._members(part):
            if row and key != row[KEY]:
                yield fault or row
                row, fault = {}, None
            row[KEY] = key
            if column in row:
                fault = fault or SourceError(f"{where}: {key!r} has two members {column!r}.")
            elif names is None or column in names:
                try:
                    row[column] = _decoded(column, data)
                except ValueError as error:
                    fault = fault or SourceError(f"{where}, column {column!r}: {error}")
        if row:
            yield fault or row

    def _members(self, part: Part) -> Iterator[tuple[str, str, str, bytes]]:
        """Yield key, column, where it is, and contents of each member.

        Raises:
            SourceError: The archive is damaged.
        """
        file = self.files[part.file]
        last = ""
        try:
            with open_stream(file) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
                for member in archive:
                    found = _NAME.fullmatch(member.name)
                    if not member.isfile() or found is None or member.name.startswith("__"):
                        continue
                    opened = archive.extractfile(member)
                    data = opened.read() if opened else b""
                    if len(data) != member.size:
                        raise tarfile.ReadError(f"{member.name} is cut off")
                    last = member.name
                    yield found[1], found[2], f"{file.name}, {member.name}", data
        except StreamingError:
            raise
        except (tarfile.TarError, OSError, EOFError) as error:
            after = f", after {last}" if last else ""
            raise SourceError(f"{file.name} cannot be read as a tar{after}: {error}") from error


class _Header(tarfile.TarInfo):
    """A header; what is none ends no archive quietly."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Any:
        try:
            return super().fromtarfile(tarfile)
        except (TruncatedHeaderError, InvalidHeaderError) as error:
            raise ReadError(str(error)) from error


def _text(data: bytes) -> str:
    return data.decode()


def _integer(data: bytes) -> int:
    return int(data)


def _array(data: bytes) -> Any:
    return np.load(io.BytesIO(data), allow_pickle=False)


def _image(data: bytes) -> bytes:
    fault = fault_of_image(data)
    if fault:
        raise ValueError(fault)
    return data


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("txt", "text", "transcript", "caption"), _text),
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id", "count"), _integer),
    **dict.fromkeys(("json", "jsn"), json.loads),
    "npy": _array,
}


def _decoded(column: str, data: bytes) -> Any:
    suffix = column.rpartition(".")[2].lower()
    if suffix in _DECODERS:
        return _DECODERS[suffix](data)
    return _image(data) if media_of(column) == "image" else data
