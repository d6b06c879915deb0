"""Samples to be exported: files stay the bytes that they are."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from streaming.core.errors import ConfigError, EmptyDatasetError, SampleError, SourceError, StreamingError
from streaming.format.encodings import base_name
from streaming.format.formats import get_decoder
from streaming.sources.contract import Files, Part, Row
from streaming.sources.kinds.mds import Shards
from streaming.sources.streams import fetch

__all__ = ["FILES", "Samples", "suffix_of"]

#: Encodings of files, and what names of such files end in if their first bytes tell nothing else.
FILES = {"jpeg": "jpg", "png": "png", "image": "png", "audio": "wav", "video": "mp4"}
_BEGINS = {
    b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp", b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3",
}  # fmt: skip


def suffix_of(encoding: str, data: bytes) -> str:
    """Return what the name of a file of these bytes ends in.

    Args:
        encoding: Of its column.
        data: The bytes.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((suffix for begin, suffix in _BEGINS.items() if data.startswith(begin)), FILES[encoding.rstrip("?")])


class Samples(Shards):
    """Shards whose files are read as bytes, and JSON as text if that is wanted.

    Args:
        files: Of the dataset.
        names: The columns that are wanted; ``None``: all.
        keeps_json: Whether JSON stays text.

    Raises:
        ConfigError: There is no such column, or shards differ in theirs.
        EmptyDatasetError: There are no samples.
    """

    def __init__(self, files: Files, names: Sequence[str] | None, keeps_json: bool) -> None:
        super().__init__(files)
        known = self.columns
        if not self.parts:
            raise EmptyDatasetError(f"There are no samples at {files.origin}: nothing would be written.")
        if known is None:
            raise ConfigError(
                f"The shards of {files.origin} have different columns, or are of lines; convert it first."
            )
        wrong = next((name for name in names or () if name not in known), None)
        if wrong is not None:
            raise ConfigError(f"There is no column {wrong!r}; there are {', '.join(map(repr, known))}.")
        self.fingerprint = hashlib.sha256(fetch(files[0])).hexdigest()
        self.encodings = {name: known[name] for name in (names or known)}
        self._keeps_json = keeps_json

    @cached_property
    def _schema(self) -> Any:
        schema = self.index.schemas[0]
        return replace(schema, column_encodings=tuple(map(self._read_as, schema.column_encodings)))

    def _read_as(self, encoding: str) -> str:
        mark = "?" if encoding.endswith("?") else ""
        base, colon, item = encoding.rstrip("?").rpartition(":")
        if item in FILES and base in ("", "list"):
            return f"{base}{colon}bytes{mark}"
        return f"str{mark}" if self._keeps_json and base_name(encoding) == "json" else encoding

    def read(self, part: Part, names: Sequence[str] | None = None) -> Generator[Row | SourceError, None, None]:
        """Yield the samples of a shard."""
        decode = get_decoder(self._schema, tuple(self.encodings)).read
        with self.open(part) as shard:
            for i in range(len(shard)):
                data = shard.sample_bytes(i)
                try:
                    yield decode(data, 0, len(data))
                except (StreamingError, SampleError) as error:
                    raise SourceError(f"{part.name}, sample {i}: {error}") from error
