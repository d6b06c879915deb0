"""What samples and bins cost, for those who deal them out evenly."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.dataset.sources import Source
from streaming.order.balance.options import Balance
from streaming.order.spec import Balancing
from streaming.packing.packs import Packs
from streaming.units.parts import Chosen
from streaming.units.units import Units

__all__ = ["balancing_of", "packs_of"]

#: To which power the lengths of documents are summed.
_POWERS = {"tokens": 1, "l2": 2}


def balancing_of(sources: Sequence[Source], balance: Balance) -> Balancing:
    """Return what every sample of a dataset costs.

    Args:
        sources: Its streams.
        balance: The rule.

    Raises:
        ConfigError: A cost is not known, missing, negative, or no number.
    """
    parts = [_of_packs(source, balance) if is_packed(source) else _of_column(source, balance) for source in sources]
    costs = np.concatenate(parts).astype(np.float32)
    name = balance.rule
    if not all(map(is_packed, sources)):  # a side column may be made anew
        name = f"{name}|{blake2b(costs.tobytes(), digest_size=8).hexdigest()}"
    return Balancing(costs, balance.batches, balance.within == "node", name)


def packs_of(units: Units | None) -> Packs | None:
    """Return the bins among which units choose, ``None`` if they are none."""
    while isinstance(units, Chosen):
        units = units.of
    return units if isinstance(units, Packs) else None


def is_packed(source: Source) -> bool:
    """Say whether the samples of a stream are bins."""
    return packs_of(source.units) is not None


def _of_packs(source: Source, balance: Balance) -> NDArray[np.float64]:
    packs, units = packs_of(source.units), source.units
    assert packs is not None
    assert units is not None
    power = _POWERS.get(balance.cost)
    if power is None:
        raise ConfigError(
            f"Bins have no side columns, so cost={balance.cost!r} is not known. Use 'tokens' or 'l2', which the lengths of "
            "their documents tell."
        )
    shards = range(len(units.counts))
    every = [packs.costs(s, power) if units is packs else packs.costs(s, power)[units.rows(s)] for s in shards]
    return np.concatenate([np.empty(0), *every])


def _of_column(source: Source, balance: Balance) -> NDArray[np.float64]:
    name, origin = balance.cost, source.directory.origin
    if name in _POWERS:
        raise ConfigError(
            f"What a sample of {origin} costs is not known: cost={name!r} is for bins (pack) and buckets. Name a side "
            "column with a number for each sample: streaming index URL --columns 'len(COLUMN)' --beside."
        )
    column = source.side_columns().values(name)
    values = column.to_numpy(zero_copy_only=False) if column.null_count == 0 else np.array([None])
    if not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all() or (values < 0).any():
        what = f"{column.null_count} are missing" if column.null_count else "they are not"
        raise ConfigError(f"Costs are numbers from 0; of side column {name!r} of {origin}, {what}.")
    values = values.astype(np.float64)
    if source.units is None:
        return values
    parts = np.split(values, np.cumsum(source.sizes)[:-1])
    return np.concatenate([np.empty(0), *(part[source.units.rows(shard)] for shard, part in enumerate(parts))])
