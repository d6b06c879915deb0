"""Where the samples of a bulk write come from: rows, or a function that makes rows of inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from operator import length_hint
from typing import TYPE_CHECKING, Any

from streaming.writing.bulk.ahead import Ahead, Chunk, pickled
from streaming.writing.bulk.cutting import Cutter
from streaming.writing.bulk.journal import Journal, Place
from streaming.writing.bulk.mapping import Function, Part, infer_from
from streaming.writing.bulk.pipeline import Pipeline
from streaming.writing.bulk.recipe import Recipe
from streaming.writing.bulk.report import Skipped
from streaming.writing.bulk.resume import inputs_after, rows_after
from streaming.writing.bulk.workers import WorkerPool
from streaming.writing.rows.infer import infer_columns
from streaming.writing.rows.inputs import Inputs, checked_row, metadata_of, taken, taken_inputs
from streaming.writing.rows.keys import KeyCheck
from streaming.writing.rows.snapshot import check_fit, snapshot

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["InputSource", "RowSource", "Source"]

_ROWS_TO_INFER_FROM = 32
_INPUTS_TO_INFER_FROM = 1024
# What a worker may have ready ahead of its turn: about a shard.
_SHARD_BYTES = 1 << 26
_LEAST_BYTES = 1 << 23

Row = Mapping[str, Any]


class RowSource:
    """Rows.

    Args:
        given: What a user has.
        columns: Encoding of each column; ``None``: to be inferred.

    Attributes:
        columns: The same, none to be inferred any more.
        total: How many rows there are; ``None`` if that is not known.
        unit: What is counted.
        skipped: What was left out.
        metadata: What is known of the columns.
    """

    unit = " samples"

    def __init__(self, given: Inputs, columns: Mapping[str, str] | None) -> None:
        self._rows, columns = taken(given, columns)
        self.metadata = metadata_of(self._rows)
        self.total = length_hint(self._rows) or None
        self.skipped: list[Skipped] = []
        if columns is None:
            self._rows, columns = _inferred(self._rows)
        self.columns = columns

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""

    def num_done(self, journal: Journal) -> int:
        """Return how much of it is finished."""
        return journal.num_samples

    def feed(
        self, recipe: Recipe, pool: WorkerPool, cutter: Cutter, journal: Journal, progress: Any, keys: KeyCheck
    ) -> None:
        """Hand all samples that are not finished to a cutter.

        Args:
            recipe: How they are encoded.
            pool: Encodes them.
            cutter: Makes shards of them.
            journal: What is finished.
            progress: A progress bar.
            keys: Looks for keys of rows that are no columns.

        Raises:
            ConfigError: Rows are no mappings, have keys that are no columns and these were inferred, or are others than
                those that are finished.
            SampleError: A row does not fit the columns.
            UploadError: A shard could not be uploaded.
        """
        rows = rows_after(self._rows, journal.finished, recipe)
        with Pipeline(recipe, pool, cutter, journal.num_samples, progress, keys) as pipeline:
            for row in rows:
                pipeline.add(row)
            pipeline.finish()


class InputSource:
    """A function that makes rows of inputs, in processes that it starts.

    Args:
        given: The inputs.
        columns: Encoding of each column; ``None``: to be inferred.
        function: Makes of an input a row, ``None`` or many.
        workers: Number of processes.
        skips: Leave out what fails.

    Attributes:
        columns: The same, none to be inferred any more.
        total: How many inputs there are; ``None`` if that is not known.
        unit: What is counted.
        skipped: What was left out.
        metadata: What is known of the columns.
    """

    unit = " inputs"

    def __init__(
        self, given: Inputs, columns: Mapping[str, str] | None, function: Function, workers: int, skips: bool
    ) -> None:
        self._inputs = taken_inputs(given)
        self.metadata: dict[str, Any] = {}
        self.total = length_hint(self._inputs) or None
        self.skipped: list[Skipped] = []
        self._function = function
        self._skips = skips
        self._pool = WorkerPool(workers, given=function)
        try:
            self.columns = self._inferred() if columns is None else columns
        except BaseException as error:
            self._pool.__exit__(type(error))
            raise

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the processes."""
        self._pool.__exit__(kind)

    def num_done(self, journal: Journal) -> int:
        """Return how much of it is finished."""
        place = journal.finished[-1].place if journal.finished else None
        return place.input if place else 0

    def feed(
        self, recipe: Recipe, pool: WorkerPool, cutter: Cutter, journal: Journal, progress: Any, keys: KeyCheck
    ) -> None:
        """Hand all samples that are not finished to a cutter. Arguments and errors as for :meth:`RowSource.feed`.

        Raises:
            InputError: The function failed.
        """
        del pool
        last = journal.finished[-1] if journal.finished else None
        place = last.place if last else None
        self.skipped += (Skipped(*skip) for done in journal.finished for skip in done.skipped)
        inputs, seen = inputs_after(self._inputs, place)
        after = (place.row, last.last) if last and place else None
        most_bytes = max(1, self._pool.num_workers) * max(_LEAST_BYTES, recipe.size_limit or _SHARD_BYTES)
        first = place.input if place else 0
        ahead = Ahead(self._pool, self._function, recipe, inputs, first, after, self._skips, most_bytes)
        num_samples = journal.num_samples

        def see(chunk: Chunk, end: int) -> None:
            while seen.count < end:
                seen.add(chunk.identities[seen.count - chunk.first])

        def place_of(chunk: Chunk, part: Part, num_before: int, index: int) -> Place:
            number, row = part.place(index)
            see(chunk, number + 1)
            num_skipped = num_before + sum(before <= index for before, *_ in part.skipped)
            return Place(number, row, seen.fingerprint, num_skipped)

        with ahead:
            for chunk, part in ahead.parts():
                num_before = len(self.skipped)
                self.skipped += (Skipped(number, item, reason) for _, number, item, reason in part.skipped)
                if part.unknown is not None and keys.active:
                    keys.look(num_samples + part.unknown[0], dict.fromkeys(part.unknown[1]), stacklevel=4)
                cutter.cut(part.joined(), partial(place_of, chunk, part, num_before))
                num_samples += len(part.sizes)
                if part.is_last:
                    see(chunk, chunk.first + len(chunk.identities))
                progress.update(part.inputs)

    def _inferred(self) -> dict[str, str]:
        """Choose encodings by rows that the function makes of the first inputs."""
        items: list[bytes] = []
        num_inputs = 8
        sequence = self._inputs if isinstance(self._inputs, Sequence) else None
        inputs = iter(self._inputs)
        taken: list[Any] = []
        while True:
            for item in islice(inputs, num_inputs - len(items)):
                items.append(pickled(len(items), item))
                taken.append(item)
            is_last = len(items) < num_inputs or num_inputs >= _INPUTS_TO_INFER_FROM
            arguments = items, _ROWS_TO_INFER_FROM, is_last, self._skips
            if self._pool.num_workers:
                columns = self._pool.call(infer_from, *arguments)
            else:
                columns = infer_from(self._function, *arguments)
            if columns is not None:
                break
            num_inputs *= 4
        if sequence is None:
            self._inputs = chain(taken, inputs)
        return columns


Source = RowSource | InputSource


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
