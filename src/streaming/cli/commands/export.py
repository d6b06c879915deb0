"""``streaming export``: a dataset to files of another format."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from streaming.cli.shell.output import print_json, print_line
from streaming.converting.exporting.export import export

__all__ = ["WORDS", "run"]

#: What the errors of the functions call what options are here.
WORDS = {"exist_ok=True": "--force", "`columns`": "--columns"}


def run(args: Namespace) -> int:
    """Export and print what was written."""
    report = export(
        args.source,
        args.target,
        args.format,
        columns=None if args.columns is None else args.columns.split(","),
        workers=args.jobs,
        exist_ok=args.force,
        progress_bar=not args.json,
    )
    if args.json:
        print_json(asdict(report))
    else:
        print_line(str(report))
    return 0
