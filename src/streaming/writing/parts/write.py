"""Inputs of a function to a dataset, by a cluster, and restartable."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Protocol

from streaming.core.errors import ConfigError
from streaming.core.names import Out
from streaming.format.metadata import dump_metadata
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store
from streaming.writing.bulk.mapping import Function
from streaming.writing.bulk.recipe import make_recipe
from streaming.writing.bulk.report import Skipped, WriteReport, bytes_of
from streaming.writing.options import WriterOptions, checked_workers
from streaming.writing.parts.ledger import begin, end
from streaming.writing.parts.publish import publish
from streaming.writing.parts.work import Job, Receipt, Task, attempt, check_same, name_of
from streaming.writing.publish.places import Place
from streaming.writing.publish.target import Target
from streaming.writing.rows.keys import KeyCheck

__all__ = ["Engine", "checked_place", "write_parts"]


class Engine(Protocol):
    """Calls a function for each of many tasks, on a cluster, until each has ended once at least."""

    def __call__(
        self, function: Callable[[Task], Receipt | Exception], tasks: Sequence[Task], at_once: int | None, /
    ) -> Iterator[Receipt | Exception]:
        """Yield what the function returns, in any order. An iterator that is closed gives up what is under way.

        Args:
            function: It raises nothing, and may be called again for a task whose machine was lost.
            tasks: What it is called with.
            at_once: How many tasks may be under way; ``None``: as many as the cluster has room for.

        Raises:
            WorkerError: A task has lost its process or machine again and again.
        """
        ...


def write_parts(
    engine: Engine,
    groups: Sequence[Sequence[Any]],
    out: Out,
    columns: Mapping[str, str],
    *,
    fn: Function,
    on_error: str = "raise",
    metadata: Mapping[str, Any] | None = None,
    compatible: bool = False,
    workers: int | None = None,
    exist_ok: bool = False,
    resume: bool = True,
    retry: int = 2,
    progress_bar: bool = True,
    storage_options: StorageOptions | None = None,
    **shards: Any,
) -> WriteReport:
    """Write what a function makes of inputs, a group of inputs a part; samples keep their order.

    A call that was killed, or failed, continues when it is made again, on any machine: parts that are finished are kept.

    Args:
        engine: Has the parts written.
        groups: The inputs of each part.
        out: A directory that all machines share, or a URL.
        columns: Encoding of each column.
        fn: Makes rows of an input, as for :func:`streaming.write`, like all arguments below.
        on_error: ``'skip'`` leaves out what fails.
        metadata: What else is known.
        compatible: Refuse columns that ``mosaicml-streaming`` cannot read.
        workers: How many parts may be under way at once; ``None``: as many as the cluster has room for.
        exist_ok: Replace what is there.
        resume: Continue an unfinished call.
        retry: Further attempts after a failed upload.
        progress_bar: Show one.
        storage_options: Settings of the store.
        shards: ``compression``, ``hashes`` and ``size_limit``.

    Raises:
        StreamingError: As for :func:`streaming.write`.
    """
    started = time.monotonic()
    options = WriterOptions(retry=retry, exist_ok=exist_ok, **shards)
    recipe = make_recipe(columns, options, compatible)
    contents = dump_metadata(metadata) if metadata else None
    at_once = checked_workers(workers) if workers is None or workers > 0 else 1
    place = checked_place(out, storage_options)
    tasks = _tasks(groups)
    target = Target(place, keep_local=False, retries=retry, yields=False)
    try:
        job = Job(name_of(recipe, tasks), open_store(place.where), recipe, fn, on_error == "skip", retry)
        done = begin(target, job, resume=resume, exist_ok=exist_ok)
        resumed = sum(receipt.samples for receipt in done.values())
        if done:
            number = max(done)
            check_same(job, tasks[number], done[number])
        _do(engine, job, [task for task in tasks if task.number not in done], at_once, done, progress_bar)
        receipts = [done[task.number] for task in tasks]
        _warn_of_keys(receipts, KeyCheck(columns, repr(target)))
        entries = publish(target, (entry for receipt in receipts for entry in receipt.entries), contents)
        end(target)
    finally:
        target.close()
    skipped = tuple(Skipped(*skip) for receipt in receipts for skip in receipt.skipped)
    return WriteReport(
        repr(target),
        sum(receipt.samples for receipt in receipts),
        len(entries),
        bytes_of(entries, "raw_data"),
        bytes_of(entries, "zip_data") if recipe.compression else None,
        time.monotonic() - started,
        resumed,
        dict(recipe.columns),
        skipped,
    )


def checked_place(out: Out, storage_options: StorageOptions | None) -> Place:
    """Return the place that all machines write to: a URL, or a directory by its whole path.

    Raises:
        ConfigError: It is a pair of both.
    """
    place = Place.parse(out, storage_options)
    if place.local and place.remote:
        raise ConfigError(
            f"out=({str(place.local)!r}, {str(place.remote)!r}): a cluster writes to one place. Give the URL alone, or a "
            "directory that all machines share."
        )
    return Place.of(place.where.absolute(os.getcwd()))


def _tasks(groups: Sequence[Sequence[Any]]) -> list[Task]:
    tasks: list[Task] = []
    first = 0
    for number, group in enumerate(groups):
        tasks.append(Task(number, first, tuple(group)))
        first += len(group)
    return tasks


def _do(
    engine: Engine, job: Job, tasks: list[Task], at_once: int | None, done: dict[int, Receipt], progress_bar: bool
) -> None:
    """Have parts written; add their receipts to ``done``."""
    from tqdm import tqdm

    if not tasks:
        return
    disable = None if progress_bar else True
    bar: Any = tqdm(
        desc=f"Writing {job.store!r}", total=len(done) + len(tasks), initial=len(done), unit=" parts", disable=disable
    )
    with bar, closing(engine(partial(attempt, job), tasks, at_once)) as results:  # pyright: ignore[reportArgumentType]
        for result in results:
            if isinstance(result, Exception):
                raise result
            done[result.number] = result
            bar.update()


def _warn_of_keys(receipts: Sequence[Receipt], keys: KeyCheck) -> None:
    first = 0
    for receipt in receipts:
        if receipt.unknown and keys.active:
            keys.look(first, dict.fromkeys(receipt.unknown), stacklevel=5)
        first += receipt.samples
