"""Encoded samples to shards: cut where one is full, built by workers, published, and noted in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming.format.codecs.compressors import drop_compressors
from streaming.format.unfinished import WORK_NAME
from streaming.writing.bulk.journal import Finished, Journal, Place, fingerprint
from streaming.writing.bulk.recipe import Piece, Recipe, make_files
from streaming.writing.bulk.report import Skipped
from streaming.writing.bulk.workers import WorkerPool
from streaming.writing.publish.base import Base
from streaming.writing.publish.target import Target

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Cutter"]


@dataclass(frozen=True)
class _Pending:
    """A shard that is being built or uploaded."""

    first: str
    last: str
    place: Place | None
    skipped: list[Skipped]
    entry: Future[dict[str, Any]]


class Cutter:
    """Takes encoded samples and finishes shards.

    Args:
        recipe: How shards are made.
        pool: Builds them.
        target: Where they go.
        journal: Notes each shard that is finished; those it holds already are behind us.
        base: What they are added to.
        skipped: What was left out, by whoever hands over samples; the journal has the first of it.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: WorkerPool,
        target: Target,
        journal: Journal,
        base: Base,
        skipped: Sequence[Skipped] = (),
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._target = target
        self._journal = journal
        self._limit = recipe.size_limit
        self._base_bytes = recipe.encoder.base_bytes
        self._extra_bytes = recipe.encoder.extra_bytes_per_sample
        self._base = base
        self._num_shards = len(journal.finished)
        self._pieces: list[Piece] = []
        self._shard_bytes = self._base_bytes
        self._place: Place | None = None  # of the last sample taken
        self._skipped = skipped
        self._num_noted = sum(len(done.skipped) for done in journal.finished)
        self._shards: deque[_Pending] = deque()
        self._most_shards = max(1, pool.num_workers) + 2
        self._publishers = ThreadPoolExecutor(self._most_shards, thread_name_prefix="streaming-write-publish")

    def __enter__(self) -> Self:
        """Return the cutter."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the threads. After an error, first finish the whole shards of the samples that came before it."""
        if kind is not None and issubclass(kind, Exception):
            with suppress(Exception):  # the first error is the one to tell
                while self._shards:
                    self._confirm()
        self._publishers.shutdown(wait=kind is None, cancel_futures=kind is not None)
        drop_compressors()

    def cut(self, piece: Piece, place: Callable[[int], Place] | None = None) -> None:
        """Add encoded samples to the present shard, ending it wherever it is full.

        Args:
            piece: The samples.
            place: Where the sample of an index in the piece comes from; asked for ascending indexes.

        Raises:
            UploadError: An earlier shard could not be uploaded.
        """
        data, sizes = piece
        begin = end = start = 0
        whole = len(data) + self._extra_bytes * len(sizes)
        fits = not self._limit or self._shard_bytes + whole <= self._limit  # as nearly always
        for i, size in enumerate(() if fits else sizes):
            size_in_shard = size + self._extra_bytes
            if self._limit and self._limit < self._shard_bytes + size_in_shard and (self._pieces or i > start):
                self._keep(data[begin:end], sizes[start:i])
                if place is not None and i:
                    self._place = place(i - 1)
                self._end_shard()
                begin, start = end, i
            end += size
            self._shard_bytes += size_in_shard
        if fits:
            self._shard_bytes += whole
        self._keep(data[begin:], sizes[start:])
        if place is not None and sizes:
            self._place = place(len(sizes) - 1)

    def finish(self) -> None:
        """Finish the last shard, and wait until all are published. Raises what :meth:`cut` does."""
        self._end_shard()
        while self._shards:
            self._confirm()

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
        skipped = list(self._skipped[self._num_noted : self._place.num_skipped]) if self._place else []
        self._num_noted += len(skipped)
        publishing = self._publishers.submit(self._publish, files)
        self._shards.append(_Pending(first, last, self._place, skipped, publishing))
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
        skipped = [(skip.input, skip.item, skip.reason) for skip in shard.skipped]
        self._journal.add(Finished(shard.entry.result(), shard.first, shard.last, shard.place, skipped))
        self._shards.popleft()
