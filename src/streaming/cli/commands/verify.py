"""``streaming verify``: every file of a dataset, in parallel."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from contextlib import closing

import numpy as np

from streaming.cli.reading.check import check_shard
from streaming.cli.reading.source import Source, read_source
from streaming.cli.shell.output import print_json, print_line, progress_bar
from streaming.cli.shell.parallel import in_parallel
from streaming.core.errors import UnsafeTypeError

__all__ = ["run"]

EXIT_DAMAGED = 1


def run(args: Namespace) -> int:
    """Check a dataset and print what is wrong with it."""
    source = read_source(args.url)
    if args.decode:
        unsafe = sorted({name for schema in source.index.schemas for name in schema.unsafe_columns})
        if unsafe:
            raise UnsafeTypeError(
                f"--decode would unpickle the columns {', '.join(unsafe)} of {source.name}. Verify it without --decode."
            )
    problems = _check(source, args.jobs, args.decode)
    num_shards, num_samples = source.index.num_shards, source.index.num_samples
    if args.json:
        facts = {"url": source.name, "shards": num_shards, "samples": num_samples, "ok": not problems}
        checked = {"hashed_shards": _num_hashed(source), "decoded": args.decode}
        print_json({**facts, **checked, "problems": [{"shard": shard, "problem": text} for shard, text in problems]})
    else:
        for shard, text in problems:
            print_line(f"shard {shard}: {text}")
        damaged = len({shard for shard, _ in problems})
        result = f"{damaged:,} of {num_shards:,} shards damaged" if damaged else f"{num_shards:,} shards are fine"
        print_line(f"{source.name}: {result}, {num_samples:,} samples{_how(source, args.decode)}")
    return EXIT_DAMAGED if problems else 0


def _num_hashed(source: Source) -> int:
    """Return how many shards have hashes; the others are checked by sizes and offsets alone."""
    counts = np.bincount(source.index.schema_ids, minlength=len(source.index.schemas))
    return sum(int(n) for schema, n in zip(source.index.schemas, counts, strict=True) if schema.hashes)


def _how(source: Source, decode: bool) -> str:
    """Return what the result does not rest on, if hashes are lacking."""
    schemas = source.index.schemas
    if all(schema.hashes for schema in schemas):
        return ""
    if any(schema.hashes for schema in schemas):
        return " (no hashes are recorded for some of them)"
    return " (no hashes are recorded: by sizes and offsets alone" + (
        ", and by decoding)" if decode else "; try --decode)"
    )


def _check(source: Source, jobs: int, decode: bool) -> list[tuple[int, str]]:
    """Return the number of each damaged shard and what is wrong with it."""

    def check(shard_id: int) -> list[str]:
        with tempfile.TemporaryDirectory(dir=top) as directory:
            return check_shard(source.store, source.index.shard(shard_id), directory, decode)

    problems: list[tuple[int, str]] = []
    num_shards = source.index.num_shards
    with (
        tempfile.TemporaryDirectory(prefix="streaming-verify-", ignore_cleanup_errors=True) as top,
        progress_bar("Verifying", num_shards, " shards") as bar,
        closing(in_parallel(check, range(num_shards), jobs)) as results,
    ):
        for shard_id, found in enumerate(results):
            problems += [(shard_id, text) for text in found]
            bar.update()
    return problems
