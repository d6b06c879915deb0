"""Rows to shards by worker processes: pulled, cut, built and published in order, with a bounded number under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming.format.codecs.compressors import drop_compressors
from streaming.writing.bulk.journal import Finished, Journal, fingerprint
from streaming.writing.bulk.recipe import Piece, Recipe, encode_row, encode_rows, freeze_row, join_samples, make_files
from streaming.writing.bulk.workers import WorkerPool
from streaming.writing.publish.base import Base
from streaming.writing.publish.target import WORK_NAME, Target
from streaming.writing.rows.keys import KeyCheck

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Pipeline"]

# Rows travel in batches of about this size, encoded: large enough to hide the cost of a message.
_BATCH_BYTES = 1 << 20
_MAX_BATCH = 1024

Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Pending:
    """A shard that is being built or uploaded."""

    first: str
    last: str
    entry: Future[dict[str, Any]]


class Pipeline:
    """Takes rows and finishes shards.

    Args:
        recipe: How shards are made.
        pool: Runs the work.
        workers: Number of its workers, which bounds what is under way; 0: rows are encoded as they are taken.
        target: Where shards go.
        journal: Notes each shard that is finished; those it holds already are behind us.
        base: What the shards are added to.
        progress: A progress bar of samples, or ``None``.
        keys: Looks for keys of rows that are no columns.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: WorkerPool,
        workers: int,
        target: Target,
        journal: Journal,
        base: Base,
        progress: Any,
        keys: KeyCheck,
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._target = target
        self._journal = journal
        self._progress = progress
        self._keys = keys
        self._limit = recipe.size_limit
        self._base_bytes = recipe.encoder.base_bytes
        self._extra_bytes = recipe.encoder.extra_bytes_per_sample
        self._base = base
        self._num_shards = len(journal.finished)
        self._next_row = journal.num_samples
        self._encodes_here = not workers
        self._freeze = encode_row if self._encodes_here else freeze_row
        self._rows: list[Any] = []  # encoded samples if they are encoded here, else what freeze_row makes
        self._batch = 8
        self._batches: deque[Future[Piece]] = deque()
        self._pieces: list[Piece] = []
        self._shard_bytes = self._base_bytes
        self._shards: deque[_Pending] = deque()
        self._most_batches = 2 * max(1, workers) + 1
        self._most_shards = max(1, workers) + 2
        self._publishers = ThreadPoolExecutor(self._most_shards, thread_name_prefix="streaming-write-publish")

    def __enter__(self) -> Self:
        """Return the pipeline."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the threads. After an error, first finish the whole shards of the rows that came before it."""
        if kind is not None and issubclass(kind, Exception):
            with suppress(Exception):  # the first error is the one to tell
                self._cut_all()
            with suppress(Exception):
                while self._shards:
                    self._confirm()
        self._publishers.shutdown(wait=kind is None, cancel_futures=kind is not None)
        drop_compressors()

    def add(self, row: Row) -> None:
        """Take a row, with the values that it has now.

        Raises:
            ConfigError: It has keys that are no columns, and these were inferred.
            SampleError: It, or an earlier row, does not fit the columns.
            UploadError: An earlier shard could not be uploaded.
        """
        number = self._next_row + len(self._rows)
        try:
            if self._keys.active and len(row) != self._keys.width:
                self._keys.look(number, row, stacklevel=4)
            self._rows.append(self._freeze(self._recipe, number, row))
        except Exception:
            self._cut_all()  # an earlier row that fails is the one to tell
            raise
        if len(self._rows) >= self._batch:
            self._send()

    def finish(self) -> None:
        """Finish the last shard, and wait until all are published. Raises what :meth:`add` does."""
        self._cut_all()
        self._end_shard()
        while self._shards:
            self._confirm()

    def _cut_all(self) -> None:
        self._send()
        while self._batches:
            self._take()

    def _send(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        if self._encodes_here:
            batch = Future[Piece]()
            batch.set_result(join_samples(rows))
        else:
            batch = self._pool.submit(encode_rows, self._recipe, self._next_row, rows)
        self._next_row += len(rows)
        self._batches.append(batch)
        while len(self._batches) > self._most_batches or (self._batches and self._batches[0].done()):
            self._take()

    def _take(self) -> None:
        piece = self._batches[0].result()  # one that failed stays the first, so that nothing passes it
        self._batches.popleft()
        self._cut(piece)

    def _cut(self, piece: Piece) -> None:
        """Add encoded samples to the present shard, ending it wherever it is full."""
        data, sizes = piece
        begin = end = start = 0
        for i, size in enumerate(sizes):
            size_in_shard = size + self._extra_bytes
            if self._limit and self._limit < self._shard_bytes + size_in_shard and (self._pieces or i > start):
                self._keep(data[begin:end], sizes[start:i])
                self._end_shard()
                begin, start = end, i
            end += size
            self._shard_bytes += size_in_shard
        self._keep(data[begin:end], sizes[start:])
        if sizes:
            mean = len(data) // len(sizes) + 1
            self._batch = max(1, min(_BATCH_BYTES // mean, _MAX_BATCH, 2 * self._batch))
        if self._progress is not None:
            self._progress.update(len(sizes))

    def _keep(self, data: bytes, sizes: list[int]) -> None:
        if sizes:
            self._pieces.append((data, sizes))

    def _end_shard(self) -> None:
        pieces, self._pieces = self._pieces, []
        self._shard_bytes = self._base_bytes
        if not pieces:
            return
        (first_data, first_sizes), (last_data, last_sizes) = pieces[0], pieces[-1]
        first = fingerprint(first_data[: first_sizes[0]])
        last = fingerprint(last_data[len(last_data) - last_sizes[-1] :])
        work = self._target.path(WORK_NAME)
        files = self._pool.submit(make_files, self._recipe, self._base.stem(self._num_shards), pieces, work)
        self._shards.append(_Pending(first, last, self._publishers.submit(self._publish, files)))
        self._num_shards += 1
        while len(self._shards) > self._most_shards or (self._shards and self._shards[0].entry.done()):
            self._confirm()

    def _publish(self, files: Future[tuple[dict[str, Any], list[tuple[str, str]]]]) -> dict[str, Any]:
        entry, written = files.result()
        for name, path in written:
            self._target.adopt(name, path)
            self._target.upload(name)
        return entry

    def _confirm(self) -> None:
        """Take note of the oldest shard, once it is where it belongs."""
        shard = self._shards[0]  # one that failed stays the first, so that none after it is noted
        self._journal.add(Finished(shard.entry.result(), shard.first, shard.last))
        self._shards.popleft()
