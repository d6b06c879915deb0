"""WebVid by words of its captions, to an MDS dataset for each word, which can then be mixed."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Sequence

from streaming.converters.programs import run
from streaming.multimodal.convert.webvid.crawl_webvid import crawl, read_links

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Write a dataset for each word, of the videos whose name holds it.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = ArgumentParser(description="Convert parts of WebVid to MDS, fetching their videos.")
    parser.add_argument("--csv", required=True, help="a table of WebVid (.csv)")
    parser.add_argument("--filters", default="plane,train,automobile,cat,dog", help="words, joined by commas")
    parser.add_argument("--mds_root", required=True, help="where to write: a directory for each word below it")
    parser.add_argument("--num_procs", type=int, default=64, help="videos fetched at a time (default 64)")
    parser.add_argument("--limit", type=int, default=-1, help="rows to read; -1: all (default)")
    args = parser.parse_args(argv)
    for word in filter(None, args.filters.split(",")):
        rows = (row for row in read_links(args.csv, args.limit) if word in (row.get("name") or "").lower().split())
        crawl(rows, os.path.join(args.mds_root, word), args.num_procs)


if __name__ == "__main__":
    run(main)
