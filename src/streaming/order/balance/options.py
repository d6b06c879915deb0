"""What users say of balance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from streaming.core.arguments import as_integer, as_text
from streaming.core.errors import ConfigError

__all__ = ["Balance"]

_OVER = re.compile(r"(\d+)(?: batch(?:es)?)?")
_WITHIN = ("run", "node")


@dataclass(frozen=True)
class Balance:
    """Equal work on every rank, where samples cost unequally.

    Within windows of some global batches, samples (or bins) of like cost are gathered into the same batch, dealt over the
    ranks so that each has about the same, and the batches of a window put in a random order. Windows end with the epoch, and
    at each change of a schedule's phase; a last batch that is not full stays as it is. Which samples a global batch holds
    depends on the seed, the epoch and the global batch size, not on the hardware.

    Args:
        cost: What a sample costs: of bins and buckets ``'tokens'``, the lengths of their documents, or ``'l2'``, the sum of
            their squares, as attention costs; or the name of a side column with a number for each sample.
        over: Global batches of a window, such as ``16`` or ``'16 batches'``. The more, the more even, and the farther may a
            sample be from where it would have been.
        within: ``'run'``: samples go to any rank, so that in the end each node reads from all shards. ``'node'``: they stay
            on the node (or nodes) that would have read them, so that no node fetches more than without; less even, since
            each node has to make do with what it has.

    Raises:
        ConfigError: An argument is wrong.

    Example:
        >>> dataset = StreamingDataset(local='tokens', batch_size=2, pack=Pack('input_ids', to=64))
        >>> loader = StreamingDataLoader(dataset, batch_size=2, balance=Balance('l2', over='4 batches'))
        >>> len(list(loader)) == len(list(StreamingDataLoader(dataset, batch_size=2)))
        True
    """

    cost: str = "tokens"
    over: int | str = 16
    within: Literal["run", "node"] = "run"

    def __post_init__(self) -> None:
        """Check the arguments."""
        as_text("cost", self.cost)
        if not self.cost:
            raise ConfigError("cost must be 'tokens', 'l2' or the name of a side column, got ''.")
        _ = self.batches
        if self.within not in _WITHIN:
            raise ConfigError(f"within must be 'run' or 'node', got {self.within!r}.")

    @property
    def batches(self) -> int:
        """Global batches of a window."""
        if not isinstance(self.over, str):
            return as_integer("over", self.over, 2)
        found = _OVER.fullmatch(self.over)
        if found is None:
            raise ConfigError(
                f"over must be a number of global batches, such as 16 or '16 batches', got {self.over!r}."
            )
        return as_integer("over", int(found.group(1)), 2)

    @property
    def rule(self) -> str:
        """Text that is equal for equal balances only."""
        return f"{self.cost}|{self.batches}|{self.within}"
