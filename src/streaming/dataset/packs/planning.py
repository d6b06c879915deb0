"""The bins of every stream: planned once on a node, and kept."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.cache.private import default_local, make_private
from streaming.core.errors import AccessDeniedError, ConfigError
from streaming.core.process.lock import locked_part
from streaming.dataset.packs.lengths import find_lengths, version_of_lengths
from streaming.dataset.sources import Source
from streaming.packing.options import Bucket, Pack
from streaming.packing.packs import Packs
from streaming.packing.plan_file import PlanFile, read_plan, write_plan

__all__ = ["plan_packs"]

logger = logging.getLogger(__name__)

#: How long another process may be at one shard, in seconds.
_PATIENCE_S = 600.0


def plan_packs(
    sources: Sequence[Source], rule: Pack | Bucket, cache: ShardCache, lengths: NDArray[Any] | None = None
) -> list[Packs]:
    """Return the bins of every stream.

    Args:
        sources: The streams.
        rule: How documents are put into bins.
        cache: Their shards.
        lengths: ``[size]``, of every sample, if that is known.

    Raises:
        ConfigError: Lengths are unknown, do not fit the rule, or none is left.
    """
    made: list[Packs] = []
    first = begin = 0
    for source in sources:
        units = source.units
        if isinstance(units, Packs):
            raise ConfigError("The samples are bins already: pack once, by one Pack.")
        end = begin + int(source.counts.sum())
        if lengths is None:
            if units is not None and units.has_parts:
                raise ConfigError(
                    "The samples are parts of rows, whose lengths are stored nowhere: pack them by dataset.pack(Pack(...), "
                    "lengths=dataset.measure(lambda part: part[...]))."
                )
            plan = _plan(source, rule, cache, first, begin)
        else:
            borders = np.cumsum(source.counts)[:-1]
            plan = _in_memory(source, rule, np.split(lengths[begin:end], borders), begin)
        if not plan.counts.any():
            raise ConfigError(f"{source.directory.origin} has no document with anything to pack.")
        made.append(Packs(plan, rule, units))
        first, begin = first + len(source.sizes), end
    return made


def _plan(source: Source, rule: Pack | Bucket, cache: ShardCache, first: int, first_id: int) -> PlanFile:
    directory = _directory(source)
    units = "" if source.units is None else source.units.fingerprint
    # What was planned by a side column is planned again where that has been made anew.
    measured = (version_of_lengths(source, rule), "" if isinstance(rule, Bucket) else (rule.columns[0], rule.dtype))
    name = f"{source.directory.index.digest.hex()}|{source.side}|{units}|{rule.rule}|{measured}"
    if directory is None:
        return _in_memory(source, rule, _of_units(source, find_lengths(source, rule, cache, first)), first_id)
    path = os.path.join(directory, f".streaming-pack-{blake2b(name.encode(), digest_size=12).hexdigest()}")
    if (known := read_plan(path, name)) is not None:
        return known
    with locked_part(f"{path}.part", _PATIENCE_S) as part:
        known = read_plan(path, name)
        if known is not None:
            return known
        logger.info("planning the bins of %s", source.directory.origin)
        with open(part, "wb") as file:
            lengths = _of_units(source, find_lengths(source, rule, cache, first))
            write_plan(file, source.directory.index.raw_bytes, lengths, rule, name, first_id)
        os.replace(part, path)
    return PlanFile(path)


def _in_memory(source: Source, rule: Pack | Bucket, lengths: Iterable[NDArray[Any]], first_id: int) -> PlanFile:
    file = io.BytesIO()
    write_plan(file, source.directory.index.raw_bytes, lengths, rule, "", first_id)
    return PlanFile(file.getvalue())


def _of_units(source: Source, lengths: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield the lengths of those rows of each shard that are samples."""
    for shard, every in enumerate(lengths):
        yield every if source.units is None else every[source.units.rows(shard)]


def _directory(source: Source) -> str | None:
    """Return where this node's processes keep a plan: in the cache, never in a dataset; ``None`` if they cannot."""
    directory = source.directory.directory
    if source.directory.store is None:
        directory = default_local(os.path.abspath(directory))
        try:
            make_private(os.path.dirname(directory))
        except (AccessDeniedError, OSError):
            return None
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError:
        return None
    return directory if os.access(directory, os.W_OK) else None
