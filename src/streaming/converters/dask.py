"""Dask: the partitions of a ``DataFrame`` become parts of one MDS dataset, written where they are made.

Needs the ``dask`` extra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from streaming.core.errors import ConfigError, MissingDependencyError
from streaming.core.names import Out
from streaming.writing.bulk.report import WriteReport
from streaming.writing.parts.engines import lost, telling_of_no_workers
from streaming.writing.parts.write import write_parts
from streaming.writing.rows.inputs import taken

try:
    import distributed
    from dask.base import compute
    from dask.delayed import delayed
except ImportError as error:
    raise MissingDependencyError(
        "Converting a DataFrame of Dask needs dask: pip install 'streaming-dataset[dask]'."
    ) from error

__all__ = ["dataframe_to_mds"]


def dataframe_to_mds(dataframe: Any, out: Out, columns: Mapping[str, str] | None = None, **options: Any) -> WriteReport:
    """Write a ``DataFrame`` of Dask as an MDS dataset: one part a partition, in their order, under one index.

    Partitions are made by the cluster that this process has a client of; without one, as ``dask.compute`` makes them. A call
    that was killed continues when it is made again: partitions that are written are not made again.

    Args:
        dataframe: The data. Its index is not stored.
        out: Where to write: a directory that all machines share, or a URL.
        columns: Encoding of each column, by name; ``None``: by the first partition. A column that has no missing value
            there but elsewhere needs one that takes them, such as ``'int64?'``.
        options: As for :func:`streaming.write`: ``compression``, ``hashes``, ``size_limit``, ``metadata``, ``compatible``,
            ``exist_ok``, ``resume``, ``retry``, ``progress_bar``, ``storage_options``.

    Returns:
        What was written.

    Raises:
        ConfigError: An argument is wrong, or no encoding fits a column.
        SampleError: A row does not fit the columns.
        FileExistsError: There is a dataset, and ``exist_ok`` is not set.
        WorkerError: A partition has lost its worker again and again.

    So it is called::

        import dask.dataframe
        frame = dask.dataframe.read_parquet("s3://lake/web/*.parquet")
        dataframe_to_mds(frame, "s3://bucket/web", compression="zstd")
    """
    if not hasattr(dataframe, "to_delayed"):
        raise ConfigError(
            f"dataframe must be one of Dask, got a {type(dataframe).__name__}; streaming.write takes others."
        )
    columns = taken(dataframe, columns)[1]
    numbers = [[number] for number in range(dataframe.npartitions)]
    engine = partial(_run, dataframe)
    return write_parts(engine, numbers, out, columns or {}, fn=_Partition(dataframe), **options)


@dataclass(frozen=True)
class _Partition:
    """Makes a frame of pandas of the number of a partition; one that is made already stays as it is."""

    dataframe: Any

    def __call__(self, made: Any) -> Any:
        return self.dataframe.get_partition(made).compute() if isinstance(made, int) else made

    def __reduce__(self) -> Any:
        return _Partition, (None,)  # those who do a part are given it


def _run(dataframe: Any, function: Any, tasks: Sequence[Any], at_once: int | None) -> Iterator[Any]:
    """Have partitions made and written; an engine (see :class:`streaming.writing.parts.write.Engine`)."""
    del at_once  # Dask's own matter: it makes partitions, and what they are made of, as it sees fit
    frames = dataframe.to_delayed()
    write = delayed(_write, pure=False)
    parts = [write(function, task, frames[task.number]) for task in tasks]
    try:
        client = distributed.get_client()
    except ValueError:
        yield from compute(*parts)
        return
    futures = client.compute(parts)
    try:
        with telling_of_no_workers("Dask", client.nthreads):
            for future in distributed.as_completed(futures):
                error = future.exception()
                if isinstance(error, distributed.KilledWorker):
                    raise lost("Dask", error) from error
                yield error if isinstance(error, Exception) else future.result()
    finally:
        client.cancel(futures)


def _write(function: Any, task: Any, frame: Any) -> Any:
    return function(task._replace(items=(frame,)))
