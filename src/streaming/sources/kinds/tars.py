"""Tars as WebDataset writes them: members that share a name up to the first dot are a row; what follows is the column."""

from __future__ import annotations

import os
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from itertools import chain
from typing import Any
from zipfile import BadZipFile

import numpy as np

from streaming.core.errors import (
    SampleError,
    SourceError,
    StorageError,
    StreamingError,
    ThrottledError,
    UnavailableError,
)
from streaming.core.text import parse_json
from streaming.format.kinds.mds_columns import Fixed, Varying
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.encode import Spans, encode_spans, encode_values
from streaming.sources.faults import fault_of_file
from streaming.sources.file import SourceFile
from streaming.sources.kinds.archive import ReadAt, check_end, is_compressed, members, open_archive
from streaming.sources.kinds.arrays import load_array
from streaming.sources.kinds.survey import KEY, Named, Rows, Survey, check_together, name_members, read_index
from streaming.sources.names import media_of
from streaming.sources.pieces import Scan

__all__ = ["KEY", "Tars"]

_MAGIC_BYTES = 6
#: What compressed files begin with, and their names end in.
_MAGICS = {b"\x1f\x8b": ".tar.gz", b"\x28\xb5\x2f\xfd": ".tar.zst", b"BZh": ".tar.bz2", b"\xfd7zXZ\0": ".tar.xz"}
#: Parts up to so large are fetched at once, to be encoded column by column.
_AT_ONCE = 32 << 20
#: What decoders and encodings raise of values that are not what they should be.
_FAULTS = (ValueError, EOFError, RecursionError, BadZipFile)


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
        several = self._members(file, part.begin, end, source)
        for key, column, name, _, at, size in chain.from_iterable(zip(*some, strict=True) for some in several):
            if row and key != row[KEY]:
                check_together(file.name, row[KEY], tuple(found), seen)
                yield fault or row
                row, fault, found = {}, None, []
            row[KEY] = key
            found.append(column)
            if column in row:
                fault = fault or SourceError(f"{file.name}, {name}: {key!r} has two members {column!r}.")
            elif names is None or column in names:
                data = source(at, size)
                if len(data) != size:
                    raise SourceError(f"{file.name} cannot be read as a tar: {name} is cut off")
                decode = _decoder(column, self.files.in_place)
                try:
                    row[column] = data if decode is None else decode(data)
                except _FAULTS as error:
                    fault = fault or SourceError(f"{file.name}, {name}, column {column!r}: {error}")
        if row:
            check_together(file.name, row[KEY], tuple(found), seen)
            yield fault or row

    def encoded(self, part: Part, names: Sequence[str]) -> tuple[list[Fixed | Varying], int] | None:
        """Return the rows of some megabytes of an archive; their values are taken from where these were fetched to."""
        file, size = self.files[part.file], part.end - part.begin
        if is_compressed(file.name) or not 0 < size <= _AT_ONCE:
            return None
        source = open_archive(file, part.end, True)
        data = source(part.begin, size)
        found = Named.joined(self._members(file, part.begin, part.end, source))
        rows = Rows.of(found)
        if len(set(rows.keys)) < len(rows.keys) or any(len(set(kind)) < len(kind) for kind in set(rows.kinds)):
            return None  # of which is told when rows are read one by one
        which: dict[str, list[int]] = {}
        for number, column in enumerate(found.columns):
            which.setdefault(column, []).append(number)
        begins = np.array(found.data, np.int64) - part.begin
        ends = begins + np.array(found.sizes, np.int64)
        if int(ends.max(initial=0)) > size:
            return None  # an index beside it says that it ends earlier
        row_of = np.repeat(np.arange(len(rows.keys)), [*map(len, rows.kinds)])
        columns: list[Fixed | Varying] = []
        try:
            for name in names:
                encoding = self.files.encodings[name] or "bytes"
                if name == KEY:
                    columns.append(encode_values(name, rows.keys, encoding))
                else:
                    some = np.array(which.get(name, []), np.int64)
                    spans = Spans(data, begins[some], ends[some], row_of[some], len(rows.keys))
                    columns.append(_column(name, encoding, spans))
        except (SampleError, *_FAULTS):
            return None  # as well
        return columns, len(rows.keys)

    def _members(self, file: SourceFile, begin: int, end: int, source: ReadAt | None = None) -> Iterator[Named]:
        """Yield what the members are, several at once.

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
            for some in members(read, begin, None if whole is None else end, on_end):
                if whole is not None and some.data[-1] + some.sizes[-1] > whole:
                    *before, cut = some.names
                    if before:
                        last = before[-1]
                        yield name_members(some._replace(names=before))
                    raise tarfile.ReadError(f"{cut} is cut off")
                last = some.names[-1]
                named = name_members(some)
                if some.link and named.keys:
                    raise tarfile.ReadError(
                        f"{last} is a link to {some.link}, which is not supported: write the file itself, as tar "
                        "--dereference --hard-dereference does"
                    )
                yield named
        except StreamingError:
            raise
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            after = f", after {last}" if last else ""
            packed = "" if last or whole is None else _packed(read(begin, _MAGIC_BYTES))
            hint = f" It is compressed: have its name end in {packed}." if packed else ""
            raise SourceError(f"{file.name} cannot be read as a tar{after}: {error}.{hint}") from error


def _column(name: str, encoding: str, spans: Spans) -> Fixed | Varying:
    """Encode the members of a column: of those that are stored as they are, no more is done than to check them."""
    decode = _decoder(name, True)
    stored, check = (encoding.rstrip("?"), None) if decode is None else _CHECKS.get(decode, ("", None))
    as_is = encode_spans(spans, encoding) if stored == encoding.rstrip("?") else None
    if as_is is None:
        return encode_values(name, spans.values(decode or bytes), encoding)
    if check is not None:
        for value in spans.each():
            check(value)
    return as_is


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

#: As what the values of decoders are stored as they are, if a check passes.
_CHECKS: dict[Callable[[bytes], Any], tuple[str, Callable[[bytes], Any] | None]] = {
    _text: ("str", _text),
    parse_json: ("json", lambda data: parse_json(data.decode())),
}


@lru_cache(256)
def _decoder(column: str, as_is: bool) -> Callable[[bytes], Any] | None:
    """Return what decodes the members of a column; ``None``: they stay as they are."""
    known = _DECODERS.get(column.rpartition(".")[2])
    kind = media_of(column)
    return known or (partial(_checked, kind) if kind and not as_is else None)
