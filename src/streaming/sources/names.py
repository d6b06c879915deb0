"""What names of files tell: their format, what is in them, and how they are compressed."""

from __future__ import annotations

import re

__all__ = ["COMPRESSED", "LABELS", "MEDIA", "SUFFIXES", "bare_name", "format_of", "is_named_as_data", "media_of"]

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
