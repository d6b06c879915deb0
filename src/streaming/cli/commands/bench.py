"""``streaming bench``: how soon the first byte comes, how many bytes a second, and how many samples."""

from __future__ import annotations

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from streaming.cli.reading.samples import check_safe
from streaming.cli.reading.source import Source, read_source
from streaming.cli.shell.output import print_json, print_table, print_title
from streaming.cli.shell.parallel import in_parallel
from streaming.columns.shards import with_retries
from streaming.core.errors import EmptyDatasetError
from streaming.storage.location import Location
from streaming.writing.bulk.report import show_bytes

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Measure, and print the figures."""
    begin = time.monotonic()
    source = read_source(args.url)
    index_ms = 1000 * (time.monotonic() - begin)
    if not source.index.num_samples:
        raise EmptyDatasetError(f"{source.name} has no samples: there is nothing to measure.")
    if not args.allow_unsafe_types:
        check_safe(source, "If you trust it, pass --allow-unsafe-types.")
    facts: dict[str, Any] = {
        "url": source.name,
        "index_ms": index_ms,
        "first_byte_ms": _first_byte_ms(source),
        **_fetch(source, args.jobs, args.seconds),
        **_train(source.place, args),
    }
    if args.json:
        print_json(facts)
        return 0
    print_title(facts["url"])
    print_table(_rows(facts), indent=2)
    return 0


def _rows(facts: dict[str, Any]) -> list[list[str]]:
    return [
        ["index", f"{facts['index_ms']:,.1f} ms, {show_bytes(facts['index_bytes'])}"],
        ["first byte", f"{facts['first_byte_ms']:,.1f} ms"],
        [
            "fetching",
            f"{facts['fetched_mb_per_s']:,.1f} MB/s ({facts['jobs']} files at a time, "
            f"{show_bytes(facts['fetched_bytes'])} in {facts['fetch_s']:.1f} s)",
        ],
        ["first batch", f"{facts['first_batch_ms']:,.0f} ms"],
        [
            "samples",
            f"{facts['samples_per_s']:,.0f} a second ({facts['workers']} workers, batches of {facts['batch_size']}, "
            f"{facts['samples']:,} in {facts['samples_s']:.1f} s)",
        ],
    ]


def _first_byte_ms(source: Source) -> float:
    info = source.index.shard(0)
    name = (info.zip[-1] or info.raw[-1]).basename
    begin = time.monotonic()
    with_retries(lambda: source.store.get_range(name, 0, 1))
    return 1000 * (time.monotonic() - begin)


def _fetch(source: Source, jobs: int, seconds: float) -> dict[str, Any]:
    """Fetch files, as many at a time, until the time is over."""
    begin = time.monotonic()

    def names() -> Iterator[str]:
        for shard_id in range(source.index.num_shards):
            info = source.index.shard(shard_id)
            for raw, zipped in zip(info.raw, info.zip, strict=True):
                yield (zipped or raw).basename

    def fetch(name: str) -> int:
        if time.monotonic() - begin > seconds:
            return 0
        return len(with_retries(lambda: source.store.get(name)))

    with closing(in_parallel(fetch, names(), jobs)) as sizes:
        size = sum(sizes)
    fetch_s = time.monotonic() - begin
    return {
        "index_bytes": len(source.data),
        "jobs": jobs,
        "fetched_bytes": size,
        "fetch_s": fetch_s,
        "fetched_mb_per_s": size / fetch_s / 1e6,
    }


def _train(place: Location, args: Namespace) -> dict[str, Any]:
    """Read batches as training does, into an empty cache, until the time is over."""
    from streaming.dataset.dataset import StreamingDataset
    from streaming.loader.loader import StreamingDataLoader

    with tempfile.TemporaryDirectory(prefix="streaming-bench-", ignore_cleanup_errors=True) as cache:
        where: dict[str, Any] = {"local": place.path} if place.is_local else {"remote": place.url, "local": cache}
        begin = time.monotonic()
        dataset = StreamingDataset(
            **where,
            shuffle=True,
            batch_size=args.batch_size,
            storage_options=place.options.reveal() or None,
            allow_unsafe_types=args.allow_unsafe_types,
        )
        collate: Callable[[list[Any]], int] = len
        loader = StreamingDataLoader(dataset, batch_size=args.batch_size, num_workers=args.workers, collate_fn=collate)
        samples, first_ms = 0, 0.0
        for size in loader:
            elapsed = time.monotonic() - begin
            first_ms = first_ms or 1000 * elapsed
            samples += size
            if elapsed > args.seconds:
                break
        samples_s = time.monotonic() - begin
    return {
        "workers": args.workers,
        "batch_size": args.batch_size,
        "first_batch_ms": first_ms,
        "samples": samples,
        "samples_s": samples_s,
        "samples_per_s": samples / samples_s,
    }
