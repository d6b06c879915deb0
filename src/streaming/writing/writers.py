"""The writers, one for each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streaming.writing.writer import Writer

__all__ = ["CSVWriter", "JSONWriter", "MDSWriter", "TSVWriter", "XSVWriter"]


class MDSWriter(Writer):
    """Writes MDS shards: binary, with random access to every sample.

    Args:
        columns: Encoding of each column, by name: ``{'tokens': 'ndarray:uint16', 'label': 'int'}``. Columns are stored in
            the order of their names.
        kwargs: See :class:`Writer`.

    Raises:
        ColumnTypeError: (a ``TypeError``) An encoding is not known.
        ConfigError: Another argument is wrong.

    Example:
        >>> with MDSWriter(columns={'text': 'str'}, out='s3://bucket/data', compression='zstd') as out:
        ...     for text in texts:
        ...         out.write({'text': text})
    """

    format = "mds"

    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        out: str | Sequence[str],
        keep_local: bool = False,
        compression: str | None = None,
        hashes: Sequence[str] | None = None,
        size_limit: int | str | None = 1 << 26,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns},
            out=out,
            keep_local=keep_local,
            compression=compression,
            hashes=hashes,
            size_limit=size_limit,
            **kwargs,
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
        kwargs: See :class:`Writer`.
    """

    format = "json"

    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        newline: str = "\n",
        out: str | Sequence[str],
        keep_local: bool = False,
        compression: str | None = None,
        hashes: Sequence[str] | None = None,
        size_limit: int | str | None = 1 << 26,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns, "newline": newline},
            out=out,
            keep_local=keep_local,
            compression=compression,
            hashes=hashes,
            size_limit=size_limit,
            **kwargs,
        )
        self.columns = dict(columns)
        self.newline = newline


class XSVWriter(Writer):
    """Writes shards of separated values. Values are stored as they are: they cannot hold separator or newline.

    Args:
        columns: ``'str'``, ``'int'`` or ``'float'`` of each column, by name.
        separator: What stands between the fields of a line.
        newline: What ends a line.
        kwargs: See :class:`Writer`.
    """

    format = "xsv"

    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        separator: str,
        newline: str = "\n",
        out: str | Sequence[str],
        keep_local: bool = False,
        compression: str | None = None,
        hashes: Sequence[str] | None = None,
        size_limit: int | str | None = 1 << 26,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            encoder_args={"columns": columns, "newline": newline, "separator": separator},
            out=out,
            keep_local=keep_local,
            compression=compression,
            hashes=hashes,
            size_limit=size_limit,
            **kwargs,
        )
        self.columns = dict(columns)
        self.separator = separator
        self.newline = newline


class CSVWriter(XSVWriter):
    """Writes comma-separated shards; see :class:`XSVWriter`."""

    format = "csv"

    def __init__(self, *, columns: Mapping[str, str], newline: str = "\n", **kwargs: Any) -> None:
        super().__init__(columns=columns, separator=",", newline=newline, **kwargs)


class TSVWriter(XSVWriter):
    """Writes tab-separated shards; see :class:`XSVWriter`."""

    format = "tsv"

    def __init__(self, *, columns: Mapping[str, str], newline: str = "\n", **kwargs: Any) -> None:
        super().__init__(columns=columns, separator="\t", newline=newline, **kwargs)
