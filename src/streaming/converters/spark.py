"""Spark: each partition of a ``DataFrame`` becomes a part of one MDS dataset, written where the partition is.

Needs the ``spark`` extra and Java. Executors need this package too.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from streaming.converters.tables import rows_of
from streaming.core.errors import ConfigError, MissingDependencyError, ObjectNotFoundError, SampleError, WorkerError
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.url import join
from streaming.writing.merge import merge_index as merge_indexes
from streaming.writing.parts.engines import failed
from streaming.writing.publish.places import Place
from streaming.writing.writers import MDSWriter

try:
    from pyspark import TaskContext
    from pyspark.errors import PySparkException
    from pyspark.sql import DataFrame
    from pyspark.sql import types as spark

    from streaming.converters.spark_columns import SPARK_TO_MDS, infer_dataframe_schema, is_json_compatible
except ImportError as error:
    raise MissingDependencyError(
        "Converting a Spark DataFrame needs pyspark: pip install 'streaming-dataset[spark]', and Java."
    ) from error

__all__ = ["SPARK_TO_MDS", "dataframe_to_mds", "infer_dataframe_schema", "is_json_compatible"]

logger = logging.getLogger(__name__)

_RESULT = spark.StructType(
    [spark.StructField("part", spark.StringType()), spark.StructField("told", spark.StringType())]
)


def dataframe_to_mds(
    dataframe: DataFrame | None,
    merge_index: bool = True,
    mds_kwargs: Mapping[str, Any] | None = None,
    udf_iterable: Callable[..., Iterable[Mapping[str, Any]]] | None = None,
    udf_kwargs: Mapping[str, Any] | None = None,
    *,
    encodings: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Write a ``DataFrame`` as an MDS dataset: one part a partition, in parallel, under one index.

    Of a task that Spark tries again, or whose executor was lost, only the attempt that succeeded is in the index; what the
    others have left is removed before that is written.

    Args:
        dataframe: The data.
        merge_index: Write the index of all parts at the root. Without it, what lost attempts have left stays.
        mds_kwargs: Arguments of :class:`streaming.MDSWriter`, ``out`` at least. ``columns`` are chosen by the schema if they
            are not given: with a question mark (``'int64?'``) where values turn out to be missing, for which all is begun
            anew; ``compression`` is ``'zstd'`` if it is not given. On a cluster, a local ``out`` must be one that all nodes
            share.
        udf_iterable: Makes samples of each pandas ``DataFrame`` of a partition; ``columns`` are then needed.
        udf_kwargs: Its further arguments.
        encodings: Encodings of some columns, by name; those of the others are chosen by the schema.

    Returns:
        The local directory that holds the dataset, or ``''``, and the remote, or ``''``.

    Raises:
        ConfigError: The frame is missing or empty, an argument is missing, or the columns do not fit the schema.
        SampleError: A row does not fit the columns.
        FileExistsError: There is a dataset, and ``mds_kwargs`` has no ``exist_ok``.
        WorkerError: A task failed again and again.
    """
    if dataframe is not None and not hasattr(dataframe, "mapInArrow"):
        raise ConfigError(f"dataframe must be one of Spark, got a {type(dataframe).__name__}.")
    if dataframe is None or dataframe.isEmpty():
        raise ConfigError("The DataFrame is missing or empty: there is nothing to write.")
    arguments: dict[str, Any] = {"compression": "zstd", **(mds_kwargs or {})}
    chosen: set[str] = set()
    if not arguments.get("out"):
        raise ConfigError("mds_kwargs needs `out`: where the dataset is written.")
    if not arguments.get("columns"):
        if udf_iterable is not None:
            raise ConfigError("mds_kwargs needs `columns` when udf_iterable makes the samples.")
        infer_dataframe_schema(dataframe, encodings or {})
        rest = dataframe.drop(*(encodings or {}))
        arguments["columns"] = {**(infer_dataframe_schema(rest) or {}), **(encodings or {})}
        logger.info("columns chosen by the schema: %s", arguments["columns"])
        chosen = set(rest.columns)
    elif encodings:
        raise ConfigError("encodings are for columns that are chosen by the schema; mds_kwargs has `columns`.")
    elif udf_iterable is None:
        infer_dataframe_schema(dataframe, arguments["columns"])

    local, remote = _places(arguments.pop("out"))
    if merge_index and not arguments.get("exist_ok"):
        _check_nothing_there(remote or local)
    keep = bool(arguments.pop("keep_local", False)) or not remote
    places = (local, remote)
    there = _attempts(places)
    part = _Part(
        places, keep, arguments, udf_iterable, dict(udf_kwargs or {}), frozenset(chosen), 1 + max(there, default=-1)
    )
    if udf_iterable is None:  # by numbers: Spark would look for a column within another, where a name has a dot
        names = list(arguments["columns"])
        dataframe = dataframe.select(*map(_quoted, names)).toDF(*map(str, range(len(names))))
    parts = _run(dataframe, part)
    if merge_index:
        _remove(places, _attempts(places).difference(there, map(int, parts)))
        indexes = [join(join(remote or local, name), "index.json") for name in parts]
        merge_indexes(indexes, (local, remote) if local and remote else local or remote, keep_local=keep)
    if local and not keep:
        with suppress(OSError):  # the writers removed their files; it holds something else, or is not here
            os.rmdir(local)
        local = ""
    return local, remote


def _quoted(name: str) -> str:
    """Return the name of a column as Spark takes it for that, whatever it has in it."""
    return f"`{name.replace('`', '``')}`"


