"""The files that an index names, and the columnar tables that hold millions of them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["FileInfo", "FileTable", "FileTableBuilder", "StringColumn", "StringColumnBuilder"]


@dataclass
class FileInfo:
    """A file of a shard.

    Args:
        basename: Path below the directory of the index, with forward slashes.
        bytes: Size in bytes.
        hashes: Lower-case hexadecimal hash of the file by name of the algorithm.
    """

    basename: str
    bytes: int
    hashes: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, eq=False)
class StringColumn:
    """Strings as one run of UTF-8 bytes.

    Args:
        blob: ``uint8[total]``, all strings one after the other.
        offsets: ``int64[n + 1]``, where each begins and the last ends.
    """

    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        begin, end = self.offsets[index], self.offsets[index + 1]
        return self.blob[begin:end].tobytes().decode()

    def with_suffix(self, which: NDArray[np.bool_], suffix: str) -> StringColumn:
        """Return the strings, some of them longer by a suffix.

        Args:
            which: ``bool[n]``, those.
            suffix: What comes behind each.
        """
        more = np.frombuffer(suffix.encode(), np.uint8)
        offsets = self.offsets + np.concatenate([np.zeros(1, np.int64), np.cumsum(which * len(more))])
        blob = np.empty(int(offsets[-1]), np.uint8)
        shift = np.repeat(offsets[:-1] - self.offsets[:-1], np.diff(self.offsets))
        blob[np.arange(len(shift)) + shift] = self.blob
        ends = offsets[1:][which]
        blob[ends[:, None] - len(more) + np.arange(len(more))] = more
        return StringColumn(blob, offsets)

    def begins_with(self, other: StringColumn) -> bool:
        """Say whether its first strings are those of another column."""
        count, size = len(other.offsets), int(other.offsets[-1])
        return np.array_equal(self.offsets[:count], other.offsets) and np.array_equal(
            self.blob[:size], other.blob[:size]
        )

    @classmethod
    def concatenate(cls, columns: Sequence[StringColumn]) -> StringColumn:
        """Join columns into one."""
        blob = np.concatenate([np.empty(0, np.uint8), *(column.blob for column in columns)])
        lengths = [np.diff(column.offsets) for column in columns]
        offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum(dtype=np.int64)
        return cls(blob, offsets)


class StringColumnBuilder:
    """Collects strings into a :class:`StringColumn`."""

    def __init__(self) -> None:
        self._blob = bytearray()
        self._offsets = array("q", [0])

    def append(self, text: str) -> None:
        """Add a string.

        Raises:
            UnicodeEncodeError: It holds a lone surrogate.
        """
        self._blob += text.encode()
        self._offsets.append(len(self._blob))

    def build(self) -> StringColumn:
        """Return the column of all strings added."""
        return StringColumn(np.frombuffer(bytes(self._blob), np.uint8), np.array(self._offsets, np.int64))


@dataclass(frozen=True, eq=False)
class FileTable:
    """One file per shard: names, sizes and hashes.

    Args:
        names: Basename of each file, empty where there is none.
        bytes: ``int64[n]``, size of each file, -1 where there is none.
        hashes: Hashes of each file as ``algorithm:hex`` pairs joined by commas.
    """

    names: StringColumn
    bytes: NDArray[np.int64]
    hashes: StringColumn

    def __len__(self) -> int:
        return len(self.bytes)

    def __getitem__(self, index: int) -> FileInfo | None:
        size = int(self.bytes[index])
        if size < 0:
            return None
        text = self.hashes[index]
        pairs = (pair.partition(":") for pair in text.split(",")) if text else ()
        return FileInfo(self.names[index], size, {algo: value for algo, _, value in pairs})

    def begins_with(self, other: FileTable) -> bool:
        """Say whether its first files are those of another table."""
        return (
            np.array_equal(self.bytes[: len(other)], other.bytes)
            and self.names.begins_with(other.names)
            and self.hashes.begins_with(other.hashes)
        )

    @classmethod
    def concatenate(cls, tables: Sequence[FileTable]) -> FileTable:
        """Join tables into one."""
        return cls(
            StringColumn.concatenate([table.names for table in tables]),
            np.concatenate([np.empty(0, np.int64), *(table.bytes for table in tables)]),
            StringColumn.concatenate([table.hashes for table in tables]),
        )


class FileTableBuilder:
    """Collects files into a :class:`FileTable`."""

    def __init__(self) -> None:
        self._names = StringColumnBuilder()
        self._bytes = array("q")
        self._hashes = StringColumnBuilder()

    def append(self, file: FileInfo | None) -> None:
        """Add the file of the next shard, or note that it has none."""
        if file is None:
            self._names.append("")
            self._bytes.append(-1)
            self._hashes.append("")
            return
        self._names.append(file.basename)
        self._bytes.append(file.bytes)
        hashes = file.hashes
        self._hashes.append(",".join([f"{algo}:{value}" for algo, value in hashes.items()]) if hashes else "")

    def build(self) -> FileTable:
        """Return the table of all files added."""
        return FileTable(self._names.build(), np.array(self._bytes, np.int64), self._hashes.build())
