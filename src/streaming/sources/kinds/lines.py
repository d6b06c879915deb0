"""Lines: of JSON, a row each, and of text. Large files are split at lines, those of zstd at frames if they have several.

Other compressed ones are read as a whole. Where a part is some frames, it has the lines that begin in them, and its begin is
twice the place of the first frame, one more if a line goes on there that began before.
"""

from __future__ import annotations

import codecs
import json
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
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
        learner = Learner(file.name, self.columns)
        pieces: list[Piece] = []
        if _is_compressed(file):
            cuts = _Frames(file.size)
            for begin, end, row in self._rows(Part(file.name, number, 0, -1, 0), cuts.frame):
                cuts.row(begin, end)
                learner.add(_good(row))
            return Scan(learner.encodings(), cuts.pieces())
        first = end = 0
        for _, end, row in self._rows(Part(file.name, number, 0, file.size, 0)):
            learner.add(_good(row))
            if end - first >= _PIECE_BYTES:
                pieces.append(_piece(first, end, learner, pieces))
                first = end
        last = _piece(first, end, learner, pieces)
        return Scan(learner.encodings(), [*pieces, last] if last.rows else pieces)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the rows."""
        rows = (row for _, _, row in self._rows(part))
        yield from islice(rows, part.rows) if self._has_frames(part) else rows

    def _has_frames(self, part: Part) -> bool:
        """Say whether a part is some frames of a file of zstd."""
        return part.end >= 0 and _is_compressed(self.files[part.file])

    @abstractmethod
    def _rows(
        self, part: Part, frames: Callable[[int, int], Any] | None = None
    ) -> Iterator[tuple[int, int, Row | SourceError]]:
        """Yield where each row of a part begins and ends, and it. Of a part of frames, there come more than it has."""
        ...

    def _lines(
        self, part: Part, frames: Callable[[int, int], Any] | None = None
    ) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield the lines of a part: their numbers in it, where they begin and end, and they, without what ends them.

        Raises:
            SourceError: A compressed file is damaged.
        """
        file = self.files[part.file]
        has_frames = self._has_frames(part)
        # A line that begins at the first byte is told by the byte before it.
        at = part.begin >> 1 if has_frames else max(0, part.begin - 1)
        last = -1 if has_frames else part.end
        number = 0
        try:
            with open_stream(file, at, part.end if part.end > 0 else None, frames) as stream:
                if part.begin & 1 if has_frames else part.begin:
                    at += len(stream.readline())
                while last < 0 or at < last:
                    line = stream.readline()
                    if not line:
                        return
                    begin, at = at, at + len(line)
                    yield number, begin, at, line.removesuffix(b"\n").removesuffix(b"\r")
                    number += 1
        except StorageError:
            raise
        except OSError as error:
            raise SourceError(f"{file.name}, after {self._number(part, number - 1)}: {error}") from error

    def _number(self, part: Part, line: int) -> str:
        """Return for people which line of its file, from 1, a line of a part is."""
        if self._has_frames(part):
            return f"row {part.first_row + line}"
        before = 0
        if part.begin:
            file = self.files[part.file]
            blocks = (fetch(file, at, min(at + _BLOCK_BYTES, part.begin)) for at in range(0, part.begin, _BLOCK_BYTES))
            before, last = 0, b"\n"
            for block in blocks:
                before += block.count(b"\n")
                last = block[-1:]
            before += last != b"\n"  # the line that begins before this part ends in it
        return f"line {before + line + 1}"


class TextLines(_Lines):
    """Lines of text, a row each, in the column ``text``."""

    @property
    def columns(self) -> dict[str, str]:
        """Encoding of each column."""
        return {"text": "str"}

    def _rows(
        self, part: Part, frames: Callable[[int, int], Any] | None = None
    ) -> Iterator[tuple[int, int, Row | SourceError]]:
        for number, begin, end, line in self._lines(part, frames):
            try:
                yield begin, end, {"text": line.decode("utf-8" if begin else "utf-8-sig")}
            except UnicodeDecodeError as error:
                yield begin, end, SourceError(f"{part.name}, {self._number(part, number)}: not UTF-8: {error}")


class _Frames:
    """Cuts a file of zstd at its frames.

    Args:
        size: Of the file.
    """

    def __init__(self, size: int) -> None:
        self._begins: deque[tuple[int, int]] = deque()
        self._size = size
        self._pieces: list[Piece] = []
        self._first = self._given = self._rows = self._end = 0

    def frame(self, place: int, given: int) -> None:
        """Take note of a frame, by where it begins in the file and in what that becomes."""
        self._begins.append((place, given))

    def row(self, begin: int, end: int) -> None:
        """Take note of a row, by where it begins and ends in what the file becomes."""
        frame: tuple[int, int] | None = None
        while self._begins and self._begins[0][1] <= begin:
            frame = self._begins.popleft()
        if frame is not None and self._rows and frame[1] - self._given >= _PIECE_BYTES:
            place, given = frame
            self._pieces.append(Piece(self._first, place, self._rows, given - self._given))
            self._first, self._given, self._rows = 2 * place + (given != begin), given, 0
        self._rows += 1
        self._end = end

    def pieces(self) -> list[Piece]:
        """Return the pieces; the only one is all of the file."""
        last = Piece(self._first, self._size if self._pieces else -1, self._rows, self._end - self._given)
        return [*self._pieces, last] if last.rows else self._pieces


def _good(row: Row | SourceError) -> Row:
    if isinstance(row, SourceError):
        raise row
    return row


def _is_compressed(file: SourceFile) -> bool:
    return file.name.lower().endswith(COMPRESSED)


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

    def _rows(
        self, part: Part, frames: Callable[[int, int], Any] | None = None
    ) -> Iterator[tuple[int, int, Row | SourceError]]:
        for number, begin, end, line in self._lines(part, frames):
            if line and not line.isspace():
                yield begin, end, self._row(line, part, number)

    def _row(self, line: bytes, part: Part, number: int) -> Row | SourceError:
        try:
            row = parse_json(line)
        except ValueError as error:
            is_document = str(error).startswith("not JSON") and _is_document(self.files[part.file])
            hint = ". A .json file has an object a line, or is one array of them" if is_document else ""
            return SourceError(f"{part.name}, {self._number(part, number)}: {error}{hint}")
        if isinstance(row, dict):
            return cast("Row", row)
        return self._no_object(f"{part.name}, {self._number(part, number)}", row)

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