def _check_nothing_there(out: str) -> None:
    """Refuse to put an index in the place of another.

    Raises:
        FileExistsError: There is one.
    """
    with suppress(ObjectNotFoundError):
        open_store(Location.parse(out)).head("index.json")
        raise FileExistsError(
            f"There is a dataset at {out}. Choose another place, or have mds_kwargs say exist_ok=True to put another index "
            "in the place of its own."
        )


def _places(out: Any) -> tuple[str, str]:
    if isinstance(out, (tuple, list)):
        place = Place.parse(out)
        return place.local.url if place.local else "", place.remote.url if place.remote else ""
    place = Location.parse(os.fspath(out))
    return (place.url, "") if place.is_local else ("", place.url)


@dataclass(frozen=True)
class _Part:
    """What a task does. It can be pickled, if the user's function can."""

    places: tuple[str, str]
    keep: bool
    arguments: dict[str, Any]
    make_samples: Callable[..., Iterable[Mapping[str, Any]]] | None
    further: dict[str, Any]
    chosen: frozenset[str]
    first: int

    @property
    def task(self) -> Callable[[Iterator[Any]], Iterator[Any]]:
        """What is called with a partition."""
        return self.of_batches if self.make_samples is None else self.of_frames

    def of_frames(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Write a partition of pandas' frames, by the user's function."""
        import pandas as pd

        assert self.make_samples is not None
        name, told = self._written(row for frame in frames for row in self.make_samples(frame, **self.further))
        yield pd.DataFrame([{"part": name, "told": told}])

    def of_batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Write a partition of record batches."""
        import pyarrow as pa

        missing: set[str] = set()
        names = list(self.arguments["columns"])
        batches = (batch.rename_columns(names) for batch in batches)

        def rows() -> Iterator[dict[str, Any]]:
            for batch in batches:
                missing.update(name for name in self.chosen if batch.column(name).null_count)
                if missing:
                    raise _MissingError
                yield from rows_of(batch)

        name, told = self._written(rows())
        for batch in batches if missing else ():
            missing.update(name for name in self.chosen if batch.column(name).null_count)
        told = json.dumps({"missing": sorted(missing)}) if missing else told
        yield pa.RecordBatch.from_pydict({"part": [name], "told": [told]})

    def _written(self, samples: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
        """Write a partition on the node that has it; return the name of its directory, and what is to be told."""
        context = TaskContext.get()
        if context is None:
            raise WorkerError("There is no Spark task: this runs only in an executor.")
        # An attempt has a number of its own, so that a repeated or speculative one does not write into another's part; not
        # that of one of another application, which counts from the start.
        name = str(self.first + context.taskAttemptId())
        local, remote = (join(place, name) if place else "" for place in self.places)
        out = (local, remote) if local and remote else local or remote
        with suppress(_MissingError), MDSWriter(out=out, keep_local=self.keep, **self.arguments) as writer:
            for number, sample in enumerate(samples):
                try:
                    writer.write({column: _plain(value) for column, value in sample.items()})
                except SampleError as error:  # which another attempt would meet again
                    return name, json.dumps({"error": f"Partition {context.partitionId()}, row {number}: {error}"})
        return name, "{}"


class _MissingError(Exception):
    """A column that was chosen to take no ``None`` has one."""


def _run(dataframe: DataFrame, part: _Part) -> list[str]:
    """Write all partitions; return the name of each one's directory.

    Raises:
        SampleError: A row does not fit the columns.
        WorkerError: A task failed again and again.
    """
    how = dataframe.mapInArrow if part.make_samples is None else dataframe.mapInPandas
    try:
        told = {row["part"]: json.loads(row["told"]) for row in how(part.task, _RESULT).collect()}
    except PySparkException as error:
        raise failed("Spark", error) from error
    missing = {name for one in told.values() for name in one.get("missing", ())}
    error = next((one["error"] for one in told.values() if "error" in one), None)
    if missing or error:
        _remove(part.places, map(int, told))
    if error:
        raise SampleError(error)
    if not missing:
        return list(told)
    logger.warning("values are missing in %s: written anew, with encodings that take None", ", ".join(sorted(missing)))
    columns = {name: f"{of}?" if name in missing else of for name, of in part.arguments["columns"].items()}
    return _run(
        dataframe, replace(part, arguments={**part.arguments, "columns": columns}, chosen=part.chosen - missing)
    )


def _attempts(places: tuple[str, str]) -> set[int]:
    """Return the numbers of the attempts of tasks that have a directory at places."""
    names: set[str] = set()
    for where in map(Location.parse, filter(None, places)):
        if not where.is_local:
            names.update(info.path.partition("/")[0] for info in open_store(where).list() if "/" in info.path)
        elif os.path.isdir(where.path):
            names.update(os.listdir(where.path))
    return {int(name) for name in names if name.isdecimal()}


def _remove(places: tuple[str, str], attempts: Iterable[int]) -> None:
    for number in attempts:
        for place in filter(None, places):
            where = Location.parse(place)
            store = open_store(where)
            for info in list(store.list(str(number))):
                store.delete(info.path)
            if where.is_local:
                shutil.rmtree(where.join(str(number)).path, ignore_errors=True)


def _plain(value: Any) -> Any:
    """Turn Spark's rows into dicts, at any depth."""
    if isinstance(value, spark.Row):
        return {name: _plain(item) for name, item in value.asDict().items()}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
