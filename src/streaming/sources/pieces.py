"""Files in pieces: what is known of a file once it was looked at, and the formats that can be read so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from streaming.core.registry import Registry
from streaming.sources.file import SourceFile
from streaming.storage.store import ObjectInfo

__all__ = ["Kind", "Piece", "Scan", "Scanned", "kinds"]


class Piece(NamedTuple):
    """What of a file can be read by itself: a row group, a run of lines, of members of an archive.

    Attributes:
        begin: Where it begins, as its format counts.
        end: Where it ends.
        rows: Rows in it.
        bytes: About how many they take once they are decoded.
    """

    begin: int
    end: int
    rows: int
    bytes: int


class Scan(NamedTuple):
    """What is known of a file once it was looked at.

    Attributes:
        schema: Its ``pyarrow.Schema``, in which a field is nullable only where a value may be missing; of a format that
            gives rows, the encoding of each column by its name, with a question mark where a value may be missing.
        pieces: All of it, in order.
    """

    schema: Any
    pieces: list[Piece]


@dataclass(frozen=True)
class Scanned:
    """The files of a source, looked into. Legend: F files.

    Attributes:
        files: Those F.
        schemas: The distinct ones among theirs.
        schema_ids: Which of these each file has.
        pieces: The pieces of each file.
    """

    files: list[ObjectInfo]
    schemas: list[Any]
    schema_ids: list[int]
    pieces: list[list[Piece]]


class Kind(Protocol):
    """A format.

    Attributes:
        counts_rows: Whether its pieces begin and end where rows do, by their numbers in the file, so that they can be cut.
    """

    counts_rows: bool

    def scan(self, file: SourceFile) -> Scan:
        """Look at a file.

        Raises:
            SourceError: It is no such file, or damaged.
        """
        ...

    def batches(self, file: SourceFile, pieces: Sequence[Piece], names: Sequence[str]) -> Iterator[Any]:
        """Yield the rows of some pieces, in order, as ``pyarrow.RecordBatch`` of these columns, those it has of them.

        Raises:
            SourceError: They are not what was found in them before.
        """
        ...


_KINDS = "streaming.sources.kinds"

#: Formats by name.
kinds: Registry[type[Kind]] = Registry(
    "source format",
    {
        "parquet": f"{_KINDS}.parquet:Parquet",
        "arrow": f"{_KINDS}.arrow:ArrowFiles",
        "lance": "streaming.sources.lance.fragments:Fragments",
    },
    "streaming.sources",
)
