"""``streaming.export``: a dataset to files that other programs read."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from streaming.columns.shards import with_retries
from streaming.converting.exporting.arrays import completed
from streaming.converting.exporting.files import NOTES, file_column, write_folder, write_lines, write_tar
from streaming.converting.exporting.progress import Done, Progress
from streaming.converting.exporting.samples import Samples
from streaming.converting.exporting.tables import arrow_schema, write_parquet
from streaming.core.arguments import as_path, as_text
from streaming.core.errors import ConfigError
from streaming.core.names import Where
from streaming.sources.contract import Part
from streaming.sources.finding import find
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store
from streaming.writing.bulk.report import show_bytes
from streaming.writing.bulk.workers import WorkerPool, default_workers
from streaming.writing.options import checked_workers

__all__ = ["ExportReport", "export"]

Format = Literal["parquet", "jsonl", "jsonl.gz", "jsonl.zst", "webdataset", "folder"]

_WRITERS: dict[str, tuple[str, Callable[..., None]]] = {
    "parquet": (".parquet", write_parquet),
    "jsonl": (".jsonl", write_lines),
    "jsonl.gz": (".jsonl.gz", write_lines),
    "jsonl.zst": (".jsonl.zst", write_lines),
    "webdataset": (".tar", write_tar),
    "folder": ("", write_folder),
}


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes:
        out: Where to, without secrets.
        samples: How many.
        files: Files that hold them.
        bytes: Their size.
        seconds: How long it took.

    Example:
        >>> report = streaming.export('data', 'as_lines', 'jsonl', workers=0)
        >>> report.samples, report.files
        (64, 2)
    """

    out: str
    samples: int
    files: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        """Return it for people."""
        size = show_bytes(self.bytes)
        return f"{self.out}: {self.samples:,} samples in {self.files:,} files, {size}; {self.seconds:.1f} s"


def export(
    dataset: Where | Location,
    out: Where | Location,
    format: Format = "parquet",
    *,
    columns: Sequence[str] | None = None,
    workers: int | None = None,
    exist_ok: bool = False,
    progress_bar: bool = True,
    storage_options: StorageOptions | None = None,
) -> ExportReport:
    """Write a dataset's samples to files that other programs read, a file a shard, in worker processes.

    The files are the same whatever the number of workers. A call that was killed continues when it is made again.

    Args:
        dataset: A directory or URL of a dataset.
        out: A directory or URL to write to.
        format: ``'parquet'``: images, sounds and videos as Hugging Face's datasets keep them, JSON as text. ``'jsonl'``,
            also compressed: arrays as lists, bytes as ``{"base64": ...}``. ``'webdataset'``: tars, a member for each column.
            ``'folder'``: the files of the one column that has such, in directories by class, the other columns in
            ``metadata.jsonl``.
        columns: Names of the columns to export. Default: all.
        workers: Number of processes; default: one for each core that this process may use. 0: none.
        exist_ok: Write to a place that has other files already; those of the same names are replaced.
        progress_bar: Show one, if standard error is a terminal.
        storage_options: Settings of the stores of ``dataset`` and ``out``.

    Returns:
        What was written.

    Raises:
        ConfigError: An argument is wrong, or the format does not hold a column.
        EmptyDatasetError: There are no samples.
        FileExistsError: There are other files at ``out``, and ``exist_ok`` is not set.
        SourceError: A shard is damaged.
        UnsafeTypeError: A column is of pickles.
        StorageError: A file cannot be read or written.
        WorkerError: A worker process died.
        MissingDependencyError: A package that writes the format is not installed.

    Example:
        >>> print(streaming.export('data', 'tables', columns=['text'], workers=0))
        tables: 64 samples in 2 files, ...
        >>> import pyarrow.parquet as pq
        >>> pq.read_table('tables').num_rows
        64
    """
    began = time.monotonic()
    if as_text("format", format) not in _WRITERS:
        raise ConfigError(f"format must be one of {', '.join(_WRITERS)}; got {format!r}.")
    source, target = (
        place if isinstance(place, Location) else Location.parse(as_path(name, place), storage_options)
        for name, place in (("dataset", dataset), ("out", out))
    )
    if columns is not None and not isinstance(columns, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"columns must be a list of names such as ['text'], got {columns!r}.")
    _, files = find(source, "mds", {}, skips=False)
    samples = Samples(files, columns, keeps_json=format == "parquet")
    if format == "parquet":
        arrow_schema({n: e for n, e in samples.encodings.items() if e.rstrip("?") != "ndarray"}, {})
        samples.encodings = completed(samples.encodings, _rows(samples))
    if format == "folder":
        file_column(samples.encodings)
    exporter = _Exporter(samples, Progress(target), format, samples.metadata)
    done = exporter.progress.begin(exporter.print(), exist_ok)
    found = _run(exporter, done, default_workers() if workers is None else checked_workers(workers) or 0, progress_bar)
    exporter.progress.end(len(found), {NOTES: b"".join(one.notes for one in found)})
    files_made, bytes_made = sum(one.files for one in found), sum(one.bytes for one in found)
    return ExportReport(str(target), samples.index.num_samples, files_made, bytes_made, time.monotonic() - began)


