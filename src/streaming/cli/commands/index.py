"""``streaming index``: columns of a dataset to a Parquet file for SQL; or what is in files of other formats."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from streaming.cli.shell.output import print_json, print_line
from streaming.core.errors import ConfigError
from streaming.inplace.indexing import index_files
from streaming.writing.side.index import index_place

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Write side columns, or what was found in files, and print what that is."""
    report: Any
    if args.columns is None:
        told = {name: getattr(args, name) for name in ("config", "split", "version")}
        options = {name: value for name, value in told.items() if value is not None}
        report = index_files(args.url, args.out, args.format, options)
    else:
        odd = next((option for option in ("format", "config", "split", "version") if getattr(args, option)), None)
        if odd is not None:
            option = "at" if odd == "version" else odd
            raise ConfigError(f"--{option} is for files of other formats, and --columns for a dataset of this library.")
        report = index_place(args.url, args.out, args.beside, args.columns, args.jobs)
    if args.json:
        print_json(asdict(report))
    else:
        print_line(str(report))
    return 0
