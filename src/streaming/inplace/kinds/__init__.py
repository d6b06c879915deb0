"""The formats that are read in place, a module each, by the name and the suffixes of their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from streaming.core.registry import Registry
from streaming.inplace.file import SourceFile

__all__ = ["Kind", "Piece", "Scan", "kind_of_suffix", "kinds"]


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
        schema: Its ``pyarrow.Schema``. A field is nullable only where a value may be missing.
        pieces: All of it, in order.
    """

    schema: Any
    pieces: list[Piece]


class Kind(Protocol):
    """A format."""

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


_KINDS = "streaming.inplace.kinds"

#: Formats by name.
kinds: Registry[type[Kind]] = Registry("source format", {"parquet": f"{_KINDS}.parquet:Parquet"}, "streaming.sources")

#: The format of files by what their names end in.
SUFFIXES = {".parquet": "parquet", ".parq": "parquet", ".pq": "parquet"}


def kind_of_suffix(name: str) -> str | None:
    """Return the format of a file by its name, ``None`` if that tells none."""
    return next((kind for suffix, kind in SUFFIXES.items() if name.lower().endswith(suffix)), None)
