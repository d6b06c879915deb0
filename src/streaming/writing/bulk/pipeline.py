"""Rows to encoded samples by worker processes, in order, with a bounded number under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from streaming.writing.bulk.cutting import Cutter
from streaming.writing.bulk.recipe import Piece, Recipe, encode_row, encode_rows, freeze_row, join_samples
from streaming.writing.bulk.workers import WorkerPool
from streaming.writing.rows.keys import KeyCheck

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Pipeline"]

# Rows travel in batches of about this size, encoded: large enough to hide the cost of a message.
_BATCH_BYTES = 1 << 20
_MAX_BATCH = 1024

Row = Mapping[str, Any]


class Pipeline:
    """Takes rows, and hands their encoded samples to a cutter.

    Args:
        recipe: How they are encoded.
        pool: Encodes them; without processes, they are encoded as they are taken.
        cutter: Makes shards of them.
        first: Number in the dataset of the first row.
        progress: A progress bar of samples.
        keys: Looks for keys of rows that are no columns.
    """

    def __init__(
        self, recipe: Recipe, pool: WorkerPool, cutter: Cutter, first: int, progress: Any, keys: KeyCheck
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._cutter = cutter
        self._progress = progress
        self._keys = keys
        self._next_row = first
        self._encodes_here = not pool.num_workers
        self._freeze = encode_row if self._encodes_here else freeze_row
        self._rows: list[Any] = []  # encoded samples if they are encoded here, else what freeze_row makes
        self._batch = 8
        self._batches: deque[Future[Piece]] = deque()
        self._most_batches = 2 * max(1, pool.num_workers) + 1

    def __enter__(self) -> Self:
        """Return the pipeline."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """After an error, hand over the rows that came before it."""
        if kind is not None and issubclass(kind, Exception):
            with suppress(Exception):  # the first error is the one to tell
                self.finish()

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
                self._keys.look(number, row, stacklevel=5)
            self._rows.append(self._freeze(self._recipe, number, row))
        except Exception:
            self.finish()  # an earlier row that fails is the one to tell
            raise
        if len(self._rows) >= self._batch:
            self._send()

    def finish(self) -> None:
        """Hand over all rows taken. Raises what :meth:`add` does."""
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
        self._cutter.cut(piece)
        data, sizes = piece
        if sizes:
            mean = len(data) // len(sizes) + 1
            self._batch = max(1, min(_BATCH_BYTES // mean, _MAX_BATCH, 2 * self._batch))
        if self._progress is not None:
            self._progress.update(len(sizes))
