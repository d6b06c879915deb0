"""Readers: shards on local disk as objects of their own, by the names and arguments that user code knows.

Datasets do not read through these. They are what ``dataset.shards`` shows, and what code that opens single shards uses.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streaming.core.errors import ConfigError, UnsafeTypeError
from streaming.core.indexing import Array
from streaming.core.registry import Registry
from streaming.core.units import bytes_to_int
from streaming.format.entry import MAX_SAMPLES, VERSION, EntryError, count, get, read_file, read_schema
from streaming.format.files import FileInfo
from streaming.format.formats import get_decoder
from streaming.format.index import Index, ShardInfo
from streaming.format.schema import SEPARATORS, Schema
from streaming.format.shard import Shard, open_shard

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "CSVReader",
    "JSONReader",
    "JointReader",
    "MDSReader",
    "Reader",
    "SplitReader",
    "TSVReader",
    "XSVReader",
    "reader_from_json",
    "readers",
    "readers_of_index",
]

_SizeLimit = int | str | None


class Reader(Array, ABC):
    """The samples of one shard, indexed like an array.

    Args:
        dirname: Directory of the dataset.
        split: Sub-directory of it that holds the shard.
        compression: How the shard's files are compressed in the store, if they are.
        hashes: Hash algorithms recorded for its files.
        samples: Number of samples.
        size_limit: Largest size of a shard that the writer aimed at, in bytes.

    Attributes:
        file_pairs: Each file and its compressed form, ``None`` where there is none; the meta file before the data file.

    Raises:
        ConfigError: ``size_limit`` is negative.
    """

    format: str = ""

    def __init__(
        self,
        dirname: str,
        split: str | None,
        compression: str | None,
        hashes: Sequence[str],
        samples: int,
        size_limit: _SizeLimit,
    ) -> None:
        limit = bytes_to_int(size_limit) if size_limit else None
        if limit is not None and limit < 0:
            raise ConfigError(f"size_limit must not be negative, got {size_limit!r}.")
        self.dirname = dirname
        self.split = split or ""
        self.compression = compression
        self.hashes = list(hashes)
        self.samples = samples
        self.size_limit = limit
        self.file_pairs: list[tuple[FileInfo, FileInfo | None]] = []
        self._shard: Shard | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the open file."""
        return {**self.__dict__, "_shard": None}

    @classmethod
    def from_json(cls, dirname: str, split: str | None, obj: Mapping[str, Any]) -> Self:
        """Make the reader of a shard's entry in an index.

        Args:
            dirname: Directory of the dataset.
            split: Sub-directory of it.
            obj: The entry.

        Raises:
            ConfigError: The entry is of another format, or wrong.
        """
        if obj.get("version", VERSION) != VERSION or obj.get("format") != cls.format:
            raise ConfigError(
                f"{cls.__name__} reads version {VERSION} of {cls.format!r}, the entry is version {obj.get('version')!r} "
                f"of {obj.get('format')!r}."
            )
        entry = dict(obj)
        try:
            schema = read_schema(entry)
            files = {key: read_file(entry, key, schema) for key in ("raw_data", "raw_meta", "zip_data", "zip_meta")}
            samples = count(get(entry, "samples"), "samples", MAX_SAMPLES)
        except EntryError as error:
            raise ConfigError(f"The entry of a shard in {dirname} is wrong: {error}.") from error
        return cls._of(dirname, split, schema, samples, files)

    @classmethod
    @abstractmethod
    def _of(
        cls, dirname: str, split: str | None, schema: Schema, samples: int, files: Mapping[str, FileInfo | None]
    ) -> Self:
        """Make a reader of checked parts."""

    @abstractmethod
    def _schema(self) -> Schema:
        """What its samples look like."""

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.samples

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield its samples in order."""
        for i in range(self.samples):
            yield self[i]

    def get_item(self, sample_id: int) -> dict[str, Any]:
        """Return the sample at an index in ``[0, size)``.

        Raises:
            FileNotFoundError: The shard's files are not there, or only compressed.
            ShardFormatError: They are not what the index says.
        """
        return self.decode_sample(self.get_sample_data(sample_id))

    def get_sample_data(self, sample_id: int) -> bytes:
        """Return a sample as it is stored.

        Raises:
            IndexError: There is no such sample.
            FileNotFoundError: The shard's files are not there, or only compressed.
            ShardFormatError: They are not what the index says.
        """
        if self._shard is None:
            pairs = self.file_pairs
            info = ShardInfo(
                self._schema(), self.samples, tuple(raw for raw, _ in pairs), tuple(zipped for _, zipped in pairs)
            )
            self._shard = open_shard(info, os.path.join(self.dirname, self.split))
        return self._shard.sample_bytes(sample_id)

    def decode_sample(self, data: bytes) -> dict[str, Any]:
        """Return the columns of a sample as it is stored."""
        return get_decoder(self._schema()).decode(data)

    def validate(self, allow_unsafe_types: bool) -> None:
        """Refuse columns whose decoding can run code.

        Raises:
            UnsafeTypeError: There is such a column, and ``allow_unsafe_types`` is not set.
        """
        unsafe = self._schema().unsafe_columns
        if unsafe and not allow_unsafe_types:
            raise UnsafeTypeError(
                f"Columns {', '.join(unsafe)} are unpickled when read: whoever wrote them could run code here. If you "
                "trust the data, pass allow_unsafe_types=True."
            )

    def evict(self) -> int:
        """Remove the shard's files from disk, wherever they came from.

        Returns:
            Bytes removed.
        """
        self._shard = None
        removed = 0
        for path, size in self._present():
            os.unlink(path)
            removed += size
        return removed

    def set_up_local(self, listing: set[str], safe_keep_zip: bool = False) -> int:
        """Return the bytes of this shard's files that are in a listing of paths. Nothing is removed."""
        del safe_keep_zip
        return sum(size for path, size in self._present() if path in listing)

    def get_raw_size(self) -> int:
        """Bytes of the shard as it is read."""
        return sum(raw.bytes for raw, _ in self.file_pairs)

    def get_zip_size(self) -> int | None:
        """Bytes of the shard compressed, ``None`` if it is not."""
        sizes = [zipped.bytes for _, zipped in self.file_pairs if zipped is not None]
        return sum(sizes) if sizes else None

    def get_max_size(self) -> int:
        """Bytes that raw and compressed files take together."""
        return self.get_raw_size() + (self.get_zip_size() or 0)

    def get_persistent_size(self, keep_zip: bool) -> int:
        """Bytes that the shard takes on disk once it is in use.

        Args:
            keep_zip: Whether compressed files are kept beside the raw ones.
        """
        return self.get_max_size() if keep_zip else self.get_raw_size()

    def _present(self) -> list[tuple[str, int]]:
        paths = [
            os.path.join(self.dirname, self.split, info.basename)
            for pair in self.file_pairs
            for info in pair
            if info is not None
        ]
        return [(path, os.path.getsize(path)) for path in paths if os.path.exists(path)]


