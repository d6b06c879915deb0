"""The writers, one for each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streaming.core.names import Compression, HashName, Out
from streaming.core.unknown_arguments import named_arguments
from streaming.storage.options import StorageOptions
from streaming.writing.writer import Writer

__all__ = ["CSVWriter", "JSONWriter", "MDSWriter", "TSVWriter", "XSVWriter"]


class MDSWriter(Writer):
    """Writes MDS shards: binary, with random access to every sample.

    Args:
        columns: Encoding of each column, by name: ``{'tokens': 'ndarray:uint16', 'label': 'int'}``. Columns are stored in
            the order of their names.
        out: Where to write: a local directory, a URL, or a pair ``(local, remote)``.
        keep_local: Keep local copies of what is uploaded. Purely local output is always kept.
        compression: ``'br'``, ``'bz2'``, ``'gz'``, ``'snappy'`` or ``'zstd'``, with ``':level'`` where the algorithm has
            levels; ``None`` for none.
        hashes: Hash algorithms to record for every file, such as ``['xxh64']``, in ascending order.
        size_limit: Largest raw size of a shard in bytes, as a number or text such as ``'64mb'``; ``None``: no limit.
        progress_bar: Show a bar of the bytes that are written.
        max_workers: Number of background threads; ``None``: chosen by the number of cores.
        retry: Further attempts after a failed upload.
        exist_ok: Replace the dataset in a directory that is not empty.
        append: Add shards to the dataset that is there, or begin one; see :class:`Writer`.
        storage_options: Settings of the store, as for :class:`streaming.Stream`.

    An encoding followed by ``'?'``, such as ``'int32?'``, takes ``None`` as well.

    Raises:
        UnknownEncodingError: (a ``TypeError``) An encoding is not known.
        ConfigError: Another argument is wrong.
        FileExistsError: The local directory is not empty, and ``exist_ok`` is not set.
        StorageError: The target cannot be written to.

    Example:
        >>> with MDSWriter(columns={'text': 'str'}, out='s3://bucket/data', compression='zstd') as out:
        ...     for text in texts:
        ...         out.write({'text': text})
    """

    format = "mds"

    @named_arguments
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        out: Out,
        keep_local: bool = False,
        compression: Compression | None = None,
        hashes: Sequence[HashName] | None = None,
        size_limit: int | str | None = 1 << 26,
        progress_bar: bool = False,
        max_workers: int | None = None,
        retry: int = 2,
        exist_ok: bool = False,
        append: bool = False,
        storage_options: StorageOptions | None = None,
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns},
            out=out,
            keep_local=keep_local,
            compression=compression,
            hashes=hashes,
            size_limit=size_limit,
            progress_bar=progress_bar,
            max_workers=max_workers,
            retry=retry,
            exist_ok=exist_ok,
            append=append,
            storage_options=storage_options,
        )
        self.columns = dict(columns)
        fields = self._encoder.index_fields()
        self.column_names: list[str] = list(fields["column_names"])
        self.column_encodings: list[str] = list(fields["column_encodings"])
        self.column_sizes: list[int | None] = list(fields["column_sizes"])
        self.config_data = self._encoder.config


class JSONWriter(Writer):
    """Writes JSON-lines shards.

    Args:
        columns: ``'str'``, ``'int'`` or ``'float'`` of each column, by name.
        newline: What ends a line.
        out: As for :class:`MDSWriter`, like all that follow.
    """

    format = "json"

    @named_arguments
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        newline: str = "\n",
        out: Out,
        keep_local: bool = False,
        compression: Compression | None = None,
        hashes: Sequence[HashName] | None = None,
        size_limit: int | str | None = 1 << 26,
        progress_bar: bool = False,
        max_workers: int | None = None,
        retry: int = 2,
        exist_ok: bool = False,
        append: bool = False,
        storage_options: StorageOptions | None = None,
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns, "newline": newline},
            out=out,
            keep_local=keep_local,
            compression=compression,
            hashes=hashes,
            size_limit=size_limit,
            progress_bar=progress_bar,
            max_workers=max_workers,
            retry=retry,
            exist_ok=exist_ok,
            append=append,
            storage_options=storage_options,
        )
        self.columns = dict(columns)
        self.newline = newline


class XSVWriter(Writer):
    """Writes shards of separated values. Values are stored as they are: they cannot hold separator or newline.

    Args:
        columns: ``'str'``, ``'int'`` or ``'float'`` of each column, by name.
        separator: What stands between the fields of a line.
        newline: What ends a line.
        out: As for :class:`MDSWriter`, like all that follow.
    """

    format = "xsv"

    @named_arguments
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        separator: str,
        newline: str = "\n",
        out: Out,
        keep_local: bool = False,
        compression: Compression | None = None,
        hashes: Sequence[HashName] | None = None,
        size_limit: int | str | None = 1 << 26,
        progress_bar: bool = False,
        max_workers: int | None = None,
        retry: int = 2,
        exist_ok: bool = False,
        append: bool = False,
        storage_options: StorageOptions | None = None,
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns, "newline": newline, "separator": separator},
            out=out,
            keep_local=keep_local,
            compression=compression,
            hashes=hashes,
            size_limit=size_limit,
            progress_bar=progress_bar,
            max_workers=max_workers,
            retry=retry,
            exist_ok=exist_ok,
            append=append,
            storage_options=storage_options,
        )
        self.columns = dict(columns)
        self.separator = separator
        self.newline = newline


class CSVWriter(XSVWriter):
    """Writes comma-separated shards; see :class:`XSVWriter`."""

    format = "csv"

    @named_arguments
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        newline: str = "\n",
        out: Out,
        keep_local: bool = False,
        compression: Compression | None = None,
        hashes: Sequence[HashName] | None = None,
        size_limit: int | str | None = 1 << 26,
        progress_bar: bool = False,
        max_workers: int | None = None,
        retry: int = 2,
        exist_ok: bool = False,
        append: bool = False,
        storage_options: StorageOptions | None = None,
    ) -> None:
        super().__init__(
            columns=columns,
            separator=",",
            newline=newline,
            out=out,
            keep_local=keep_local,
            compression=compression,
            hashes=hashes,
            size_limit=size_limit,
            progress_bar=progress_bar,
            max_workers=max_workers,
            retry=retry,
            exist_ok=exist_ok,
            append=append,
            storage_options=storage_options,
        )


class TSVWriter(XSVWriter):
    """Writes tab-separated shards; see :class:`XSVWriter`."""

    format = "tsv"

    @named_arguments
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        newline: str = "\n",
        out: Out,
        keep_local: bool = False,
        compression: Compression | None = None,
        hashes: Sequence[HashName] | None = None,
        size_limit: int | str | None = 1 << 26,
        progress_bar: bool = False,
        max_workers: int | None = None,
        retry: int = 2,
        exist_ok: bool = False,
        append: bool = False,
        storage_options: StorageOptions | None = None,
    ) -> None:
        super().__init__(
            columns=columns,
            separator="\t",
            newline=newline,
            out=out,
            keep_local=keep_local,
            compression=compression,
            hashes=hashes,
            size_limit=size_limit,
            progress_bar=progress_bar,
            max_workers=max_workers,
            retry=retry,
            exist_ok=exist_ok,
            append=append,
            storage_options=storage_options,
        )
