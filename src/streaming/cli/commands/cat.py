"""``streaming cat``: one field of one sample, to standard output or a file."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from streaming.cli.reading.samples import check_safe, find_sample, opened
from streaming.cli.reading.source import Source, read_source
from streaming.cli.shell.output import print_line, print_note
from streaming.columns.opening import split_file
from streaming.columns.shards import with_retries
from streaming.columns.words import unknown_column
from streaming.core.errors import ConfigError
from streaming.format.values import as_file, as_json
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.writing.bulk.report import show_bytes

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Write a field."""
    source = read_source(args.url)
    value = _read(source, args.index, args.field, args.allow_unsafe_types)
    data = (json.dumps(as_json(value)) + "\n").encode() if args.json else as_file(value)
    if args.out is not None:
        _write(args.out, data)
    elif not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    elif isinstance(value, str) or args.json or data.endswith(b"\n"):
        print_line(data.decode("utf-8", "replace").rstrip("\n"))
    else:
        raise ConfigError(
            f"Field {args.field!r} is {show_bytes(len(data))} that are no text. Pass --out FILE, or send it to a pipe."
        )
    return 0


def _read(source: Source, number: int, field: str, trusts: bool) -> Any:
    if number >= source.index.num_samples:
        raise ConfigError(
            f"{source.name} has {source.index.num_samples:,} samples, numbered from 0; there is no sample {number:,}."
        )
    shard_id, index = find_sample(source, number)
    names = source.index.shard(shard_id).schema.column_names
    if field not in names:
        raise unknown_column(field, names, f"Shard {shard_id} of {source.name}")
    if not trusts:
        check_safe(source, "If you trust it, pass --allow-unsafe-types.", [field])
    with opened(source, shard_id, (field,)) as shard:
        return shard.get(index)[field]


def _write(place: Location, data: bytes) -> None:
    root, name = split_file(place)
    store = open_store(root)
    with_retries(lambda: store.put(name, data))
    print_note(f"wrote {show_bytes(len(data))} to {place}")
