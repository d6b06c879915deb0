"""``Side``: another dataset whose columns are added to a stream's samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.core.names import HashName, Where
from streaming.dataset.joins.keys import match
from streaming.dataset.sources import JoinedSide, Source
from streaming.dataset.stream import Stream
from streaming.dataset.views.choosing import rows_served, select_rows
from streaming.storage.options import StorageOptions
from streaming.storage.url import scheme_of
from streaming.units.parts import choose

__all__ = ["Side"]

_MISSING = ("raise", None, "drop")


class Side:
    """Another dataset whose columns are added to a stream's samples, for ``Stream(join=[...])``.

    Args:
        remote: Where it is; see :class:`streaming.Stream`.
        local: Directory for its shards, or of a dataset that is only local.
        split: Sub-directory that holds it.
        columns: Those of its columns that samples get, in that order; the others are not decoded. Default: all.
        on: Column that says which row belongs to which sample, by equal values: a side column of both datasets; or a pair
            of its names there and here, ``('id', 'image_id')``: the stream's first. Default: rows belong together by their
            place, and both datasets have equally many.
        missing: What a sample is that has no row here, by ``on``: an error when the dataset is made (``'raise'``), a sample
            whose columns of this side are ``None`` (``None``), or left out (``'drop'``).
        side_columns: Where this dataset's side columns are. Default: ``columns.parquet`` beside its index.
        storage_options: Settings of its store.
        download_retry: As for :class:`streaming.Stream`.
        download_timeout: As for :class:`streaming.Stream`.
        validate_hash: As for :class:`streaming.Stream`.
        keep_zip: As for :class:`streaming.Stream`.

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> stream = Stream(local='data', join=[Side(local='wiki', columns=['title'], on='id', missing='drop')])
    """

    def __init__(
        self,
        remote: Where | None = None,
        *,
        local: Where | None = None,
        split: Where | None = None,
        columns: Sequence[str] | None = None,
        on: str | tuple[str, str] | None = None,
        missing: str | None = "raise",
        side_columns: Where | None = None,
        storage_options: StorageOptions | None = None,
        download_retry: int | None = None,
        download_timeout: float | None = None,
        validate_hash: HashName | None = None,
        keep_zip: bool | None = None,
    ) -> None:
        if missing not in _MISSING:
            raise ConfigError(f"missing must be 'raise', None or 'drop', got {missing!r}.")
        given: Any = (on, on) if on is None or isinstance(on, str) else on
        if not isinstance(given, (tuple, list)) or [type(name) for name in given] not in ([str] * 2, [type(None)] * 2):
            raise ConfigError(f"on must be a name, or a pair of the stream's and this side's, got {on!r}.")
        self.on: tuple[str, str] | None = None if on is None else (given[0], given[1])
        self.missing = missing
        self.stream = Stream(
            remote=remote,
            local=local,
            split=split,
            columns=columns,
            side_columns=side_columns,
            storage_options=storage_options,
            download_retry=download_retry,
            download_timeout=download_timeout,
            validate_hash=validate_hash,
            keep_zip=keep_zip,
        )

    def __repr__(self) -> str:
        return f"Side({self.stream!r}, on={self.on!r}, missing={self.missing!r})"

    def joined_to(self, source: Source, defaults: dict[str, Any], allow_unsafe_types: bool) -> Source:
        """Return an opened stream with this side.

        Args:
            source: The stream.
            defaults: What this side takes over where it does not say it itself; ``storage_options`` only in the same kind
                of store as ``remote``.
            allow_unsafe_types: Accept columns whose decoding can run code.

        Raises:
            ConfigError: The rows do not belong together, or a column is there twice.
        """
        taken = dict(defaults)
        if scheme_of(taken.pop("remote") or "") != scheme_of(self.stream.remote or ""):
            taken["storage_options"] = None  # they are of another kind of store
        stream = self.stream.with_defaults(taken)
        side = Source(*stream.open(allow_unsafe_types), side=stream.side_location())
        names = _names(side)
        mine = [*_names(source), *(name for joined in source.joins for name in joined.names)]
        twice = [name for name in names if name in mine]
        if twice:
            raise ConfigError(
                f"Both {source.directory.origin} and {side.directory.origin} have {', '.join(map(repr, twice))}. Name the "
                "columns that you want of one of them: columns=[...]."
            )
        rows = self._by_place(source, side) if self.on is None else self._by_key(source, side)
        if rows is not None and self.missing == "drop" and (rows < 0).any():
            kept = choose(select_rows(source, rows >= 0), source.units)
            source = replace(source, units=kept, chosen=(*source.chosen, f"join(on={self.on!r}, missing='drop')"))
        facts = [side.directory.index.digest.hex(), names, self.on, self.missing]
        digest = blake2b(repr(facts).encode(), digest_size=8)
        if rows is not None:
            digest.update(rows.tobytes())
        joined = JoinedSide(side, rows, tuple(names), digest.hexdigest())
        return replace(source, joins=(*source.joins, joined))

    def _by_place(self, source: Source, side: Source) -> None:
        here, there = int(source.sizes.sum()), int(side.sizes.sum())
        if here != there:
            raise ConfigError(
                f"{source.directory.origin} has {here} samples and {side.directory.origin} {there}: rows cannot belong "
                "together by their place. Say by which key they do: Side(..., on='id')."
            )

    def _by_key(self, source: Source, side: Source) -> NDArray[np.int64]:
        left, right = self.on or ("", "")
        keys = source.side_columns().values(left)
        rows = match(keys, side.side_columns().values(right), right, side.directory.origin)
        if self.missing == "raise":
            without = np.flatnonzero((rows < 0) & rows_served(source))
            if len(without):
                raise ConfigError(
                    f"{len(without)} samples of {source.directory.origin} have no row at {side.directory.origin} by "
                    f"{left!r}, the first of them {keys[int(without[0])].as_py()!r} (sample {without[0]}). Say what they "
                    "are: missing=None, or missing='drop'."
                )
        return rows


def _names(source: Source) -> list[str]:
    """Return the columns of samples, of all shards."""
    if source.directory.columns is not None:
        return list(source.directory.columns)
    return list(dict.fromkeys(name for schema in source.directory.index.schemas for name in schema.column_names))
