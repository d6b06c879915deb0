"""``streaming.write``: rows, or inputs of a function, to a dataset, by many processes, and restartable."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from streaming.core.arguments import as_flag, as_text
from streaming.core.errors import ConfigError
from streaming.core.names import Compression, HashName, Out
from streaming.format.metadata import dump_metadata, joined_metadata
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.writing.bulk.cutting import Cutter
from streaming.writing.bulk.journal import Journal
from streaming.writing.bulk.mapping import Function
from streaming.writing.bulk.recipe import make_recipe
from streaming.writing.bulk.report import WriteReport, bytes_of
from streaming.writing.bulk.resume import begin
from streaming.writing.bulk.sources import InputSource, RowSource, Source
from streaming.writing.bulk.workers import WorkerPool, default_workers
from streaming.writing.options import WriterOptions, checked_workers
from streaming.writing.partitions import check_not_replaced
from streaming.writing.publish.places import Place, staging_directory
from streaming.writing.publish.target import Target
from streaming.writing.rows.inputs import Inputs
from streaming.writing.rows.keys import KeyCheck

__all__ = ["checked_metadata", "write"]

Row = Mapping[str, Any]


def write(
    inputs: Inputs,
    out: Out,
    columns: Mapping[str, str] | None = None,
    *,
    fn: Callable[[Any], Row | Iterable[Row] | None] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    metadata: Mapping[str, Any] | None = None,
    compatible: bool = False,
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
    """Write samples to an MDS dataset; make them of inputs, encode and compress in worker processes.

    The files are the same, byte for byte, as those of an :class:`MDSWriter` with the same arguments, whatever the
    number of workers. Memory holds a few shards for each worker.

    A call that was killed, or failed, continues when it is made again: shards that are finished are kept, and their
    samples are skipped. For that, the inputs must give the same samples in the same order (the first and the last
    sample of every finished shard are compared), and the local directory must still be there: that of ``out``, or for
    a URL alone one below the system's temporary directory, so on the same machine. A sequence is continued at an
    index; any other iterable is read from its begin. With ``fn``, the inputs before the one of the last finished sample are
    not made again; that one is, and its rows left out up to that sample, which is compared.

    Args:
        inputs: Samples: mappings with a value for each column. Also a table or frame of pandas, Polars or Arrow, a
            dataset of Hugging Face (its images stay the files that they are) or of Ray Data, or a map-style dataset. It is
            consumed in this process; torch tensors become arrays. With ``fn``: what that takes, such as paths or numbers.
        out: Where to write: a local directory, a URL, or a pair ``(local, remote)``.
        columns: Encoding of each column, by name; ``None``: inferred from the first rows (see
            :func:`streaming.writing.rows.infer.infer_columns`).
        fn: Called with each input, in the worker processes: returns a row, ``None`` for none, or many: an iterable of
            rows, a table. A generator may make millions; they are taken as they come, and a call continues amidst them.
            Samples keep the order of the inputs. Where processes are spawned (not on Linux) it must be at the top of a
            module.
        on_error: With ``fn``, ``'skip'`` leaves out inputs for which it fails (but for rows that it made before), and
            rows that do not fit the columns; the report lists them.
        metadata: What else is known, to be kept beside the index, as JSON; under ``'columns'`` a dict for each column of
            which something is: ``{'columns': {'label': {'names': ['cat', 'dog']}}}``. Names of classes and the like that a
            Hugging Face dataset has are added.
        compatible: Refuse columns that ``mosaicml-streaming`` cannot read.
        workers: Number of processes; default: one for each core that this process may use. 0: none. With ``fn`` as many
            again build shards.
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
        InputError: ``fn`` failed; the text has the input and its number, the cause is its error.
        SampleError: A sample does not fit the columns; the text has its number, or that of its input.
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
        >>> def squares(n):
        ...     return {'n': n, 'square': n * n} if n % 2 else None
        >>> streaming.write(range(1000), 'squares', fn=squares, workers=0).samples
        500
    """
    started = time.monotonic()
    metadata, compatible = checked_metadata(metadata), as_flag("compatible", compatible)
    resume = as_flag("resume", resume)
    options = WriterOptions(
        keep_local=keep_local,
        compression=compression,
        hashes=hashes,
        size_limit=size_limit,
        retry=retry,
        exist_ok=exist_ok,
        append=append,
        progress_bar=progress_bar,
    )
    num_workers = default_workers() if workers is None else checked_workers(workers) or 0
    place = Place.parse(out, storage_options)
    for read in _read_from(inputs) if exist_ok else ():
        check_not_replaced(read, place)
    staging = place.local is None
    # Processes come first, while this process has neither a lock nor threads of ours to inherit.
    with _source(inputs, columns, fn, num_workers, on_error) as source:
        recipe = make_recipe(source.columns, options, compatible)
        known = joined_metadata(metadata, source.metadata)
        contents = dump_metadata(known) if known else None
        with WorkerPool(num_workers) as pool:
            place = _staged(place)
            target = Target(place, keep_local=options.keep_local, retries=options.retry, yields=False)
            try:
                journal, base = begin(target, recipe, options, has_fn=fn is not None, resume=resume, staging=staging)
                resumed = journal.num_samples
                keys = KeyCheck(source.columns, repr(target), inferred=columns is None)
                progress = _progress(progress_bar, repr(target), source, journal)
                with progress, Cutter(recipe, pool, target, journal, base, source.skipped) as cutter:
                    source.feed(recipe, pool, cutter, journal, progress, keys)
                    cutter.finish()
                entries = [done.entry for done in journal.finished]
                base.publish(target, entries, metadata=contents)
                journal.remove()
                target.close()
            finally:
                # After a failure everything stays as it is, for the next call.
                target.claim.release()
                if staging:
                    with suppress(OSError):  # not empty
                        os.rmdir(target.local)
    raw, zipped = (bytes_of(entries, kind) for kind in ("raw_data", "zip_data"))
    return WriteReport(
        repr(target),
        journal.num_samples,
        len(entries),
        raw,
        zipped if recipe.compression else None,
        time.monotonic() - started,
        resumed,
        dict(recipe.columns),
        tuple(source.skipped),
    )


def checked_metadata(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what else is known of a dataset.

    Raises:
        ConfigError: It is not given by name, or cannot be kept as JSON.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"metadata must be a dict of what else is known, by name; got {metadata!r:.200}.")
    dump_metadata(metadata)
    return metadata


def _source(given: Any, columns: Mapping[str, str] | None, fn: Function | None, workers: int, on_error: str) -> Source:
    if as_text("on_error", on_error) not in ("raise", "skip"):
        raise ConfigError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
    if fn is not None:
        if not callable(fn):
            raise ConfigError(f"fn must be a function of an input, got {fn!r:.200}.")
        return InputSource(given, columns, fn, workers, on_error == "skip")
    if on_error == "skip":
        raise ConfigError("on_error='skip' is about inputs for which fn fails: pass fn.")
    return RowSource(given, columns)


def _read_from(inputs: Any) -> Iterator[Location]:
    """Yield where the rows of a dataset of this library come from, and where they are kept; of anything else, nothing."""
    for source in getattr(inputs, "sources", None) or ():
        directory = getattr(source, "directory", None)
        for place in (getattr(directory, "directory", None), getattr(directory, "origin", None)):
            if isinstance(place, str):  # behind the URL of a store, there may be that of its server
                yield Location.parse(place if place.startswith(("/", "file:")) else place.partition(" ")[0])


def _staged(place: Place) -> Place:
    """Return the place with a local directory: for a URL alone the same in every call, and nobody else's."""
    if place.local is not None or place.remote is None:
        return place
    path = staging_directory("write", place.remote.url, f"shards for {place.remote}")
    return Place(Location.parse(path), place.remote)


def _progress(wanted: bool, what: str, source: Source, journal: Journal) -> Any:
    from tqdm import tqdm

    return tqdm(
        desc=f"Writing {what}",
        total=source.total,
        initial=source.num_done(journal),
        unit=source.unit,
        unit_scale=True,
        disable=None if wanted else True,
    )
