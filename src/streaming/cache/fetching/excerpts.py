"""Fetch some rows of a shard by ranges, and lay them into a small shard of their own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.fetching.parts import PART_BYTES, read_parts
from streaming.cache.fetching.spans import coalesce, cut
from streaming.cache.files.excerpt import Excerpt, pieces
from streaming.cache.files.keeper import Keeper
from streaming.core.errors import ChecksumError
from streaming.storage.store import ObjectInfo, Store

__all__ = ["lay_rows"]

Ints = NDArray[np.int64]

#: Requests of one shard at a time at least: each is for little, so that most of it is waiting.
_REQUESTS = 8


def lay_rows(
    keeper: Keeper,
    excerpt: Excerpt,
    store: Store,
    part: str,
    version: str | None,
    came: Callable[[int], Any],
    on_size: Callable[[int], Any] | None,
    connections: Callable[[], int] | None,
) -> None:
    """Bring the unfinished file of an excerpt to its end. What is whole in it is not asked for again.

    Args:
        keeper: The file.
        excerpt: The rows.
        store: Where the shard is.
        part: The unfinished file, which holds nothing, or the beginning of what this makes of ``version``.
        version: Of which version of the shard all of it must be, if that is known.
        came: Told how many bytes came from the store, each time.
        on_size: Told how many bytes the file is going to take, before any of its rows comes.
        connections: Returns how many requests at a time a file may take; ``None``: one.

    Raises:
        ObjectChangedError: Not all of it is of one version.
        ChecksumError: The shard has another size than the index records.
        ShardFormatError: What the shard says of itself does not fit the index.
        StorageError: A request failed; what came before is in the file.
        OSError: The file could not be written.
    """
    whole = excerpt.whole

    def see(info: ObjectInfo) -> None:
        if info.bytes != whole.bytes:
            raise ChecksumError(
                f"Checksum failure: {whole.basename} has {info.bytes} bytes; the index records {whole.bytes}. The file in "
                "the store is damaged, or index.json is of another version of the dataset."
            )
        keeper.see(info)

    def read(begins: Ints, ends: Ints) -> Generator[tuple[int, bytes]]:
        wanted = list(cut(*coalesce(begins, ends), PART_BYTES))
        known = keeper.witness.version_of(whole.basename) or version
        coming = read_parts(store, whole.basename, wanted, lambda: _at_a_time(connections), known, see)
        with closing(coming):
            for (begin, _), data in zip(wanted, coming, strict=True):
                came(len(data))
                yield begin, data

    begins, ends = excerpt.places(read)
    header = excerpt.header(ends - begins)
    done = np.cumsum(np.concatenate([[len(header)], ends - begins]))
    if on_size is not None:
        on_size(int(done[-1]))
    with open(part, "a+b", buffering=0) as file:
        rows = _rows_in(file, header, done)
        with closing(read(begins[rows:], ends[rows:])) as coming:
            for at, data in coming:
                for piece in pieces(at, data, begins[rows:], ends[rows:]):
                    _write_all(file, piece)


def _at_a_time(connections: Callable[[], int] | None) -> int:
    return 1 if connections is None else max(_REQUESTS, connections())


def _rows_in(file: Any, header: bytes, done: Ints) -> int:
    """Return how many rows an unfinished file has whole, and cut it behind them; it has its header then.

    Args:
        file: The file, open at its end, where whatever is written goes.
        header: What it is to begin with.
        done: ``int64[k + 1]``, its size with so many rows.
    """
    size = file.tell()
    file.seek(0)
    if size < len(header) or file.read(len(header)) != header:
        file.truncate(0)
        _write_all(file, header)
        return 0
    rows = int(np.searchsorted(done, size, "right")) - 1
    file.truncate(int(done[rows]))
    return rows


def _write_all(file: Any, data: Any) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
