"""What the readers of all formats have in common; see :mod:`streaming.format.readers`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streaming.core.errors import ConfigError, UnsafeTypeError
from streaming.core.indexing import Array
from streaming.core.units import bytes_to_int
from streaming.format.formats import get_decoder
from streaming.format.index import ShardInfo
from streaming.format.index.entry import MAX_SAMPLES, VERSION, EntryError, count, get, read_file, read_schema
from streaming.format.index.files import FileInfo
from streaming.format.samples.schema import Schema
from streaming.format.shard import Shard, open_shard

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["JointReader", "Reader", "SizeLimit", "SplitReader", "needed_file"]

SizeLimit = int | str | None


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
        size_limit: SizeLimit,
    ) -> None:
        limit = bytes_to_int(size_limit) if size_limit else None
        if limit is not None and limit < 0:
            raise ConfigError(f"size_limit must not be negative, got {size_limit!r}.")
        self.dirname = dirname
        self.split: str = split or ""
        self.compression = compression
        self.hashes: list[str] = list(hashes)
        self.samples = samples
        self.size_limit = limit
        self.file_pairs: list[tuple[FileInfo, FileInfo | None]] = []
        self._shard: Shard | None = None
        self._may_decode = False

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
        """Return the columns of a sample as it is stored.

        Raises:
            UnsafeTypeError: A column would be unpickled, and :meth:`validate` was not told that it may be.
        """
        if not self._may_decode:
            self.validate(False)
        return get_decoder(self._schema()).decode(data)

    def validate(self, allow_unsafe_types: bool) -> None:
        """Refuse columns whose decoding can run code, or allow this reader to decode them.

        Args:
            allow_unsafe_types: Whether the data is trusted.

        Raises:
            UnsafeTypeError: There is such a column, and ``allow_unsafe_types`` is not set.
        """
        unsafe = self._schema().unsafe_columns
        if unsafe and not allow_unsafe_types:
            raise UnsafeTypeError(
                f"Columns {', '.join(unsafe)} are unpickled when read: whoever wrote them could run code here. If you "
                "trust the data, pass allow_unsafe_types=True, or call validate(True) of a reader."
            )
        self._may_decode = True

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
        size_limit: SizeLimit,
        zip_data: FileInfo | None,
    ) -> None:
        super().__init__(dirname, split, compression, hashes, samples, size_limit)
        self.raw_data = raw_data
        self.zip_data = zip_data
        self.file_pairs: list[tuple[FileInfo, FileInfo | None]] = [(raw_data, zip_data)]


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
        size_limit: SizeLimit,
        zip_data: FileInfo | None,
        zip_meta: FileInfo | None,
    ) -> None:
        super().__init__(dirname, split, compression, hashes, samples, size_limit)
        self.raw_data = raw_data
        self.raw_meta = raw_meta
        self.zip_data = zip_data
        self.zip_meta = zip_meta
        self.file_pairs: list[tuple[FileInfo, FileInfo | None]] = [(raw_meta, zip_meta), (raw_data, zip_data)]


def needed_file(files: Mapping[str, FileInfo | None], key: str) -> FileInfo:
    """Return a file of a shard's entry, which the format cannot do without."""
    file = files[key]
    if file is None:
        raise ConfigError(f"The entry of a shard lacks {key}.")
    return file
