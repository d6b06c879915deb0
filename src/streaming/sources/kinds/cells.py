"""Separated values as rows: text that becomes numbers where every cell of a column is one. Cut at rows, quoted or not."""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from streaming.core.errors import SourceError
from streaming.sources.contract import Part, Row, Source
from streaming.sources.file import SourceFile
from streaming.sources.learning import NOTHING
from streaming.sources.names import COMPRESSED, bare_name
from streaming.sources.pieces import Piece, Scan
from streaming.sources.streams import open_stream

__all__ = ["MISSING", "Cells", "separator_of", "warn_of_names"]

_PIECE_BYTES = 8 << 20
_LONGEST_CELL = (1 << 31) - 1
#: Whole numbers of so many digits are exact as floats.
_SAFE_DIGITS, _LONGEST = 15, 300
_LONGEST_NAMES = 1 << 16
#: What stands for a missing number.
MISSING = frozenset(("", "NA", "N/A", "n/a", "#N/A", "NULL", "null"))
_WHOLE = re.compile(r"[+-]?\d+")
#: What is no number but a code, such as that of a place: its zeros would be lost.
_CODE = re.compile(r"[+-]?0\d")
_MOST = 1 << 63
_FLOAT = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.IGNORECASE)


def separator_of(file: SourceFile) -> str:
    """Return what separates values: a comma, of ``.tsv`` a tab; if the line of names has none, another that it has.

    Raises:
        SourceError: The first line shows that these are no values as they are expected.
    """
    usual = "\t" if bare_name(file.name).lower().endswith(".tsv") else ","
    with open_stream(file, 0, _LONGEST_NAMES) as stream:
        line = stream.readline(_LONGEST_NAMES)
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{file.name} is UTF-16. Convert it, such as by iconv -f utf-16 -t utf-8.")
    names = line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    if re.fullmatch(r"sep=.\s*", names):
        raise SourceError(f"{file.name} begins with {names.strip()!r}, which is for Excel alone. Remove that line.")
    return next((mark for mark in (usual, ",", "\t", ";", "|") if mark in names), usual)


def warn_of_names(names: Sequence[str], where: str) -> None:
    """Warn of names of columns that look like values."""
    if names and all(map(_FLOAT.fullmatch, names)) and list(names) != list(map(str, range(len(names)))):
        warnings.warn(
            f"{where}: the first line is taken for the names of the columns, and has numbers alone "
            f"({', '.join(names)[:40]}). If they are values, put a line of names before it.",
            stacklevel=2,
        )


class Cells(Source):
    """Files of separated values with a line of names."""

    @property
    def parts(self) -> Sequence[Part]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The files."""
        return [Part(info.path, i, 0, -1, 0, -1, info.bytes) for i, info in enumerate(self.files.infos)]

    def scan(self, file: SourceFile) -> Scan:
        """Go through the rows of a file; what is not compressed is cut between them."""
        is_whole = file.name.lower().endswith(COMPRESSED)
        pieces: list[Piece] = []
        rows, end = 0, 0
        names: list[str] | None = None
        kinds: list[_Kind] = []
        begin = 0
        for end, cells in self._rows(file, 0, -1):
            if names is None:
                names, begin = cells, end
                twice = next((name for name in names if names.count(name) > 1), None)
                if twice is not None:
                    raise SourceError(f"{file.name} has two columns {twice!r}. Rename one in its first line.")
                warn_of_names(names, file.name)
                kinds = [_Kind() for _ in names]
                continue
            _check_width(file, names, cells, rows + sum(piece.rows for piece in pieces))
            for kind, cell in zip(kinds, cells, strict=True):
                kind.add(cell)
            rows += 1
            if end - begin >= _PIECE_BYTES and not is_whole:
                pieces.append(Piece(begin, end, rows, end - begin))
                begin, rows = end, 0
        if rows:
            pieces.append(Piece(0 if is_whole else begin, -1 if is_whole else end, rows, end - begin))
        return Scan({name: kind.encoding for name, kind in zip(names or [], kinds, strict=True)}, pieces)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the rows, their cells as the columns' encodings have them."""
        file = self.files[part.file]
        header = next(self._rows(file, 0, -1), (0, []))[1]
        chosen = [
            (i, name, _reader(self.files.encodings, name))
            for i, name in enumerate(header)
            if names is None or name in names
        ]
        number = max(part.first_row, 0)
        skip = part.end < 0
        for _, cells in self._rows(file, part.begin, part.end):
            if skip:
                skip = False
                continue
            _check_width(file, header, cells, number)
            try:
                yield {name: read(cells[i]) for i, name, read in chosen}
            except ValueError as error:
                yield SourceError(f"{file.name}, row {number}: {error}")
            number += 1

    def _rows(self, file: SourceFile, begin: int, end: int) -> Iterator[tuple[int, list[str]]]:
        """Yield where each row ends, and its cells; of empty lines, none.

        Raises:
            SourceError: The file is damaged.
        """
        at = begin

        def lines() -> Iterator[str]:
            nonlocal at
            while end < 0 or at < end:
                line = stream.readline()
                if not line:
                    return
                at += len(line)
                yield line.decode("utf-8-sig" if at == len(line) else "utf-8")

        csv.field_size_limit(_LONGEST_CELL)
        try:
            with open_stream(file, begin, end if end >= 0 else None) as stream:
                for cells in csv.reader(lines(), delimiter=separator_of(file), strict=True):
                    if cells:
                        yield at, cells
        except SourceError:
            raise
        except UnicodeDecodeError as error:
            advice = "Convert the file, such as by iconv -f latin1 -t utf-8."
            raise SourceError(f"{file.name}, after byte {at:,}: not UTF-8: {error}. {advice}") from error
        except (csv.Error, ValueError, EOFError) as error:
            raise SourceError(f"{file.name}, after byte {at:,}: {error}") from error
        except OSError as error:
            if type(error).__module__.startswith("streaming"):
                raise
            raise SourceError(f"{file.name}, after byte {at:,}: {error}") from error


class _Kind:
    """What the cells of a column are."""

    def __init__(self) -> None:
        self._is_whole = self._is_float = self._is_exact = True
        self._has_value = self._misses = False

    def add(self, cell: str) -> None:
        if not self._is_float:
            return
        if cell in MISSING:
            self._misses = True
            return
        self._has_value = True
        is_whole = _WHOLE.fullmatch(cell) is not None
        if is_whole and len(cell) > _SAFE_DIGITS:
            number = int(cell[:_LONGEST])
            self._is_exact = self._is_exact and len(cell) < _LONGEST and float(cell) == number
            is_whole = -_MOST <= number < _MOST
        self._is_whole = self._is_whole and is_whole
        if _CODE.match(cell) or not (self._is_whole or (self._is_exact and _FLOAT.fullmatch(cell))):
            self._is_float = False

    @property
    def encoding(self) -> str:
        if not self._is_float:
            return "str"
        if not self._has_value:
            return NOTHING
        return ("int" if self._is_whole else "float64") + ("?" if self._misses else "")


def _reader(encodings: Mapping[str, str | None], name: str) -> Callable[[str], Any]:
    encoding = (encodings.get(name) or "str").rstrip("?")
    number: Any = {"int": int, "float64": float}.get(encoding)
    return str if number is None else lambda cell: None if cell in MISSING else number(cell)


def _check_width(file: SourceFile, names: Sequence[str], cells: Sequence[str], row: int) -> None:
    if len(names) != len(cells):
        raise SourceError(
            f"{file.name}, row {row}: {len(cells)} values for the {len(names)} columns {', '.join(names):.80}."
        )
