"""Side columns of what a writer is given, taken from the very bytes that are stored."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from streaming.columns.expressions import Expression, check_expressions, make_schema
from streaming.columns.opening import check_fit
from streaming.columns.parquet import COLUMNS_NAME, Facts, open_parquet, write_tables
from streaming.columns.projection import project
from streaming.columns.shards import with_retries
from streaming.core.errors import ConfigError
from streaming.format.formats import ShardEncoder
from streaming.format.index import digest_of
from streaming.format.index.entry import read_schema
from streaming.storage.registry import open_store
from streaming.writing.publish.base import Base
from streaming.writing.publish.target import Target
from streaming.writing.side.publish import check_replaceable, read_stored_footer

__all__ = ["SideWriter"]

#: So many samples are laid end to end at a time.
_RUN = 4096


class SideWriter:
    """Collects side columns, shard by shard, and writes them beside the index.

    Args:
        expressions: The side columns.
        encoder: Of the samples.
        target: Where the dataset goes.
        base: What it is added to.

    Raises:
        ConfigError: There is no such column; or what is added to has no such side columns, or of another version of it.
        FileExistsError: There is a ``columns.parquet`` that is not of ours.
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, expressions: Sequence[Expression], encoder: ShardEncoder, target: Target, base: Base) -> None:
        self._expressions = expressions
        self._schema = read_schema(encoder.index_fields())
        self._arrow = make_schema(check_expressions(expressions, [self._schema], repr(target)))
        self._columns = {one.name: one.source for one in expressions}
        self._target = target
        self._base = base
        self._tables: dict[int, Any] = {}
        for store in (target.published, open_store(target.local)):
            check_replaceable(store, COLUMNS_NAME)
        if base.entries:
            self._check_base()

    @classmethod
    def open(
        cls, expressions: Sequence[Expression], encoder: ShardEncoder, target: Target, base: Base
    ) -> SideWriter | None:
        """Make one, if there is anything to collect; if that fails, the target is closed."""
        if not expressions:
            return None
        try:
            return cls(expressions, encoder, target, base)
        except BaseException:
            target.close()
            raise

    @property
    def _base_samples(self) -> int:
        return sum(entry["samples"] for entry in self._base.entries)

    def _check_base(self) -> None:
        where = f"{COLUMNS_NAME} at {self._target!r}"
        footer = read_stored_footer(self._target.published, COLUMNS_NAME)
        if footer is None or footer.facts is None:
            raise ConfigError(
                f"There is no {where} to append to, and the dataset has samples. Append without side_columns, then make "
                "them for all of it: streaming index URL --columns ... --beside."
            )
        check_fit(footer, digest_of(self._base.index or b""), self._base_samples, where)
        if dict(footer.facts.columns) != self._columns:
            raise ConfigError(
                f"{where} has the side columns {dict(footer.facts.columns)}, and side_columns says {self._columns}. Give "
                "the same, or append without and make them anew: streaming index URL --columns ... --beside."
            )

    def add(self, number: int, samples: Sequence[bytes]) -> None:
        """Take the side columns of a shard.

        Args:
            number: Of the shard, from 0 for the first that is new.
            samples: Its samples, encoded.
        """
        from pyarrow import concat_tables

        tables: list[Any] = []
        for begin in range(0, len(samples), _RUN):
            run = samples[begin : begin + _RUN]
            offsets = np.fromiter(accumulate(map(len, run), initial=0), np.int64, len(run) + 1)
            where = f"New shard {number} of {self._target!r}"
            tables.append(project(b"".join(run), offsets, self._schema, self._expressions, self._arrow, where))
        self._tables[number] = concat_tables(tables)

    def publish(self, index: bytes) -> None:
        """Write and upload the file, before the index that it is of.

        Raises:
            UploadError: It cannot be uploaded.
        """
        new = [self._tables[number] for number in sorted(self._tables)]
        samples = self._base_samples + sum(table.num_rows for table in new)
        facts = Facts(digest_of(index).hex(), samples, self._columns)
        part = self._target.path(f"{COLUMNS_NAME}.part")
        write_tables(part, self._arrow, self._all(new), facts)
        self._target.adopt(COLUMNS_NAME, part)
        self._target.upload(COLUMNS_NAME)

    def _all(self, new: Sequence[Any]) -> Iterator[Any]:
        if self._base.entries:
            self._check_base()
            with tempfile.TemporaryDirectory(prefix="streaming-columns-") as directory:
                path = os.path.join(directory, COLUMNS_NAME)
                with_retries(lambda: self._target.published.download(COLUMNS_NAME, path))
                with open_parquet(path) as file:
                    for group in range(file.num_row_groups):
                        yield file.read_row_group(group, use_threads=False).cast(self._arrow)
        yield from new
