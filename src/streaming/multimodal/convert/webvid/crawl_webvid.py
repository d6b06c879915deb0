"""WebVid, from its table of links, to MDS with the videos in the shards."""

from __future__ import annotations

import csv
import re
from argparse import ArgumentParser
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from streaming.converters.programs import run
from streaming.core.errors import ConfigError, StorageError
from streaming.storage.registry import open_store
from streaming.storage.url import redact
from streaming.writing.bulk.write import write

__all__ = ["COLUMNS", "crawl", "main", "read_links"]

#: Of the datasets that are written.
COLUMNS = {
    "videoid": "str",
    "name": "str",
    "page_idx": "str",
    "page_dir": "str",
    "duration": "int",
    "contentUrl": "str",
    "content": "bytes",
}
_DURATION = re.compile(r"(?:P.*T)?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")

Row = Mapping[str, str]


def main(argv: Sequence[str] | None = None) -> None:
    """Write a dataset of the videos that a table links to, with what it says of them.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = ArgumentParser(description="Convert WebVid to MDS, fetching its videos.")
    parser.add_argument("--in", dest="table", required=True, help="a table of WebVid (.csv)")
    parser.add_argument("--out_root", required=True, help="where to write: a directory or a URL")
    parser.add_argument("--num_procs", type=int, default=64, help="videos fetched at a time (default 64)")
    parser.add_argument("--limit", type=int, default=-1, help="rows to read; -1: all (default)")
    args = parser.parse_args(argv)
    crawl(read_links(args.table, args.limit), args.out_root, args.num_procs)


def read_links(table: str, limit: int) -> Iterator[Row]:
    """Yield the rows of a table.

    Args:
        table: Path of a file of comma-separated values.
        limit: How many; negative: all.
    """
    with open(table, encoding="utf-8", newline="") as file:
        yield from islice(csv.DictReader(file), None if limit < 0 else limit)


def crawl(rows: Iterable[Row], out: str, at_once: int) -> None:
    """Fetch videos and write them, in the order of the rows; those that cannot be fetched are left out, and counted.

    Args:
        rows: Of a table of WebVid.
        out: Where to write.
        at_once: Videos fetched at a time.
    """
    failed: list[str] = []

    def samples() -> Iterator[dict[str, Any]]:
        for row, content in _fetched(rows, at_once):
            if isinstance(content, bytes):
                yield {**{name: row.get(name) or "" for name in COLUMNS}, "duration": _seconds(row), "content": content}
            else:
                failed.append(f"{redact(row['contentUrl'])}: {content}")

    # Which videos fail may differ, so a call that was stopped is not continued.
    print(write(samples(), out, COLUMNS, resume=False, hashes=["sha1", "xxh64"]))  # noqa: T201
    if failed:
        print(f"{len(failed)} videos could not be fetched, such as {failed[0]}")  # noqa: T201


def _fetched(rows: Iterable[Row], at_once: int) -> Iterator[tuple[Row, bytes | StorageError]]:
    with ThreadPoolExecutor(at_once) as pool:
        pending: deque[tuple[Row, Future[bytes | StorageError]]] = deque()
        for row in rows:
            if not row.get("contentUrl"):
                raise ConfigError(f"A row of the table has no contentUrl: {dict(row)!r:.100}")
            pending.append((row, pool.submit(_fetch, row["contentUrl"])))
            if len(pending) > 2 * at_once:
                first, future = pending.popleft()
                yield first, future.result()
        while pending:
            first, future = pending.popleft()
            yield first, future.result()


def _fetch(url: str) -> bytes | StorageError:
    root, _, name = url.rpartition("/")
    try:
        return open_store(root).get(name)
    except StorageError as error:
        return error


def _seconds(row: Row) -> int:
    """Return the seconds of a duration such as ``PT00H00M30S``, or ``30``."""
    text = row.get("duration") or "0"
    match = _DURATION.fullmatch(text)
    if text.isdecimal():
        return int(text)
    if match is None:
        raise ConfigError(f"The duration {text!r} of video {row.get('videoid')} is not one such as PT00H00M30S.")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


if __name__ == "__main__":
    run(main)
