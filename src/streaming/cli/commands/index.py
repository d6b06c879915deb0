"""``streaming index``: columns of a dataset to a Parquet file that SQL is asked over."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from streaming.cli.shell.output import print_json, print_line
from streaming.writing.side.index import index_place

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Write side columns and print what they are."""
    report = index_place(args.url, args.out, args.beside, args.columns, args.jobs)
    if args.json:
        print_json(asdict(report))
    else:
        print_line(str(report))
    return 0
