"""Readers: shards on local disk as objects of their own, by the names and arguments that user code knows.

Datasets do not read through these. They are what ``dataset.shards`` shows, and what code that opens single shards uses.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NoReturn, overload

from streaming.core.registry import Registry
from streaming.format.index import Index
from streaming.format.index.files import FileInfo
from streaming.format.reader import JointReader, Reader, SizeLimit, SplitReader, needed_file
from streaming.format.samples.schema import SEPARATORS, Schema

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "CSVReader",
    "JSONReader",
    "MDSReader",
    "TSVReader",
    "XSVReader",
    "reader_from_json",
    "readers",
    "Readers",
    "readers_of_index",
]


class MDSReader(JointReader):
    """A shard of the MDS format. Arguments as :class:`JointReader`'s, and its columns."""

    format = "mds"

    def __init__(
        self,
        dirname: str,
        split: str | None,
        column_encodings: Sequence[str],
        column_names: Sequence[str],
        column_sizes: Sequence[int | None],
        compression: str | None,
        hashes: Sequence[str],
        raw_data: FileInfo,
        samples: int,
        size_limit: SizeLimit,
        zip_data: FileInfo | None,
    ) -> None:
        super().__init__(dirname, split, compression, hashes, raw_data, samples, size_limit, zip_data)
        self.column_encodings: list[str] = list(column_encodings)
        self.column_names: list[str] = list(column_names)
        self.column_sizes: list[int | None] = list(column_sizes)

    @classmethod
    def _of(
        cls, dirname: str, split: str | None, schema: Schema, samples: int, files: Mapping[str, FileInfo | None]
    ) -> Self:
        return cls(
            dirname,
            split,
            schema.column_encodings,
            schema.column_names,
            schema.column_sizes,
            schema.compression,
            schema.hashes,
            needed_file(files, "raw_data"),
            samples,
            schema.size_limit,
            files["zip_data"],
        )

    def _schema(self) -> Schema:
        return Schema(
            self.format,
            tuple(self.column_names),
            tuple(self.column_encodings),
            tuple(self.column_sizes),
            self.compression,
            tuple(self.hashes),
            None,
            None,
            self.size_limit,
        )


class JSONReader(SplitReader):
    """A shard of JSON lines. Arguments as :class:`SplitReader`'s, its columns, and what ends a line."""

    format = "json"

    def __init__(
        self,
        dirname: str,
        split: str | None,
        columns: Mapping[str, str],
        compression: str | None,
        hashes: Sequence[str],
        newline: str,
        raw_data: FileInfo,
        raw_meta: FileInfo,
        samples: int,
        size_limit: SizeLimit,
        zip_data: FileInfo | None,
        zip_meta: FileInfo | None,
    ) -> None:
        super().__init__(
            dirname, split, compression, hashes, raw_data, raw_meta, samples, size_limit, zip_data, zip_meta
        )
        self.columns: dict[str, str] = dict(columns)
        self.newline = newline

    @classmethod
    def _of(
        cls, dirname: str, split: str | None, schema: Schema, samples: int, files: Mapping[str, FileInfo | None]
    ) -> Self:
        return cls(
            dirname,
            split,
            dict(zip(schema.column_names, schema.column_encodings, strict=True)),
            schema.compression,
            schema.hashes,
            schema.newline or "",
            needed_file(files, "raw_data"),
            needed_file(files, "raw_meta"),
            samples,
            schema.size_limit,
            files["zip_data"],
            files["zip_meta"],
        )

    def _schema(self) -> Schema:
        return Schema(
            self.format,
            tuple(self.columns),
            tuple(self.columns.values()),
            (None,) * len(self.columns),
            self.compression,
            tuple(self.hashes),
            self.newline,
            None,
            self.size_limit,
        )


class XSVReader(SplitReader):
    """A shard of separated values. Arguments as :class:`SplitReader`'s, its columns, separator and what ends a line."""

    format = "xsv"

    def __init__(
        self,
        dirname: str,
        split: str | None,
        column_encodings: Sequence[str],
        column_names: Sequence[str],
        compression: str | None,
        hashes: Sequence[str],
        newline: str,
        raw_data: FileInfo,
        raw_meta: FileInfo,
        samples: int,
        separator: str,
        size_limit: SizeLimit,
        zip_data: FileInfo | None,
        zip_meta: FileInfo | None,
    ) -> None:
        super().__init__(
            dirname, split, compression, hashes, raw_data, raw_meta, samples, size_limit, zip_data, zip_meta
        )
        self.column_encodings: list[str] = list(column_encodings)
        self.column_names: list[str] = list(column_names)
        self.newline = newline
        self.separator = separator

    @classmethod
    def _of(
        cls, dirname: str, split: str | None, schema: Schema, samples: int, files: Mapping[str, FileInfo | None]
    ) -> Self:
        fixed = {} if cls.format in SEPARATORS else {"separator": schema.separator or ""}
        return cls(
            dirname,
            split,
            schema.column_encodings,
            schema.column_names,
            schema.compression,
            schema.hashes,
            schema.newline or "",
            raw_data=needed_file(files, "raw_data"),
            raw_meta=needed_file(files, "raw_meta"),
            samples=samples,
            size_limit=schema.size_limit,
            zip_data=files["zip_data"],
            zip_meta=files["zip_meta"],
            **fixed,  # pyright: ignore[reportArgumentType] - CSV and TSV fix it
        )

    def _schema(self) -> Schema:
        return Schema(
            self.format,
            tuple(self.column_names),
            tuple(self.column_encodings),
            (None,) * len(self.column_names),
            self.compression,
            tuple(self.hashes),
            self.newline,
            self.separator,
            self.size_limit,
        )


