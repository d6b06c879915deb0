"""What all samples of a shard have in common: its format, columns, compression and hashes."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.format.encodings import is_mds_encoding_safe

__all__ = ["SPLIT_FORMATS", "SEPARATORS", "Schema"]

#: Formats whose offsets lie in a second file, ``<shard>.meta``.
SPLIT_FORMATS = frozenset({"csv", "json", "tsv", "xsv"})
#: Formats that fix the separator.
SEPARATORS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class Schema:
    """The static part of a shard's index entry.

    Args:
        format: ``'mds'``, ``'json'``, ``'xsv'``, ``'csv'``, ``'tsv'``, or another one that is registered.
        column_names: Names of the columns, in the order in which a sample holds them.
        column_encodings: Encoding of each column.
        column_sizes: Bytes of each column where that is fixed, else ``None``.
        compression: ``'family'`` or ``'family:level'``; ``None`` if shards are not compressed.
        hashes: Names of the hash algorithms whose values the index records.
        newline: What ends a line (not for ``'mds'``).
        separator: What stands between the fields of a line (``'xsv'``, ``'csv'``, ``'tsv'``).
        size_limit: Largest size of a shard in bytes that its writer aimed at; ``None``: no limit.
    """

    format: str
    column_names: tuple[str, ...]
    column_encodings: tuple[str, ...]
    column_sizes: tuple[int | None, ...]
    compression: str | None
    hashes: tuple[str, ...]
    newline: str | None
    separator: str | None
    size_limit: int | None

    @property
    def is_split(self) -> bool:
        """Whether a shard consists of a data file and a meta file."""
        return self.format in SPLIT_FORMATS

    @property
    def unsafe_columns(self) -> tuple[str, ...]:
        """Names of the columns whose decoding could run code that the data brings."""
        if self.format != "mds":
            return ()
        return tuple(
            name
            for name, encoding in zip(self.column_names, self.column_encodings, strict=True)
            if not is_mds_encoding_safe(encoding)
        )