class JointReader(Reader):
    """A shard of one file. Arguments as :class:`Reader`'s, and its file raw and compressed."""

    def __init__(
        self,
        dirname: str,
        split: str | None,
        compression: str | None,
        hashes: Sequence[str],
        raw_data: FileInfo,
        samples: int,
        size_limit: _SizeLimit,
        zip_data: FileInfo | None,
    ) -> None:
        super().__init__(dirname, split, compression, hashes, samples, size_limit)
        self.raw_data = raw_data
        self.zip_data = zip_data
        self.file_pairs = [(raw_data, zip_data)]


class SplitReader(Reader):
    """A shard of a data file and a meta file. Arguments as :class:`Reader`'s, and its files raw and compressed."""

    def __init__(
        self,
        dirname: str,
        split: str | None,
        compression: str | None,
        hashes: Sequence[str],
        raw_data: FileInfo,
        raw_meta: FileInfo,
        samples: int,
        size_limit: _SizeLimit,
        zip_data: FileInfo | None,
        zip_meta: FileInfo | None,
    ) -> None:
        super().__init__(dirname, split, compression, hashes, samples, size_limit)
        self.raw_data = raw_data
        self.raw_meta = raw_meta
        self.zip_data = zip_data
        self.zip_meta = zip_meta
        self.file_pairs = [(raw_meta, zip_meta), (raw_data, zip_data)]


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
        size_limit: _SizeLimit,
        zip_data: FileInfo | None,
    ) -> None:
        super().__init__(dirname, split, compression, hashes, raw_data, samples, size_limit, zip_data)
        self.column_encodings = list(column_encodings)
        self.column_names = list(column_names)
        self.column_sizes = list(column_sizes)

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
            _needed(files, "raw_data"),
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
        size_limit: _SizeLimit,
        zip_data: FileInfo | None,
        zip_meta: FileInfo | None,
    ) -> None:
        super().__init__(
            dirname, split, compression, hashes, raw_data, raw_meta, samples, size_limit, zip_data, zip_meta
        )
        self.columns = dict(columns)
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
            _needed(files, "raw_data"),
            _needed(files, "raw_meta"),
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
        size_limit: _SizeLimit,
        zip_data: FileInfo | None,
        zip_meta: FileInfo | None,
    ) -> None:
        super().__init__(
            dirname, split, compression, hashes, raw_data, raw_meta, samples, size_limit, zip_data, zip_meta
        )
        self.column_encodings = list(column_encodings)
        self.column_names = list(column_names)
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
            raw_data=_needed(files, "raw_data"),
            raw_meta=_needed(files, "raw_meta"),
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
        size_limit: _SizeLimit,
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
    """Make the reader of a shard's entry in an index.

    Args:
        dirname: Directory of the dataset.
        split: Sub-directory of it.
        obj: The entry.

    Raises:
        UnknownNameError: (a ``KeyError``) Its format is not known.
        ConfigError: The entry is wrong.
    """
    return readers[obj["format"]].from_json(dirname, split, obj)


def readers_of_index(index: Index, dirname: str, split: str | None) -> list[Reader]:
    """Return a reader of every shard of an index.

    Args:
        index: The index.
        dirname: Directory of the dataset.
        split: Sub-directory of it.
    """
    tables = {
        "raw_data": index.raw_data,
        "raw_meta": index.raw_meta,
        "zip_data": index.zip_data,
        "zip_meta": index.zip_meta,
    }
    made: list[Reader] = []
    for i, (schema_id, samples) in enumerate(zip(index.schema_ids.tolist(), index.samples.tolist(), strict=True)):
        schema = index.schemas[schema_id]
        files = {key: table[i] for key, table in tables.items()}
        made.append(readers[schema.format]._of(dirname, split, schema, samples, files))  # pyright: ignore[reportPrivateUsage]
    return made


def _needed(files: Mapping[str, FileInfo | None], key: str) -> FileInfo:
    file = files[key]
    if file is None:
        raise ConfigError(f"The entry of a shard lacks {key}.")
    return file
