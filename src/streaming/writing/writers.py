"""The writers, one for each format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from streaming.core.names import Out
from streaming.core.unknown_arguments import named_arguments
from streaming.writing.options import WriterArguments, WriterOptions
from streaming.writing.writer import Writer

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["CSVWriter", "JSONWriter", "MDSWriter", "TSVWriter", "XSVWriter"]


class MDSWriter(Writer):
    """Writes MDS shards: binary, with random access to every sample.

    The bytes are those of mosaicml-streaming's format (version 2 of the index); ``streaming.format.kinds.mds`` has the
    layout.

    Args:
        columns: Encoding of each column, by name: ``{'tokens': 'ndarray:uint16', 'label': 'int'}``. Columns are stored in
            the order of their names.
        out: Where to write: a local directory, a URL, or a pair ``(local, remote)``.
        keep_local: Keep local copies of what is uploaded. Purely local output is always kept.
        compression: ``'br'``, ``'bz2'``, ``'gz'``, ``'snappy'`` or ``'zstd'``, with ``':level'`` where the algorithm has
            levels; ``None``: none.
        hashes: Hash algorithms to record for every file, in ascending order: those of ``hashlib`` with a fixed length, and
            xxHash (https://xxhash.com), such as ``['xxh64']``. By them, readers find damage and other versions.
        size_limit: Largest raw size of a shard in bytes, below 4 GiB, as a number or text such as ``'64mb'``; ``None``: no
            limit. Larger shards mean fewer requests, smaller ones a sooner first sample; the default, 64 MiB, is between.
        progress_bar: Show a bar of the bytes that are written.
        max_workers: Number of background threads, at least 1; ``None``: four more than there are cores, at most 32.
        retry: Further attempts after a failed upload, at least 0.
        exist_ok: Replace the dataset in a directory that is not empty.
        append: Add shards to the dataset that is there, or begin one; see :class:`Writer`.
        side_columns: What goes into ``columns.parquet`` beside the index, for SQL: as for :func:`streaming.index_columns`.
        storage_options: Settings of the store, as for :class:`streaming.Stream`.

    An encoding followed by ``'?'``, such as ``'int32?'``, takes ``None`` as well.

    Raises:
        ConfigError: (a ``ValueError``) An argument is wrong; an encoding that is not known is a ``TypeError`` too.
        FileExistsError: The local directory is not empty, and ``exist_ok`` is not set.
        StorageError: The target cannot be written to.

    Example:
        >>> with MDSWriter(columns={'text': 'str', 'age': 'int32?'}, out='people', compression='zstd') as out:
        ...     out.write({'text': 'Ada', 'age': 36})
        ...     out.write({'text': 'Bob', 'age': None})
        >>> StreamingDataset(local='people')[1]
        {'age': None, 'text': 'Bob'}
    """

    format = "mds"

    @named_arguments(WriterOptions)
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        out: Out,
        **options: Unpack[WriterArguments],
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns},
            out=out,
            **options,
        )
        self.columns: dict[str, str] = dict(columns)
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
        out: Where to write, as for :class:`MDSWriter`, like all that follow.
        keep_local, compression, hashes, size_limit, progress_bar, max_workers, retry, exist_ok: The same as there.
        append, side_columns, storage_options: Likewise.

    Raises:
        ConfigError: (a ``ValueError``) An argument is wrong; an encoding that is not known is a ``TypeError`` too.
        FileExistsError: The local directory is not empty, and ``exist_ok`` is not set.
        StorageError: The target cannot be written to.

    Example:
        >>> with JSONWriter(columns={'text': 'str', 'score': 'float'}, out='scores') as out:
        ...     out.write({'text': 'a', 'score': 0.5})
        >>> LocalDataset('scores')[0]
        {'score': 0.5, 'text': 'a'}
    """

    format = "json"

    @named_arguments(WriterOptions)
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        newline: str = "\n",
        out: Out,
        **options: Unpack[WriterArguments],
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns, "newline": newline},
            out=out,
            **options,
        )
        self.columns: dict[str, str] = dict(columns)
        self.newline = newline


class XSVWriter(Writer):
    """Writes shards of separated values. Values are stored as they are: they cannot hold separator or newline.

    Args:
        columns: ``'str'``, ``'int'`` or ``'float'`` of each column, by name.
        separator: What stands between the fields of a line.
        newline: What ends a line.
        out: Where to write, as for :class:`MDSWriter`, like all that follow.
        keep_local, compression, hashes, size_limit, progress_bar, max_workers, retry, exist_ok: The same as there.
        append, side_columns, storage_options: Likewise.

    Raises:
        ConfigError: (a ``ValueError``) As :class:`JSONWriter`, which raises the same.
        FileExistsError: The local directory is not empty, and ``exist_ok`` is not set.
        StorageError: The target cannot be written to.

    Example:
        >>> with XSVWriter(columns={'text': 'str', 'label': 'int'}, separator='|', out='labels') as out:
        ...     out.write({'text': 'a', 'label': 1})
        >>> LocalDataset('labels')[0]
        {'label': 1, 'text': 'a'}
    """

    format = "xsv"

    @named_arguments(WriterOptions)
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        separator: str,
        newline: str = "\n",
        out: Out,
        **options: Unpack[WriterArguments],
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns, "newline": newline, "separator": separator},
            out=out,
            **options,
        )
        self.columns: dict[str, str] = dict(columns)
        self.separator = separator
        self.newline = newline


class CSVWriter(XSVWriter):
    """Writes comma-separated shards. Arguments as :class:`XSVWriter`'s, but for the separator.

    Example:
        >>> from pathlib import Path
        >>> with CSVWriter(columns={'text': 'str', 'label': 'int'}, out='labels') as out:
        ...     out.write({'text': 'a', 'label': 1})
        >>> print(Path('labels/shard.00000.csv').read_text())
        label,text
        1,a
    """

    format = "csv"

    @named_arguments(WriterOptions)
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        newline: str = "\n",
        out: Out,
        **options: Unpack[WriterArguments],
    ) -> None:
        super().__init__(
            columns=columns,
            separator=",",
            newline=newline,
            out=out,
            **options,
        )


class TSVWriter(XSVWriter):
    """Writes tab-separated shards. Arguments as :class:`XSVWriter`'s, but for the separator.

    Example:
        >>> with TSVWriter(columns={'text': 'str', 'label': 'int'}, out='labels') as out:
        ...     out.write({'text': 'one, two', 'label': 1})
        >>> LocalDataset('labels')[0]['text']
        'one, two'
    """

    format = "tsv"

    @named_arguments(WriterOptions)
    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        newline: str = "\n",
        out: Out,
        **options: Unpack[WriterArguments],
    ) -> None:
        super().__init__(
            columns=columns,
            separator="\t",
            newline=newline,
            out=out,
            **options,
        )
