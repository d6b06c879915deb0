"""``streaming merge``: one index for several datasets."""

from __future__ import annotations

from argparse import Namespace

from streaming.cli.output import print_json, print_line
from streaming.cli.source import read_source
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.storage.url import redact
from streaming.writing.merge import merge_index
from streaming.writing.partitions import find_partitions

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Merge and print what came of it."""
    options = dict(args.storage_options)
    if args.out is None:
        if len(args.urls) > 1:
            raise ConfigError("Several datasets need --out ROOT, the directory or URL that all of them are below.")
        (out,) = args.urls
        if not find_partitions(out, options):
            raise ObjectNotFoundError(f"There is no dataset in the directories below {redact(out)}. Check the path.")
        merge_index(out, storage_options=options)
    else:
        out = args.out
        merge_index(list(args.urls), out, storage_options=options)
    merged = read_source(out, options)
    if args.json:
        print_json({"url": merged.name, "shards": merged.index.num_shards, "samples": merged.index.num_samples})
    else:
        print_line(f"{merged.name}: {merged.index.num_shards:,} shards, {merged.index.num_samples:,} samples")
    return 0
