"""Side columns of a dataset that is there: every shard is read once, by many processes, and what is finished stays."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

from streaming.columns.expressions import Expression, check_expressions, make_schema, parse_expressions
from streaming.columns.parquet import Facts, open_parquet, write_tables
from streaming.columns.shards import read_shard, with_retries
from streaming.core.arguments import as_path
from streaming.core.errors import ConfigError, EmptyDatasetError, ObjectNotFoundError, StreamingError, UploadError
from streaming.core.names import Where
from streaming.format.index import Index, ShardInfo
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store
from streaming.storage.store import Store
from streaming.writing.bulk.report import show_bytes
from streaming.writing.bulk.workers import WorkerPool, default_workers
from streaming.writing.options import checked_workers
from streaming.writing.publish.claim import Claim
from streaming.writing.publish.entries import INDEX_NAME
from streaming.writing.publish.places import staging_directory
from streaming.writing.side.publish import check_replaceable, place_of_file

__all__ = ["ColumnsReport", "index_columns", "index_place"]

#: A part, which is what a kill can lose of each process, ends with the shard that passes one of these.
_PART_SAMPLES, _PART_BYTES = 1 << 16, 1 << 28


@dataclass(frozen=True)
class ColumnsReport:
    """What :func:`streaming.index_columns` did.

    Attributes:
        out: The file, without secrets.
        samples: Its rows.
        columns: What each column is made of, by its name.
        bytes: Size of the file.
        seconds: How long the call took.
        resumed_samples: Samples that interrupted runs had read already.

    Example:
        >>> streaming.index_columns('data', 'n=len(text)', beside=True, workers=0, progress_bar=False).columns
        {'n': 'len(text)'}
    """

    out: str
    samples: int
    columns: dict[str, str]
    bytes: int
    seconds: float
    resumed_samples: int

    def __str__(self) -> str:
        text = (
            f"{self.out}: {self.samples:,} rows of {', '.join(self.columns)}; {show_bytes(self.bytes)}; "
            f"{self.seconds:.1f} s"
        )
        return f"{text}; {self.resumed_samples:,} were there already" if self.resumed_samples else text


def index_columns(
    url: Where,
    columns: str | Iterable[str],
    *,
    out: Where | None = None,
    beside: bool = False,
    workers: int | None = None,
    progress_bar: bool = True,
    storage_options: StorageOptions | None = None,
) -> ColumnsReport:
    """Write some columns of a dataset, or their lengths, to one Parquet file that SQL is asked over.

    Every shard is read once. A call that was killed, or failed, continues when it is made again on the same machine. Nothing
    is written but where you say, and, until it is done, below ``out`` or the system's temporary directory.

    Args:
        url: Where the dataset is: a directory or a URL.
        columns: Each ``column`` or ``len(column)``, with ``name=`` before it or not: in one text, joined by commas, or a
            list. Numbers, text, bytes and truth values go in as they are, ``None`` as NULL. The length is that of text in
            characters, of an array along its first axis, of JSON in items, and of anything else in bytes.
        out: Directory or URL where ``columns.parquet`` goes, or the file itself (``.parquet``).
        beside: Write it beside the dataset's ``index.json``, in place of ``out``.
        workers: Number of processes; default: one for each core that this process may use. 0: none.
        progress_bar: Show one, if standard error is a terminal.
        storage_options: Settings of the stores, as for :class:`streaming.Stream`.

    Returns:
        What was written.

    Raises:
        ConfigError: There is no such column, its values go into no Parquet file; or there is no place to write to, or two.
        ObjectNotFoundError: (a ``FileNotFoundError``) There is no dataset.
        EmptyDatasetError: It has no samples.
        FileExistsError: The file is there and not of ours; or another process makes it.
        ChecksumError: A shard is damaged, as is one with a ``ShardFormatError``.
        UploadError: The file could not be written to its place.
        MissingDependencyError: pyarrow is not installed.

    Example:
        >>> with MDSWriter(columns={'text': 'str', 'age': 'int32'}, out='people') as out:
        ...     out.write({'text': 'Ada', 'age': 36})
        >>> print(streaming.index_columns('people', 'age,len(text)', beside=True, workers=0))
        people/columns.parquet: 1 rows of age, len_text; ...
    """
    source = Location.parse(as_path("url", url), storage_options)
    target = None if out is None else Location.parse(as_path("out", out), storage_options)
    return index_place(source, target, beside, columns, workers, progress_bar)


def index_place(
    source: Location,
    out: Location | None,
    beside: bool,
    columns: str | Iterable[str],
    workers: int | None = None,
    progress_bar: bool = True,
) -> ColumnsReport:
    """Do it for places that are taken apart; see :func:`index_columns`."""
    started = time.monotonic()
    expressions = parse_expressions(columns)
    if (out is None) != beside:
        raise ConfigError(
            "Say where columns.parquet goes: --out PLACE (out=...) for a directory or URL, or --beside (beside=True) for "
            "the place of the dataset itself"
            + (", not both." if beside else ". Nothing is written where you did not say.")
        )
    source = source.above(INDEX_NAME)
    directory, name = place_of_file(out or source)
    num_workers = default_workers() if workers is None else checked_workers(workers) or 0
    # Processes come first, while this process has neither a lock nor threads of ours to inherit.
    with WorkerPool(num_workers, "making side columns", "use fewer of them") as pool:
        store = open_store(source)
        index = _read_index(store, source)
        if not index.num_samples:
            raise EmptyDatasetError(f"The dataset at {source} has no samples, so it has no side columns either.")
        schema = make_schema(check_expressions(expressions, index.schemas, str(source)))
        target = open_store(directory)
        with_retries(target.check_writable)
        check_replaceable(target, name)
        facts = Facts(index.digest.hex(), index.num_samples, {one.name: one.source for one in expressions})
        work = _work_directory(source, directory, name, facts)
        claim = Claim(work)
        try:
            parts = _plan(index, work)
            left = [part for part in parts if not part.is_done()]
            _read_all(pool, store, index, left, expressions, schema, progress_bar)
            joined = os.path.join(work, "joined")
            write_tables(joined, schema, (_table(part.path) for part in parts), facts)
            size = os.path.getsize(joined)
            _put(target, name, joined)
            shutil.rmtree(work)
        finally:
            claim.release()
    resumed = index.num_samples - sum(part.samples for part in left)
    return ColumnsReport(
        str(directory.join(name)), index.num_samples, dict(facts.columns), size, time.monotonic() - started, resumed
    )


@dataclass(frozen=True)
class _Part:
    """Shards one after the other, and the file of their side columns.

    Attributes:
        shards: Their numbers.
        samples: Their samples.
        path: The file, which is there under this name when it is finished.
    """

    shards: range
    samples: int
    path: str

    def is_done(self) -> bool:
        """Say whether the file is there, and whole."""
        if not os.path.exists(self.path):
            return False
        with suppress(ConfigError), open_parquet(self.path) as file:
            return file.metadata.num_rows == self.samples
        return False


def _read_index(store: Store, source: Location) -> Index:
    try:
        data = with_retries(lambda: store.get(INDEX_NAME))
    except ObjectNotFoundError as error:
        raise ObjectNotFoundError(f"There is no dataset at {source}: {error}") from error
    return Index.parse(data, str(source.join(INDEX_NAME)))


def _work_directory(source: Location, out: Location, name: str, facts: Facts) -> str:
    """Make the directory of what is unfinished: another one for another dataset, version of it, place, or columns."""
    identity = f"{source.url}\n{out.url}\n{name}\n{facts.index}\n{sorted(facts.columns.items())}"
    if not out.is_local:
        return staging_directory("columns", identity, f"side columns for {out}")
    digest = blake2s(identity.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    path = os.path.join(out.expanded().path, f".streaming-columns-{digest}")
    os.makedirs(path, exist_ok=True)
    return path


def _plan(index: Index, work: str) -> list[_Part]:
    parts: list[_Part] = []
    begin = samples = size = 0
    for shard, (count, num_bytes) in enumerate(zip(index.samples.tolist(), index.raw_bytes.tolist(), strict=True)):
        samples, size = samples + count, size + num_bytes
        if samples >= _PART_SAMPLES or size >= _PART_BYTES or shard == index.num_shards - 1:
            parts.append(_Part(range(begin, shard + 1), samples, os.path.join(work, f"part.{begin:08}.parquet")))
            begin, samples, size = shard + 1, 0, 0
    return parts


def _read_all(
    pool: WorkerPool,
    store: Store,
    index: Index,
    parts: Sequence[_Part],
    expressions: Sequence[Expression],
    schema: Any,
    progress_bar: bool,
) -> None:
    from tqdm import tqdm

    total = sum(part.samples for part in parts)
    most = 2 * max(1, pool.num_workers)
    under_way: dict[Future[None], _Part] = {}
    with tqdm(
        desc="Reading", total=total, unit=" samples", unit_scale=True, disable=None if progress_bar else True
    ) as bar:

        def take(limit: int) -> None:
            """Wait until no more than so many parts are under way."""
            while len(under_way) > limit:
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    future.result()
                    bar.update(under_way.pop(future).samples)

        for part in parts:
            infos = [index.shard(shard) for shard in part.shards]
            under_way[pool.submit(_make_part, store, infos, expressions, schema, part.path)] = part
            take(most)
        take(0)


def _make_part(
    store: Store, infos: Sequence[ShardInfo], expressions: Sequence[Expression], schema: Any, path: str
) -> None:
    """Write the side columns of some shards."""

    def tables() -> Iterator[Any]:
        for info in infos:
            with tempfile.TemporaryDirectory(prefix="streaming-columns-") as directory:
                yield read_shard(store, info, directory, expressions, schema)

    write_tables(path, schema, tables(), Facts("", sum(info.samples for info in infos), {}))


def _table(path: str) -> Any:
    with open_parquet(path) as file:
        return file.read(use_threads=False)


def _put(target: Store, name: str, path: str) -> None:
    try:
        with_retries(lambda: target.put(name, path))
    except StreamingError as error:
        raise UploadError(f"Could not write {name} to {target!r}: {error}") from error
