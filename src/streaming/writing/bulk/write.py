"""``streaming.write``: an iterable to a dataset, by many processes, and restartable."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from operator import length_hint
from typing import Any

from streaming.core.names import Compression, HashName, Out
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.writing.bulk.pipeline import Pipeline
from streaming.writing.bulk.recipe import Recipe
from streaming.writing.bulk.report import WriteReport
from streaming.writing.bulk.resume import begin
from streaming.writing.bulk.workers import WorkerPool, default_workers
from streaming.writing.options import WriterOptions, checked_columns, checked_workers
from streaming.writing.publish.places import Place, staging_directory
from streaming.writing.publish.target import Target
from streaming.writing.rows.infer import infer_columns
from streaming.writing.rows.inputs import Rows, checked_row, taken
from streaming.writing.rows.keys import KeyCheck
from streaming.writing.rows.snapshot import check_fit, snapshot

__all__ = ["write"]

_ROWS_TO_INFER_FROM = 32

Row = Mapping[str, Any]


def write(
    iterable: Rows,
    out: Out,
    columns: Mapping[str, str] | None = None,
    *,
    workers: int | None = None,
    compression: Compression | None = None,
    hashes: Sequence[HashName] | None = None,
    size_limit: int | str | None = 1 << 26,
    keep_local: bool = False,
    exist_ok: bool = False,
    append: bool = False,
    resume: bool = True,
    retry: int = 2,
    progress_bar: bool = True,
    storage_options: StorageOptions | None = None,
) -> WriteReport:
    """Write an iterable's samples to an MDS dataset, encoding and compressing in worker processes.

    The files are the same, byte for byte, as those of an :class:`MDSWriter` with the same arguments, whatever the
    number of workers. Memory holds a few shards for each worker.

    A call that was killed, or failed, continues when it is made again: shards that are finished are kept, and their
    samples are skipped. For that, the iterable must give the same samples in the same order (the first and the last
    sample of every finished shard are compared), and the local directory must still be there: that of ``out``, or for
    a URL alone one below the system's temporary directory, so on the same machine. A sequence is continued at an
    index; any other iterable is read from its begin.

    Args:
        iterable: Samples: mappings with a value for each column. Also a table or frame of pandas, Polars or Arrow, a
            dataset of Hugging Face (its images stay the files that they are) or of Ray Data, or a map-style dataset. It is
            consumed in this process; torch tensors become arrays.
        out: Where to write: a local directory, a URL, or a pair ``(local, remote)``.
        columns: Encoding of each column, by name; ``None``: inferred from the first rows (see
            :func:`streaming.writing.rows.infer.infer_columns`).
        workers: Number of processes; default: one for each core that this process may use. 0: none.
        compression: As for :class:`MDSWriter`, like the arguments below.
        hashes: Hash algorithms to record for every file.
        size_limit: Largest raw size of a shard in bytes.
        keep_local: Keep local copies of what is uploaded.
        exist_ok: Replace the dataset that is there, or an unfinished one that cannot be continued.
        append: Add to the dataset that is there, or begin one.
        resume: Continue an unfinished call.
        retry: Further attempts after a failed upload.
        progress_bar: Show one, if standard error is a terminal.
        storage_options: Settings of the store, as for :class:`streaming.Stream`.

    Returns:
        What was written.

    Raises:
        ConfigError: An argument is wrong, or an unfinished write cannot be continued with these arguments and samples.
        SampleError: A sample does not fit the columns; the text has its number.
        FileExistsError: There is something, and neither ``exist_ok`` nor ``append`` is set; or another writer holds the
            directory.
        UploadError: A shard could not be uploaded.
        WorkerError: A worker process died.

    Example:
        >>> report = streaming.write(({'text': f'line {i}'} for i in range(1000)), 'corpus', compression='zstd', workers=0)
        >>> print(report)
        corpus: 1,000 samples in 1 shards, ...
        >>> StreamingDataset(local='corpus')[999]
        {'text': 'line 999'}
    """
    started = time.monotonic()
    options = WriterOptions(
        keep_local=keep_local,
        compression=compression,
        hashes=hashes,
        size_limit=size_limit,
        retry=retry,
        exist_ok=exist_ok,
        append=append,
    )
    num_workers = default_workers() if workers is None else checked_workers(workers) or 0
    place = Place.parse(out, storage_options)
    staging = place.local is None
    inferred = columns is None
    rows, columns = taken(iterable, columns)
    total = length_hint(rows) or None
    if columns is None:
        rows, columns = _inferred(rows)
    recipe = Recipe(
        tuple(sorted(checked_columns(columns).items())),
        options.compression,
        tuple(options.hashes or ()),
        options.most_bytes,
    )
    _ = recipe.encoder  # checks the columns before anything is touched
    # Processes come first, while this process has neither a lock nor threads of ours to inherit.
    with WorkerPool(num_workers) as pool:
        place = _staged(place)
        target = Target(place, keep_local=options.keep_local, retries=options.retry, yields=False)
        try:
            journal, base, rows = begin(target, recipe, options, rows, resume=resume, staging=staging)
            resumed = journal.num_samples
            progress = _progress(progress_bar, repr(target), total, resumed)
            keys = KeyCheck(columns, repr(target), inferred)
            with progress, Pipeline(recipe, pool, num_workers, target, journal, base, progress, keys) as pipeline:
                for row in rows:
                    pipeline.add(row)
                pipeline.finish()
            entries = [done.entry for done in journal.finished]
            base.publish(target, entries)
            journal.remove()
            target.close()
        finally:
            # After a failure everything stays as it is, for the next call.
            target.claim.release()
            if staging:
                with suppress(OSError):  # not empty
                    os.rmdir(target.local)
    raw, zipped = (_bytes(entries, kind) for kind in ("raw_data", "zip_data"))
    return WriteReport(
        repr(target),
        journal.num_samples,
        len(entries),
        raw,
        zipped if recipe.compression else None,
        time.monotonic() - started,
        resumed,
        dict(recipe.columns),
    )


def _inferred(iterable: Iterable[Row]) -> tuple[Iterable[Row], dict[str, str]]:
    if isinstance(iterable, Sequence):
        first = [snapshot(checked_row(iterable[i])) for i in range(min(len(iterable), _ROWS_TO_INFER_FROM))]
    else:
        rows = iter(iterable)
        # Whoever yields one object again and again, filled anew, means each row as it was when it came.
        first = [snapshot(checked_row(row)) for row in islice(rows, _ROWS_TO_INFER_FROM)]
        iterable = chain(first, rows)
    columns = infer_columns(first)
    check_fit(first, columns)
    return iterable, columns


def _staged(place: Place) -> Place:
    """Return the place with a local directory: for a URL alone the same in every call, and nobody else's."""
    if place.local is not None or place.remote is None:
        return place
    path = staging_directory("write", place.remote.url, f"shards for {place.remote}")
    return Place(Location.parse(path), place.remote)


def _bytes(entries: Sequence[Mapping[str, Any]], key: str) -> int:
    return sum(entry[key]["bytes"] for entry in entries if entry[key])


def _progress(wanted: bool, what: str, total: int | None, done: int) -> Any:
    from tqdm import tqdm

    return tqdm(
        desc=f"Writing {what}",
        total=total,
        initial=done,
        unit=" samples",
        unit_scale=True,
        disable=None if wanted else True,
    )
