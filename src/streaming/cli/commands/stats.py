"""``streaming stats``: what the values of each column are like."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing
from typing import Any

import numpy as np

from streaming.cli.reading.samples import check_safe, opened
from streaming.cli.reading.source import Source, read_source
from streaming.cli.reading.tally import Tally
from streaming.cli.shell.output import print_json, print_line, print_table, print_title, progress_bar
from streaming.cli.shell.parallel import in_parallel
from streaming.columns.words import unknown_column

__all__ = ["run"]

_MAX_SHOWN = 8


def run(args: Namespace) -> int:
    """Count values, and print what was found."""
    source = read_source(args.url)
    names = list(dict.fromkeys(name for schema in source.index.schemas for name in schema.column_names))
    columns = names if args.columns is None else [name.strip() for name in args.columns.split(",")]
    for name in columns:
        if name not in names:
            raise unknown_column(name, names, source.name)
    if not args.allow_unsafe_types:
        check_safe(source, "If you trust it, pass --allow-unsafe-types; or leave them out with --columns.", columns)
    shards = _choose(source.index.num_shards, None if args.all else args.shards)
    tallies = _count(source, shards, columns, args.jobs)
    num_samples = int(source.index.samples[shards].sum()) if shards else 0
    facts: dict[str, Any] = {
        "url": source.name,
        "samples": source.index.num_samples,
        "samples_read": num_samples,
        "shards": source.index.num_shards,
        "shards_read": len(shards),
        "columns": {name: tally.as_json() for name, tally in tallies.items()},
    }
    if args.json:
        print_json(facts)
        return 0
    print_title(facts["url"])
    whole = len(shards) == facts["shards"]
    part = "all" if whole else f"{len(shards):,} of {facts['shards']:,} shards, spread evenly; --all reads all:"
    print_line(f"  {part} {num_samples:,} samples")
    for name, found in facts["columns"].items():
        print_line()
        print_title(f"  {name}")
        print_table(_rows(found), indent=4)
    return 0


def _choose(num_shards: int, most: int | None) -> list[int]:
    if most is None or most >= num_shards:
        return list(range(num_shards))
    return np.unique(np.linspace(0, num_shards - 1, most).astype(int)).tolist()


def _count(source: Source, shards: list[int], columns: list[str], jobs: int) -> dict[str, Tally]:
    def count(shard_id: int) -> dict[str, Tally]:
        has = source.index.shard(shard_id).schema.column_names
        found = {name: Tally() for name in columns if name in has}
        with opened(source, shard_id, tuple(found)) as shard:
            for index in range(len(shard) if found else 0):
                for name, value in shard.get(index).items():
                    found[name].add(value)
        return found

    tallies = {name: Tally() for name in columns}
    with (
        progress_bar("Reading", len(shards), " shards") as bar,
        closing(in_parallel(count, shards, jobs)) as results,
    ):
        for found in results:
            for name, tally in found.items():
                tallies[name].merge(tally)
            bar.update()
    return tallies


def _rows(found: dict[str, Any]) -> list[list[str]]:
    values = ", ".join(found["kinds"])
    rows = [["values", f"{found['values']:,}" + (f": {values}" if values else "")]]
    if found["nulls"]:
        rows.append(["nulls", f"{found['nulls']:,} ({found['nulls'] / found['values']:.1%})"])
    if "numbers" in found:
        rows.append(["numbers", _range(found["numbers"])])
    if "not_finite" in found:
        rows.append(["not finite", f"{found['not_finite']:,}"])
    if "lengths" in found:
        rows.append(["lengths", f"{_range(found['lengths'])}, total {found['total_length']:,}"])
    for name in ("shapes", "classes"):
        if name in found:
            rows.append([name, _top(found[name])])
    return rows


def _range(numbers: dict[str, float]) -> str:
    least, most, mean = (
        f"{n:,}" if isinstance(n, int) else f"{n:.6g}" for n in map(numbers.get, ("min", "max", "mean"))
    )
    return least if least == most else f"{least} to {most}, mean {mean}"


def _top(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:_MAX_SHOWN])
    more = len(counts) - _MAX_SHOWN
    return f"{len(counts)}: {shown}" + (f" and {more} more" if more > 0 else "")
