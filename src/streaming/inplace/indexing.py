"""What was found in the files of a source, kept: for this machine, or where every machine of a job finds it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from tempfile import TemporaryDirectory

from streaming.core.errors import ConfigError, EmptyDatasetError, ObjectNotFoundError
from streaming.core.imports import optional_import
from streaming.inplace.rows import known_rows
from streaming.inplace.scan import scan_files
from streaming.sources.contract import Files
from streaming.sources.finding import chosen, is_saved
from streaming.sources.hub import is_hub_dataset
from streaming.sources.lakes.found import Found
from streaming.sources.lakes.places import locate
from streaming.sources.lakes.wids import is_wids
from streaming.sources.listing import is_source
from streaming.sources.pieces import Scanned, kinds
from streaming.sources.registry import sources
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.retry import RetryPolicy, call_with_retries

__all__ = ["INDEX_NAME", "Indexed", "bring_index", "index_files", "kept_name"]

#: Name of what is kept where ``index`` says.
INDEX_NAME = "source-index.jsonl"
_RETRIES = 2


@dataclass(frozen=True)
class Indexed:
    """What was looked into.

    Attributes:
        files: Number of files.
        rows: Rows in them.
        bytes: Their size.
        place: Where that is kept.
    """

    files: int
    rows: int
    bytes: int
    place: str

    def __str__(self) -> str:
        return f"{self.files:,} files with {self.rows:,} rows, in {self.bytes:,} bytes: {self.place}"


def kept_name(origin: str, kind: str) -> str:
    """Return the name of the local file that keeps what was found in the files of a source."""
    digest = blake2b(f"{origin}|{kind}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f".streaming-scan-{digest}.jsonl"


def bring_index(index: Location, kept: str) -> None:
    """Copy what was found before from where it is kept, unless something is there.

    Args:
        index: The directory of :data:`INDEX_NAME`.
        kept: The local file.

    Raises:
        ConfigError: There is none.
        StorageError: It cannot be read.
    """
    if os.path.exists(kept):
        return
    store = open_store(index)
    try:
        data = call_with_retries(lambda: store.get(INDEX_NAME), RetryPolicy(), time.sleep)
    except ObjectNotFoundError as error:
        raise ConfigError(f"There is no {INDEX_NAME} at {index}. Make it: streaming index URL --out {index}") from error
    part = f"{kept}.{os.getpid()}"
    with open(part, "wb") as file:
        file.write(data)
    os.replace(part, kept)


def index_files(
    place: Location, out: Location | None, format: str | None = None, options: Mapping[str, str] | None = None
) -> Indexed:
    """Look into the files of a source, and keep what was found.

    Args:
        place: A pattern of names, a file or directory whose name tells a format, a table, or a dataset of the hub.
        out: The directory to keep it in.
        format: The format; ``None``: as names tell.
        options: ``config`` of a dataset of the hub, ``split`` of one that has several, ``version`` of a table.

    Raises:
        ConfigError: It is no such place, or ``out`` is missing.
        EmptyDatasetError: There are no files, or no rows in them.
        SourceError: A file is damaged.
        StorageError: They cannot be read, or the result not be written.
    """
    place, format, rest = chosen(place, format, options or {})
    if format is None and not (is_source(place) or is_hub_dataset(place) or is_saved(place) or is_wids(place)):
        raise ConfigError(
            f"Say what to write of the dataset at {place}: --columns LIST; or, if its files are of another format, which: "
            "--format."
        )
    if out is None:
        raise ConfigError("Say where the index goes: --out PLACE. Nothing is written where you did not say.")
    found = locate(place, format, rest)
    target = open_store(out)
    with TemporaryDirectory(prefix="streaming-") as directory:
        kept = os.path.join(directory, INDEX_NAME)
        rows = sum(piece.rows for pieces in _scan(found, str(place), kept).pieces for piece in pieces)
        if not rows:
            raise EmptyDatasetError(f"There are no rows in the {len(found.files)} files at {place}.")
        if os.path.exists(kept):
            target.put(INDEX_NAME, kept)
    return Indexed(len(found.files), rows, sum(info.bytes for info in found.files), str(out.join(INDEX_NAME)))


def _scan(found: Found, origin: str, kept: str) -> Scanned:
    if found.kind in kinds:
        optional_import("pyarrow", "arrow", "Reading files of other formats")
        return scan_files(found.store, found.files, kinds[found.kind](), kept, _RETRIES)
    source = sources[found.kind](Files(origin, found.store, found.files, in_place=True))
    return known_rows(source) if source.is_known else scan_files(found.store, found.files, source, kept, _RETRIES)
