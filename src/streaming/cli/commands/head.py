"""``streaming head``: the first samples, readable."""

from __future__ import annotations

import json
from argparse import Namespace

from streaming.cli.reading.samples import check_safe, read_samples
from streaming.cli.reading.source import read_source
from streaming.cli.shell.output import print_line, print_note, print_table, print_title
from streaming.format.values import as_json, summary

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Print samples."""
    source = read_source(args.url)
    if not args.allow_unsafe_types:
        check_safe(source, "If you trust it, pass --allow-unsafe-types.")
    num_samples = source.index.num_samples
    if args.start and args.start >= num_samples:
        print_note(f"{source.name} has {num_samples:,} samples; there is none from number {args.start:,} on.")
    for number, sample in read_samples(source, args.start, args.num_samples):
        if args.json:
            print_line(json.dumps({name: as_json(value) for name, value in sample.items()}, ensure_ascii=False))
            continue
        print_title(f"sample {number:,}")
        if sample:
            print_table([[name, summary(value)] for name, value in sample.items()], indent=2)
    return 0
