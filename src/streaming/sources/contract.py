"""What a source is: parts, each of which gives rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from streaming.core.errors import SourceError
from streaming.format.codecs.hashing import get_hash
from streaming.format.kinds.mds_columns import Fixed, Varying
from streaming.sources.file import STEP_BYTES, SourceFile
from streaming.sources.learning import Learner, size_of
from streaming.sources.pieces import Piece, Scan
from streaming.storage.store import ObjectInfo, Store

__all__ = ["Files", "Part", "Row", "Source", "versioned"]

Row = Mapping[str, Any]


class Part(NamedTuple):
    """Rows that are read at once, by one process.

    Attributes:
        name: The file that they are in, or begin in.
        file: Its number.
        begin: Where they begin, as the format counts.
        end: Where they end.
        first_row: Number in the file of the first row; -1 if that is not known.
        rows: How many there are; -1 if that is not known.
        bytes: About how many they take in the file; -1 if that is not known.
        version: What the files that they are in are told from later ones by.
    """

    name: str
    file: int
    begin: int
    end: int
    first_row: int = -1
    rows: int = -1
    bytes: int = -1
    version: str = ""

    def __repr__(self) -> str:
        """Return it for people: the file, and where in it the rows begin."""
        if self.first_row > 0:
            return f"{self.name} from row {self.first_row} on"
        return self.name if self.first_row == 0 or not self.begin else f"{self.name} from byte {self.begin} on"

    def at(self, number: int) -> str:
        """Return for people where one of the rows is.

        Args:
            number: Of the row, from the first of the part.
        """
        if self.first_row >= 0 or not self.begin:
            return f"{self.name}, row {max(self.first_row, 0) + number}"
        return f"{self.name}, row {number} from byte {self.begin} on"


def _nothing(count: int) -> None:
    del count


@dataclass(frozen=True)
class Files:
    """The files of a source. They can be pickled.

    Attributes:
        origin: Where they are, without secrets.
        store: The store of their root.
        infos: They, in order.
        options: What else a format was told, such as ``split`` or ``labels``.
        skips: Whether files that cannot be read are to be left out rather than refused.
        in_place: Whether rows are served from where they are: images are taken as they are then, and refused if they are
            damaged where they are written elsewhere.
        encodings: The encoding that each column of rows is to have, once that is known, or as the user chose.
        came: Told of bytes that came from the store.
        format: Name of their format.
        step_bytes: As for a file.
    """

    origin: str
    store: Store
    infos: list[ObjectInfo]
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    skips: bool = False
    in_place: bool = False
    encodings: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    came: Callable[[int], Any] = _nothing
    format: str = ""
    step_bytes: int = STEP_BYTES

    def __getitem__(self, number: int) -> SourceFile:
        """Return a file."""
        return SourceFile(self.store, self.infos[number], self.came, self.step_bytes)

    def number_of(self, file: SourceFile) -> int:
        """Return the number of a file."""
        return self._numbers[file.name]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {info.path: number for number, info in enumerate(self.infos)}

    def __len__(self) -> int:
        """Return their number."""
        return len(self.infos)


#: A part is about the 256th of a source, so that all processes have work to the end, within these bounds.
_PARTS, _LEAST_BYTES, _MOST_BYTES = 256, 1 << 18, 1 << 25


class Source(ABC):
    """Files of a format as rows. It can be pickled, and its parts be read in any process.

    Args:
        files: They.

    Attributes:
        files: They.
        parts: Of which it consists, in the order of the rows.

    Raises:
        SourceError: A file is damaged, or they do not go together.
        StorageError: A file cannot be read.
    """

    parts: Sequence[Part]

    def __init__(self, files: Files) -> None:
        self.files = files

    @property
    def columns(self) -> dict[str, str] | None:
        """Encoding of each column; ``None`` if that is to be told by the first rows."""
        return None

    @property
    def metadata(self) -> dict[str, Any]:
        """What is known besides: ``{'columns': {'label': {'names': [...]}}}``."""
        return {}

    def part_bytes(self) -> int:
        """Return about how many bytes of files a part is to take."""
        total = sum(info.bytes for info in self.files.infos)
        return min(max(total // _PARTS, _LEAST_BYTES), _MOST_BYTES)

    def hint(self, name: str) -> str | None:
        """Return the encoding of a column, where values alone do not tell it: of files that are bytes."""
        del name
        return None

    @property
    def is_known(self) -> bool:
        """Whether the parts say how many rows they have, and ``columns`` which, so that no file need be looked at."""
        return False

    def at(self, file: int, piece: Piece, row: int) -> str:
        """Return where a row of a piece is, for people.

        Args:
            file: Number of the file.
            piece: The piece of it.
            row: Number of the row in the file.
        """
        del piece
        return f"{self.files.infos[file].path}, row {row}"

    def scan(self, file: SourceFile) -> Scan:
        """Look at a file, by default at all of it: what its columns are, and how many rows there are where.

        Args:
            file: One of the files.

        Returns:
            The encodings of its columns, and its pieces: each is a part for :meth:`read`, by its begin and end.

        Raises:
            SourceError: A row cannot be read, or the values of a column do not go together.
            StorageError: The file cannot be read.
        """
        number = self.files.number_of(file)
        learner = Learner(file.name, self.columns, self.hint)
        pieces: list[Piece] = []
        for part in self.parts:
            if part.file != number:
                continue
            before, size = learner.rows, 0
            for row in self.read(part):
                if isinstance(row, SourceError):
                    raise row
                learner.add(row)
                size += size_of(row)
            pieces.append(Piece(part.begin, part.end, learner.rows - before, size))
        return Scan(learner.encodings(), [piece for piece in pieces if piece.rows])

    @abstractmethod
    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the rows of a part; in place of a row that cannot be read, an error that says which it is, and why.

        Args:
            part: One of ``parts``.
            names: The columns that are wanted, at least; ``None``: all.

        Raises:
            SourceError: The rest of the part cannot be read.
            StorageError: The same.
        """
        ...

    def encoded(self, part: Part, names: Sequence[str]) -> tuple[list[Fixed | Varying], int] | None:
        """Return all rows of a part at once, encoded as ``files.encodings`` says.

        Args:
            part: One of ``parts``.
            names: The columns that are wanted.

        Returns:
            The columns and the number of rows; ``None`` if the rows are to be read one by one, as where one cannot be read.

        Raises:
            SourceError: The part cannot be read.
            StorageError: The same.
        """
        del part, names
        return None

    def stored(self, part: Part) -> Iterator[bytes] | None:
        """Return the samples of a part as MDS keeps them, in the order of ``columns``; ``None`` if they are not so."""
        del part
        return None

    def batches(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Any] | None:
        """Return the rows of a part as Arrow's record batches, whose columns fit ``columns``; ``None`` if it has none.

        In place of rows that cannot be read, there are errors.
        """
        del part, names
        return None


def versioned(source: Source) -> list[Part]:
    """Return the parts of a source with the versions of their files: those of other versions are other parts."""
    infos, parts = source.files.infos, source.parts
    ends = [*(part.file for part in parts[1:]), len(infos)]
    found: list[Part] = []
    for part, end in zip(parts, ends, strict=True):
        some = infos[part.file : max(part.file + 1, end)]
        version = "".join(f"{info.bytes} {info.etag or info.modified}\n" for info in some)
        found.append(part._replace(version=get_hash("xxh3_128", version.encode())))
    return found
