"""What names of files tell: their format, what is in them, and how they are compressed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

__all__ = [
    "COMPRESSED",
    "LABELS",
    "MEDIA",
    "SUFFIXES",
    "bare_name",
    "format_of",
    "is_named_as_data",
    "media_of",
    "partitions",
]

#: What names of compressed files end in.
COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
#: Formats by what names of files end in, once it is left out how they are compressed.
SUFFIXES = {
    ".parquet": "parquet", ".parq": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".csv": "csv", ".tsv": "csv",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".txt": "text", ".text": "text",
    ".tar": "webdataset", ".tgz": "webdataset",
    ".tfrecord": "tfrecord", ".tfrecords": "tfrecord",
    ".npy": "numpy", ".npz": "npz",
    ".mds": "mds",
    ".lance": "lance",
}  # fmt: skip
#: Tables that lie beside files of images, sounds and videos.
LABELS = ("metadata.csv", "metadata.jsonl")
#: Files of images, sounds and videos.
MEDIA = {
    "image": ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm"),
    "audio": ("wav", "flac", "mp3", "ogg", "opus", "m4a"),
    "video": ("mp4", "mkv", "webm", "avi", "mov"),
}
_MEDIA_OF = {suffix: kind for kind, suffixes in MEDIA.items() for suffix in suffixes}
#: Suffixes that directories of shards may well have.
_LOOSE = (".json", ".txt", ".text", ".mds")
_PARTITION = re.compile(r"([^/=]+)=([^/]*)/")
_MISSING = "__HIVE_DEFAULT_PARTITION__"
_SHARD_OF = re.compile(r"-\d+-of-\d+$")  # which TensorFlow puts at the end


def bare_name(name: str) -> str:
    """Return the name of a file without what says how it is compressed."""
    return next((name[: -len(suffix)] for suffix in COMPRESSED if name.lower().endswith(suffix)), name)


def media_of(name: str) -> str | None:
    """Return ``'image'``, ``'audio'`` or ``'video'`` for the name of such a file."""
    return _MEDIA_OF.get(name.rpartition(".")[2].lower())


def format_of(name: str) -> str | None:
    """Return the format of a file by its name, ``None`` if that tells none."""
    base = _SHARD_OF.sub("", bare_name(name.rpartition("/")[2]).lower())
    found = next((kind for suffix, kind in SUFFIXES.items() if base.endswith(suffix)), None)
    return found or ("folder" if media_of(base) else None)


def is_named_as_data(name: str) -> bool:
    """Say whether a place has a name that files of data have, and directories of shards have not."""
    return format_of(name) not in (None, "folder") and not bare_name(name).lower().endswith(_LOOSE)


def partitions(paths: Sequence[str]) -> tuple[Any, list[dict[str, Any]]]:
    """Return the columns that names of directories (``year=2024/month=5/...``) make, and their values for each file.

    Args:
        paths: Of the files, at least one, below their root.

    Returns:
        Their ``pyarrow.Schema``, ``None`` if there are none; and the values of each file, empty if there are none.
    """
    told = [{unquote(name): unquote(value) for name, value in _PARTITION.findall(path)} for path in paths]
    names = list(told[0])
    odd = next((number for number, each in enumerate(told) if list(each) != names), None)
    if odd is not None:
        one, other = ("=, ".join([*told[number], ""]).rstrip(", ") or "nothing" for number in (0, odd))
        warnings.warn(
            f"Directories tell {one} of {paths[0]}, and {other} of {paths[odd]}: no columns are made of them. Name files of "
            "which they tell the same by a pattern.",
            stacklevel=2,
        )
    if not names or odd is not None:
        return None, []
    import pyarrow as pa

    rows: list[dict[str, Any]] = [
        {name: None if value == _MISSING else value for name, value in each.items()} for each in told
    ]
    fields: list[Any] = []
    for name in names:
        values = [row[name] for row in rows]
        numbers = [_number(value) for value in values]
        is_number = all(number is not None or value is None for number, value in zip(numbers, values, strict=True))
        for row, number in zip(rows, numbers, strict=True):
            row[name] = number if is_number else row[name]
        kind = pa.int64() if is_number else pa.string()
        fields.append(pa.field(name, kind, nullable=None in values))
    return pa.schema(fields), rows


def _number(text: str | None) -> int | None:
    is_plain = text is not None and re.fullmatch(r"0|-?[1-9]\d{0,17}", text)
    return int(text) if text is not None and is_plain else None
