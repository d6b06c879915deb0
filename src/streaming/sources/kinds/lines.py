"""Lines: of JSON, a row each, and of text. Large files are split at lines; compressed ones are read as a whole."""

from __future__ import annotations

import codecs
import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, cast

from streaming.core.errors import SourceError, StorageError
from streaming.core.text import parse_json
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.file import SourceFile
from streaming.sources.learning import Learner
from streaming.sources.names import COMPRESSED, bare_name
from streaming.sources.pieces import Piece, Scan
from streaming.sources.streams import fetch, open_stream

__all__ = ["JSONLines", "TextLines"]

_PIECE_BYTES = 8 << 20
_BLOCK_BYTES = 1 << 20


class _Lines(Source):
    """Files of lines. A part is the lines that begin in a range of bytes."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.parts = [part for number in range(len(files)) for part in self._cut(number)]

    def _cut(self, number: int) -> Iterator[Part]:
        info = self.files.infos[number]
        if info.path.lower().endswith(COMPRESSED):
            yield Part(info.path, number, 0, -1, 0, -1, info.bytes)
            return
        step = self.part_bytes()
        for begin in range(0, info.bytes, step):
            end = min(begin + step, info.bytes)
            yield Part(info.path, number, begin, end, -1 if begin else 0, -1, end - begin)

    def scan(self, file: SourceFile) -> Scan:
        """Go through the lines of a file; what is not compressed is cut at lines."""
        number = self.files.number_of(file)
        is_whole = file.name.lower().endswith(COMPRESSED)
        learner = Learner(file.name, self.columns)
        pieces: list[Piece] = []
        begin = end = 0
        whole = Part(file.name, number, 0, -1 if is_whole else file.size, 0)
        for end, row in self._rows(whole):
            if isinstance(row, SourceError):
                raise row
            learner.add(row)
            if end - begin >= _PIECE_BYTES and not is_whole:
                pieces.append(_piece(begin, end, learner, pieces))
                begin = end
        last = _piece(begin, end, learner, pieces)
        if last.rows:
            pieces.append(last._replace(begin=0, end=-1) if is_whole else last)
        return Scan(learner.encodings(), pieces)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the rows."""
        for _, row in self._rows(part):
            yield row

    @abstractmethod
    def _rows(self, part: Part) -> Iterator[tuple[int, Row | SourceError]]:
        """Yield the rows of a part, and where each ends."""
        ...

    def _lines(self, part: Part) -> Iterator[tuple[int, int, bytes]]:
        """Yield the lines of a part without what ends them, their numbers in it, and where they end.

        Raises:
            SourceError: A compressed file is damaged.
        """
        file = self.files[part.file]
        # A line that begins at the first byte is told by the byte before it.
        at = max(0, part.begin - 1)
        number = 0
        try:
            with open_stream(file, at, part.end if part.end > 0 else None) as stream:
                if part.begin:
                    at += len(stream.readline())
                while part.end < 0 or at < part.end:
                    line = stream.readline()
                    if not line:
                        return
                    at += len(line)
                    yield number, at, line.removesuffix(b"\n").removesuffix(b"\r")
                    number += 1
        except StorageError:
            raise
        except OSError as error:
            raise SourceError(f"{file.name}, after line {self._number(part, number) - 1}: {error}") from error

    def _number(self, part: Part, line: int) -> int:
        """Return the number in its file, from 1, of a line of a part."""
        before = 0
        if part.begin:
            file = self.files[part.file]
            blocks = (fetch(file, at, min(at + _BLOCK_BYTES, part.begin)) for at in range(0, part.begin, _BLOCK_BYTES))
            before, last = 0, b"\n"
            for block in blocks:
                before += block.count(b"\n")
                last = block[-1:]
            before += last != b"\n"  # the line that begins before this part ends in it
        return before + line + 1


class TextLines(_Lines):
    """Lines of text, a row each, in the column ``text``."""

    @property
    def columns(self) -> dict[str, str]:
        """Encoding of each column."""
        return {"text": "str"}

    def _rows(self, part: Part) -> Iterator[tuple[int, Row | SourceError]]:
        for number, end, line in self._lines(part):
            try:
                yield end, {"text": line.decode()}
            except UnicodeDecodeError as error:
                yield end, SourceError(f"{part.name}, line {self._number(part, number)}: not UTF-8: {error}")


def _piece(begin: int, end: int, learner: Learner, before: Sequence[Piece]) -> Piece:
    return Piece(begin, end, learner.rows - sum(piece.rows for piece in before), end - begin)


def _is_document(file: SourceFile) -> bool:
    return bare_name(file.name).lower().endswith(".json")


def _begin_of(file: SourceFile) -> bytes:
    """Return the first bytes of a file; none, if it is damaged, which is told where its rows are read."""
    try:
        with open_stream(file) as stream:
            return stream.read(1 << 10)
    except StorageError:
        raise
    except OSError:
        return b""


class JSONLines(_Lines):
    """Lines of JSON objects. A file whose name ends in ``.json`` may be one array of them instead."""

    def __init__(self, files: Files) -> None:
        self._arrays: set[int] = set()
        super().__init__(files)

    def _cut(self, number: int) -> Iterator[Part]:
        file = self.files[number]
        if _is_document(file) and _begin_of(file).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            self._arrays.add(number)
            yield Part(file.name, number, 0, -1, 0, -1, file.size)
            return
        yield from super()._cut(number)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the objects."""
        return self._array(part) if part.file in self._arrays else super().read(part, names)

    def scan(self, file: SourceFile) -> Scan:
        """Go through the objects of a file."""
        return Source.scan(self, file) if self.files.number_of(file) in self._arrays else super().scan(file)

    def _rows(self, part: Part) -> Iterator[tuple[int, Row | SourceError]]:
        for number, end, line in self._lines(part):
            if line and not line.isspace():
                yield end, self._row(line, part, number)

    def _row(self, line: bytes, part: Part, number: int) -> Row | SourceError:
        try:
            row = parse_json(line)
        except ValueError as error:
            is_document = str(error).startswith("not JSON") and _is_document(self.files[part.file])
            hint = ". A .json file has an object a line, or is one array of them" if is_document else ""
            return SourceError(f"{part.name}, line {self._number(part, number)}: {error}{hint}")
        if isinstance(row, dict):
            return cast("Row", row)
        return self._no_object(f"{part.name}, line {self._number(part, number)}", row)

    def _array(self, part: Part) -> Iterator[Row | SourceError]:
        try:
            with open_stream(self.files[part.file]) as stream:
                found: list[Any] = parse_json(stream.read())
        except StorageError:
            raise
        except (ValueError, OSError) as error:
            raise SourceError(f"{part.name}: {error}") from error
        for number, row in enumerate(found):
            yield row if isinstance(row, dict) else self._no_object(f"{part.name}, row {number}", row)

    @staticmethod
    def _no_object(where: str, row: Any) -> SourceError:
        return SourceError(f'{where}: a row is a JSON object such as {{"text": "a"}}; this is {json.dumps(row):.80}')
