"""Tars as WebDataset writes them: members that share a name up to the first dot are a row; what follows is the column."""

from __future__ import annotations

import os
import re
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any
from zipfile import BadZipFile

from streaming.core.errors import SourceError, StorageError, StreamingError, ThrottledError, UnavailableError
from streaming.core.text import parse_json
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.faults import fault_of_file
from streaming.sources.file import SourceFile
from streaming.sources.kinds.archive import Member, ReadAt, check_end, is_compressed, members, open_archive
from streaming.sources.kinds.arrays import load_array
from streaming.sources.kinds.survey import KEY, Survey, check_together, read_index
from streaming.sources.names import media_of
from streaming.sources.pieces import Scan

__all__ = ["KEY", "Tars"]

_MAGIC_BYTES = 6
#: What compressed files begin with, and their names end in.
_MAGICS = {b"\x1f\x8b": ".tar.gz", b"\x28\xb5\x2f\xfd": ".tar.zst", b"BZh": ".tar.bz2", b"\xfd7zXZ\0": ".tar.xz"}
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")


class Tars(Source):
    """Archives; each is a part."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self._has_told = False
        self.parts = [Part(info.path, i, 0, -1, 0, -1, info.bytes) for i, info in enumerate(files.infos)]

    def hint(self, name: str) -> str | None:
        """Return the encoding that the end of a name tells."""
        suffix = name.rpartition(".")[2].lower()
        if suffix in ("jpg", "jpeg"):
            return "jpeg"
        return "png" if suffix == "png" else media_of(name) or ("ndarray" if suffix == "npy" else None)

    def scan(self, file: SourceFile) -> Scan:
        """Go through the headers of an archive, or read the index beside it, if there is one."""
        found = None if is_compressed(file.name) else read_index(file, self._indexes)
        survey = Survey(file, lambda name: _ENCODINGS.get(name.rpartition(".")[2].lower()) or self.hint(name))
        if found is not None:
            return survey.by_index(found, partial(self._members, file))
        scan = survey.by_members(self._members(file, 0, file.size))
        lacking = None if self._has_told else survey.lacking()
        if lacking:
            self._has_told = True
            warnings.warn(
                f"{file.store!r}/{file.name}: members that other rows have are missing in {lacking}: they are None there. "
                "Other archives may have such rows as well.",
                stacklevel=2,
            )
        return scan

    @cached_property
    def _indexes(self) -> set[str] | None:
        """Names of the files that may be indexes, where archives are; ``None`` of a store that lists none."""
        places = {info.path.rpartition("/")[0] for info in self.files.infos}
        place = os.path.commonpath(places) if len(places) > 1 else places.pop()
        try:
            return {info.path for info in self.files.store.list(place) if info.path.endswith(".idx")}
        except (UnavailableError, ThrottledError):
            raise
        except StorageError:  # a web server, or nobody may list what all may read
            return None

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the groups of members."""
        row: dict[str, Any] = {}
        fault: SourceError | None = None
        file = self.files[part.file]
        end = part.end if part.end >= 0 else file.size
        source = open_archive(file, end, True)
        seen: dict[str, tuple[str, ...]] = {}
        found: list[str] = []
        for key, column, member in self._members(file, part.begin, end, source):
            if row and key != row[KEY]:
                check_together(file.name, row[KEY], tuple(found), seen)
                yield fault or row
                row, fault, found = {}, None, []
            row[KEY] = key
            found.append(column)
            if column in row:
                fault = fault or SourceError(f"{file.name}, {member.name}: {key!r} has two members {column!r}.")
            elif names is None or column in names:
                data = source(member.data, member.size)
                if len(data) != member.size:
                    raise SourceError(f"{file.name} cannot be read as a tar: {member.name} is cut off")
                decode = _decoder(column, self.files.in_place)
                try:
                    row[column] = data if decode is None else decode(data)
                except (ValueError, EOFError, RecursionError, BadZipFile) as error:
                    fault = fault or SourceError(f"{file.name}, {member.name}, column {column!r}: {error}")
        if row:
            check_together(file.name, row[KEY], tuple(found), seen)
            yield fault or row

    def _members(
        self, file: SourceFile, begin: int, end: int, source: ReadAt | None = None
    ) -> Iterator[tuple[str, str, Member]]:
        """Yield key, column and place of each member.

        Raises:
            SourceError: The archive is damaged.
        """
        last = ""
        whole = None if is_compressed(file.name) else file.size
        is_all = not begin and end == file.size
        read = source or open_archive(file, end, False)

        def on_end(at: int) -> None:
            if at >= 0 and is_all:
                check_end(read, at, whole)
            elif is_all:
                warnings.warn(
                    f"{file.store!r}/{file.name} has no mark at its end: it may be cut off. Write it anew.",
                    stacklevel=2,
                )

        try:
            for member in members(read, begin, None if whole is None else end, on_end):
                if whole is not None and member.data + member.size > whole:
                    raise tarfile.ReadError(f"{member.name} is cut off")
                last = member.name
                found = _NAME.fullmatch(last)
                if found is None or last.startswith("__"):
                    continue
                if member.link:
                    raise tarfile.ReadError(
                        f"{member.name} is a link to {member.link}, which is not supported: write the file itself, as tar "
                        "--dereference --hard-dereference does"
                    )
                yield found[1], found[2].lower(), member
        except StreamingError:
            raise
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            after = f", after {last}" if last else ""
            packed = "" if last or whole is None else _packed(read(begin, _MAGIC_BYTES))
            hint = f" It is compressed: have its name end in {packed}." if packed else ""
            raise SourceError(f"{file.name} cannot be read as a tar{after}: {error}.{hint}") from error


def _packed(begin: bytes) -> str:
    return next((suffix for magic, suffix in _MAGICS.items() if begin.startswith(magic)), "")


def _text(data: bytes) -> str:
    return data.decode()


def _integer(data: bytes) -> int:
    return int(data)


def _checked(kind: str, data: bytes) -> bytes:
    fault = fault_of_file(kind, data)
    if fault:
        raise ValueError(fault)
    return data


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("txt", "text", "transcript", "caption"), _text),
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id", "count"), _integer),
    **dict.fromkeys(("json", "jsn"), parse_json),
    "npy": load_array,
}


_ENCODINGS = {
    **dict.fromkeys(("txt", "text", "transcript", "caption"), "str"),
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id", "count"), "int"),
    **dict.fromkeys(("json", "jsn"), "json"),
}


@lru_cache(256)
def _decoder(column: str, as_is: bool) -> Callable[[bytes], Any] | None:
    """Return what decodes the members of a column; ``None``: they stay as they are."""
    known = _DECODERS.get(column.rpartition(".")[2])
    kind = media_of(column)
    return known or (partial(_checked, kind) if kind and not as_is else None)
