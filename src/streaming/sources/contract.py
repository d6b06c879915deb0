"""What a source is: parts, each of which gives rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streaming.core.errors import SourceError
from streaming.sources.file import SourceFile
from streaming.storage.store import ObjectInfo, Store

__all__ = ["Files", "Part", "Row", "Source"]

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
    """

    name: str
    file: int
    begin: int
    end: int
    first_row: int = -1
    rows: int = -1
    bytes: int = -1


@dataclass(frozen=True)
class Files:
    """The files of a source. They can be pickled.

    Attributes:
        origin: Where they are, without secrets.
        store: The store of their root.
        infos: They, in order.
        options: What else a format was told, such as ``split`` or ``labels``.
        skips: Whether files that cannot be read are to be left out rather than refused.
    """

    origin: str
    store: Store
    infos: list[ObjectInfo]
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    skips: bool = False

    def __getitem__(self, number: int) -> SourceFile:
        """Return a file."""
        return SourceFile(self.store, self.infos[number])

    def __len__(self) -> int:
        """Return their number."""
        return len(self.infos)


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

    def hint(self, name: str) -> str | None:
        """Return the encoding of a column, where values alone do not tell it: of files that are bytes."""
        del name
        return None

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

    def batches(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Any] | None:
        """Return the rows of a part as Arrow's record batches, whose columns fit ``columns``; ``None`` if it has none."""
        del part, names
        return None
