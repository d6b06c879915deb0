"""Datasets that are not there yet, as plans take them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streaming.core.errors import ConfigError
from streaming.core.units import bytes_to_int
from streaming.dataset.stream import Stream
from streaming.storage.providers.local import LocalStore
from streaming.storage.store import Store

__all__ = ["EstimatedStream", "write_estimate"]


class _Bucket(LocalStore):
    takes_ranges = True


class EstimatedStream(Stream):
    """A stream that has nothing but an index, whose shards are taken to lie in an object store."""

    def open_store(self) -> Store | None:
        """Return a store of which large files come by several requests, as from a bucket."""
        return None if self.remote is None else _Bucket(self.remote)


def write_estimate(text: str, folder: Path) -> str:
    """Write the index of a dataset that is not there.

    Args:
        text: Shards, samples of each, bytes of each, and perhaps compressed bytes of each, with ``x`` in between.
        folder: Where to; it is made.

    Returns:
        The folder.

    Raises:
        ConfigError: The text says something else.
    """
    try:
        shards, samples, *sizes = text.lower().split("x")
        counts, (raw, *zipped) = (int(shards), int(samples)), [bytes_to_int(size) for size in sizes]
        if min(*counts, raw) < 1 or len(zipped) > 1:
            raise ValueError(text)
    except ValueError as error:
        raise ConfigError(f"--estimate must be SHARDSxSAMPLESxSIZE, such as 2000x4000x60mb, got {text!r}.") from error
    entry: dict[str, Any] = {
        "version": 2,
        "format": "mds",
        "compression": "zstd" if zipped else None,
        "hashes": [],
        "size_limit": raw,
        "samples": counts[1],
        "column_names": ["sample"],
        "column_encodings": ["bytes"],
        "column_sizes": [None],
        "raw_data": {"basename": "NAME.mds", "bytes": raw, "hashes": {}},
        "zip_data": {"basename": "NAME.mds.zstd", "bytes": zipped[0], "hashes": {}} if zipped else None,
    }
    folder.mkdir()
    before, *parts = json.dumps(entry).split("NAME")
    with open(folder / "index.json", "w", encoding="utf-8") as file:
        file.write('{"version": 2, "shards": [')
        for i in range(counts[0]):
            file.write(("," if i else "") + f"shard.{i:05}".join([before, *parts]))
        file.write("]}")
    return str(folder)
