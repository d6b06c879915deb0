"""``streaming view make``: a view of those samples for which a condition is true."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace

from streaming.cli.commands.views.show import describe, is_directory
from streaming.cli.reading.source import Source, read_source
from streaming.cli.shell.output import print_json, print_line
from streaming.columns.opening import open_columns, split_file
from streaming.columns.parquet import COLUMNS_NAME
from streaming.columns.shards import with_retries
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.dataset.views.saved import check_replaceable
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.units.selection import Selection
from streaming.units.view_file import ViewFile

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Choose samples, write which, and print what was written."""
    place: Location = args.out
    if is_directory(place):
        raise ConfigError(f"--out {place} is a directory. Name a file in it, such as NAME.view.")
    root, name = split_file(place)
    target = open_store(root)
    check_replaceable(target, name, place)
    source = read_source(args.url)
    side = args.side_columns or source.place.join(COLUMNS_NAME)
    selection = _choose(source, side, args.where)
    if selection.num_units in (0, source.index.num_samples):
        kept = "every" if selection.num_units else "no"
        raise ConfigError(f"--where {args.where!r} leaves {kept} sample of {source.name}. Choose otherwise.")
    place_of_it = str(source.place.absolute(os.getcwd()))
    view = ViewFile(f"filter({args.where})", (source.index.digest.hex(),), (place_of_it,), (selection,))
    data = view.dump()
    with_retries(lambda: target.put(name, data))
    facts = describe(str(place), data)
    if args.json:
        print_json(facts)
    else:
        print_line(f"{facts['url']}: {facts['samples']:,} of {facts['of']:,} samples of {source.name}")
    return 0


def _choose(source: Source, side: Location, condition: str) -> Selection:
    """Evaluate a condition; side columns that are not local lie in a directory of ours meanwhile."""
    index = source.index
    with tempfile.TemporaryDirectory(prefix="streaming-view-") as directory:
        try:
            columns = open_columns(side, directory, index.digest, index.num_samples)
        except ObjectNotFoundError as error:
            raise ObjectNotFoundError(
                f"{error} Make them: streaming index {source.name} --columns NAME,NAME --beside, or --out PLACE, and then "
                "--side-columns PLACE/columns.parquet."
            ) from error
        return Selection.of_mask(index.samples, columns.where(condition))