def _rows(samples: Samples) -> Any:
    """Yield all rows; what cannot be read is raised."""
    return chain.from_iterable(map(samples.read, samples.parts))


def _run(exporter: _Exporter, done: dict[int, Done], num_workers: int, progress_bar: bool) -> list[Done]:
    """Write the shards that are not done, and return what was made of each."""
    parts = exporter.samples.parts
    with WorkerPool(num_workers, "an export", "use fewer workers", given=exporter if num_workers else None) as pool:
        first = () if num_workers else (exporter,)
        coming = {n: pool.submit(_export, *first, part, n) for n, part in enumerate(parts) if n not in done}
        try:
            with _bar(progress_bar, str(exporter.progress.target), len(parts)) as bar:
                bar.update(len(done))
                for number, future in coming.items():
                    done[number] = future.result()
                    bar.update(1)
        except BaseException:
            for future in coming.values():
                future.cancel()
            raise
    return [done[number] for number in range(len(parts))]


@dataclass(frozen=True)
class _Exporter:
    """Writes shards. It can be pickled."""

    samples: Samples
    progress: Progress
    format: str
    metadata: dict[str, Any]

    def print(self) -> str:
        """Return what tells this export from any other."""
        what = [self.samples.fingerprint, self.format, self.samples.encodings, self.metadata]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()

    def __call__(self, part: Part, number: int) -> Done:
        """Write a shard, and return what was made of it."""
        suffix, write = _WRITERS[self.format]
        name = f"part-{number:05d}{suffix}"
        store = open_store(self.progress.target)
        count = size = 0
        notes = b""
        with tempfile.TemporaryDirectory(prefix="streaming-export-") as directory:
            path = os.path.join(directory, name)
            with closing(self.samples.read(part)) as rows:  # and with it the shard, whatever a writer refuses
                write(path, rows, self.samples.encodings, self.metadata)
            for full in _files_of(path):
                below = name if full == path else os.path.relpath(full, path)
                if below == NOTES:
                    with open(full, "rb") as file:
                        notes = file.read()
                    continue
                with_retries(lambda full=full, below=below: store.put(below, full))
                count += 1
                size += os.path.getsize(full)
        return self.progress.add(number, Done(count, size, notes))


def _export(exporter: _Exporter, part: Part, number: int) -> Done:
    return exporter(part, number)


def _files_of(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    return sorted(os.path.join(root, name) for root, _, names in os.walk(path) for name in names)


def _bar(wanted: bool, what: str, total: int) -> Any:
    from tqdm import tqdm

    return tqdm(desc=f"Exporting to {what}", total=total, unit=" shards", disable=None if wanted else True)
