"""``streaming merge``: one index for several datasets."""

from __future__ import annotations

from argparse import Namespace

from streaming.cli.reading.source import read_source
from streaming.cli.shell.output import print_json, print_line
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.writing.merge import find_places, merge_places
from streaming.writing.partitions import directory_of_index
from streaming.writing.publish.places import Place

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Merge and print what came of it."""
    if args.out is None:
        if len(args.urls) > 1:
            raise ConfigError("Several datasets need --out ROOT, the directory or URL that all of them are below.")
        root = Place.of(args.urls[0])
        partitions = find_places(root)
        if not partitions:
            raise ObjectNotFoundError(f"There is no dataset in the directories below {root}. Check the path.")
    else:
        root = Place.of(args.out)
        partitions = list(dict.fromkeys(directory_of_index(Place.of(place)) for place in args.urls))
    merge_places(partitions, root)
    merged = read_source(root.where)
    if args.json:
        print_json({"url": merged.name, "shards": merged.index.num_shards, "samples": merged.index.num_samples})
    else:
        print_line(f"{merged.name}: {merged.index.num_shards:,} shards, {merged.index.num_samples:,} samples")
    return 0