class _FixedSeparatorReader(XSVReader):
    def __init__(
        self,
        dirname: str,
        split: str | None,
        column_encodings: Sequence[str],
        column_names: Sequence[str],
        compression: str | None,
        hashes: Sequence[str],
        newline: str,
        raw_data: FileInfo,
        raw_meta: FileInfo,
        samples: int,
        size_limit: SizeLimit,
        zip_data: FileInfo | None,
        zip_meta: FileInfo | None,
    ) -> None:
        super().__init__(
            dirname,
            split,
            column_encodings,
            column_names,
            compression,
            hashes,
            newline,
            raw_data,
            raw_meta,
            samples,
            SEPARATORS[self.format],
            size_limit,
            zip_data,
            zip_meta,
        )


class CSVReader(_FixedSeparatorReader):
    """A shard of comma-separated values; see :class:`XSVReader`."""

    format = "csv"


class TSVReader(_FixedSeparatorReader):
    """A shard of tab-separated values; see :class:`XSVReader`."""

    format = "tsv"


#: Reader classes by format.
readers: Registry[type[Reader]] = Registry(
    "shard format",
    {"mds": MDSReader, "json": JSONReader, "xsv": XSVReader, "csv": CSVReader, "tsv": TSVReader},
)


def reader_from_json(dirname: str, split: str | None, obj: Mapping[str, Any]) -> Reader:
    """Make the reader of a shard's entry in an index. Of data that is trusted, it unpickles after ``validate(True)``.

    Args:
        dirname: Directory of the dataset.
        split: Sub-directory of it.
        obj: The entry.

    Raises:
        UnknownNameError: (a ``KeyError``) Its format is not known.
        ConfigError: The entry is wrong.
    """
    return readers[obj["format"]].from_json(dirname, split, obj)


def readers_of_index(index: Index, dirname: str, split: str | None, allow_unsafe_types: bool = False) -> list[Reader]:
    """Return a reader of every shard of an index.

    Args:
        index: The index.
        dirname: Directory of the dataset.
        split: Sub-directory of it.
        allow_unsafe_types: Whether they may unpickle columns.
    """
    return list(Readers([(index, dirname, split)], allow_unsafe_types))


class Readers(Sequence[Reader]):
    """A reader of every shard of some indexes, each made when it is asked for, and kept.

    Args:
        parts: An index, the directory of its dataset and the sub-directory of that, one after the other.
        allow_unsafe_types: Whether they may unpickle columns.
    """

    def __init__(self, parts: Sequence[tuple[Index, str, str | None]], allow_unsafe_types: bool = False) -> None:
        self._parts = list(parts)
        self._allows_unsafe = allow_unsafe_types
        self._ends = list(accumulate(index.num_shards for index, _, _ in self._parts))
        self._made: dict[int, Reader] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the readers."""
        return Readers, (self._parts, self._allows_unsafe)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> Reader: ...

    @overload
    def __getitem__(self, at: slice) -> list[Reader]: ...

    def __getitem__(self, at: int | slice) -> Reader | list[Reader]:
        """Return a shard's reader, or a list of them."""
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        number = range(len(self))[at]
        reader = self._made.get(number)
        return self._made.setdefault(number, self._make(number)) if reader is None else reader

    def __setitem__(self, at: int, reader: Any) -> NoReturn:
        """Say what to do instead of putting a reader in a shard's place.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"shards[{at!r}] was set, and datasets do not read through these readers. To change samples, override "
            "`get_item`, or use `dataset.map(fn)`."
        )

    def _make(self, number: int) -> Reader:
        part = bisect_right(self._ends, number)
        index, dirname, split = self._parts[part]
        shard = number - (self._ends[part] - index.num_shards)
        files = {
            "raw_data": index.raw_data[shard],
            "raw_meta": index.raw_meta[shard],
            "zip_data": index.zip_data[shard],
            "zip_meta": index.zip_meta[shard],
        }
        schema = index.schemas[int(index.schema_ids[shard])]
        kind = readers[schema.format]
        reader = kind._of(dirname, split, schema, int(index.samples[shard]), files)  # pyright: ignore[reportPrivateUsage]
        if self._allows_unsafe:
            reader.validate(True)
        return reader
