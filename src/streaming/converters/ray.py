"""Ray Data: the blocks of a dataset become parts of one MDS dataset, written where they are.

Needs the ``ray`` extra, on all machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from streaming.converters.tables import encodings_of, rows_of
from streaming.core.errors import MissingDependencyError, SampleError, ShardTooLargeError, StreamingError
from streaming.core.names import Compression, HashName, Out
from streaming.format.metadata import dump_metadata
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store
from streaming.writing.bulk.recipe import Piece, Recipe, encode_rows, make_recipe
from streaming.writing.bulk.workers import portable
from streaming.writing.options import WriterOptions
from streaming.writing.parts.publish import publish
from streaming.writing.parts.shards import directory_of, write_shards
from streaming.writing.parts.write import checked_place
from streaming.writing.publish.entries import check_columns
from streaming.writing.publish.target import Target

try:
    import pyarrow as pa
    from ray.data import Datasink
    from ray.data.block import BlockAccessor
except ImportError as error:
    raise MissingDependencyError(
        "Writing a dataset of Ray Data needs ray: pip install 'streaming-dataset[ray]'."
    ) from error

__all__ = ["MDSSink"]

_AT_ONCE = 1000
_SHARD_BYTES = 1 << 26

Part = tuple[int, "list[dict[str, Any]] | Exception"]


class MDSSink(Datasink[Part]):
    """What ``ray.data.Dataset.write_datasink`` writes an MDS dataset by: each of its tasks a part, under one index.

    A task that Ray tries again writes the same files again, and of one that was lost nothing is listed. The order of samples
    is that of Ray's blocks; set ``DataContext.execution_options.preserve_order`` to have that of the data.

    Args:
        out: Where to write: a directory that all machines share, or a URL.
        columns: Encoding of each column, by name; others are left out. ``None``: by Arrow's types. These do not say that
            a value is never missing, so all columns take ``None`` (``'int64?'``), which ``mosaicml-streaming`` cannot read.
        compression: As for :class:`streaming.MDSWriter`.
        hashes: Hash algorithms to record for every file.
        size_limit: Largest raw size of a shard in bytes.
        metadata: As for :func:`streaming.write`.
        compatible: Refuse columns that ``mosaicml-streaming`` cannot read.
        exist_ok: Replace the dataset that is there, or what a job that died has left.
        retry: Further attempts after a failed upload.
        storage_options: Settings of the store.

    Raises:
        ConfigError: An argument is wrong, or blocks have different columns.
        FileExistsError: There is something, and ``exist_ok`` is not set.
        SampleError: A row does not fit the columns.

    So it is called::

        import ray
        ds = ray.data.from_items([{"id": i, "text": f"text {i}"} for i in range(100)])
        ds.write_datasink(MDSSink("s3://bucket/corpus", columns={"id": "int64", "text": "str"}))
    """

    def __init__(
        self,
        out: Out,
        columns: Mapping[str, str] | None = None,
        *,
        compression: Compression | None = None,
        hashes: Sequence[HashName] | None = None,
        size_limit: int | str | None = 1 << 26,
        metadata: Mapping[str, Any] | None = None,
        compatible: bool = False,
        exist_ok: bool = False,
        retry: int = 2,
        storage_options: StorageOptions | None = None,
    ) -> None:
        self._options = WriterOptions(
            compression=compression, hashes=hashes, size_limit=size_limit, exist_ok=exist_ok, retry=retry
        )
        self._compatible = compatible
        self._given = None if columns is None else make_recipe(columns, self._options, compatible)
        self._recipe = self._given
        self._metadata = dump_metadata(metadata) if metadata else None
        self._place = checked_place(out, storage_options)
        self._store = open_store(self._place.where)
        self._target: Target | None = None  # in the process alone that begins and ends the job

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what a task needs."""
        return {**self.__dict__, "_target": None}

    @property
    def min_bytes_per_write(self) -> int:
        """What a task is given at least, if there is so much: a shard."""
        return self._options.most_bytes or _SHARD_BYTES

    def on_write_start(self, schema: Any = None) -> None:
        """Take what is there away, if that may be. Called by Ray.

        Args:
            schema: Of the first block.

        Raises:
            FileExistsError: It may not.
            ConfigError: A column of the schema has no encoding.
        """
        self._recipe = self._given or (self._recipe_of(schema) if isinstance(schema, pa.Schema) else None)
        self._target = Target(self._place, keep_local=False, retries=self._options.retry, yields=False)
        try:
            if not self._options.exist_ok:
                self._target.check_remote()
            self._target.clear(self._options.exist_ok)
        except BaseException:
            self._target.close()
            raise

    def write(self, blocks: Iterable[Any], ctx: Any) -> Part:
        """Write the blocks of a task. Called by Ray.

        Args:
            blocks: They.
            ctx: The task.

        Returns:
            Its number, and the entries of its shards; or what went wrong, to be raised where the job began.
        """
        try:
            return ctx.task_idx, self._written(blocks, ctx.task_idx)
        except StreamingError as error:
            return ctx.task_idx, portable(error)

    def _written(self, blocks: Iterable[Any], number: int) -> list[dict[str, Any]]:
        tables = (BlockAccessor.for_block(block).to_arrow() for block in blocks)
        first = next((table for table in tables if table.num_rows), None)
        if first is None:
            return []
        recipe = self._recipe or self._recipe_of(first.schema)
        rows = chain.from_iterable(map(rows_of, chain((first,), tables)))
        directory = directory_of(number)
        return list(write_shards(self._store, recipe, directory, _encoded(recipe, rows, number), self._options.retry))

    def on_write_complete(self, write_result: Any) -> None:
        """Write the index. Called by Ray.

        Args:
            write_result: What the tasks returned.

        Raises:
            SampleError: A row does not fit the columns.
            ConfigError: The tasks had different columns.
            UploadError: A shard is not there, or it or the index could not be written.
        """
        if self._target is None:
            self.on_write_start()
        target = self._target
        assert target is not None
        parts: list[tuple[int, list[dict[str, Any]]]] = []
        for number, written in sorted(write_result.write_returns, key=lambda part: part[0]):
            if isinstance(written, Exception):
                raise written
            parts.append((number, written))
        check_columns([(directory_of(number), entries) for number, entries in parts])
        publish(target, (entry for _, entries in parts for entry in entries), self._metadata)
        self._close()

    def on_write_failed(self, error: Exception) -> None:
        """Let the directory go. Called by Ray.

        Args:
            error: What went wrong.
        """
        del error
        self._close()

    def _recipe_of(self, schema: Any) -> Recipe:
        return make_recipe(encodings_of(schema), self._options, self._compatible)

    def _close(self) -> None:
        if self._target is not None:
            self._target.close()
            self._target = None


def _encoded(recipe: Recipe, rows: Iterator[dict[str, Any]], number: int) -> Iterator[Piece]:
    row_number = 0
    while some := list(islice(rows, _AT_ONCE)):
        try:
            yield encode_rows(recipe, row_number, some)
        except (SampleError, ShardTooLargeError) as error:
            raise type(error)(f"Of the rows of task {number}: {error}") from error
        row_number += len(some)
