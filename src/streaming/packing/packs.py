"""The units of a packed stream: bins of documents."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.lanes.keys import Purpose, derive
from streaming.packing.options import Bucket, Pack
from streaming.packing.pieces import Arrangement, Pieces, arrange, cut
from streaming.packing.plan_file import PlanFile
from streaming.units.units import Units

__all__ = ["Documents", "Packs"]

#: Bytes of arrangements that are kept at hand.
_KEPT_BYTES = 64 << 20

_Ints = NDArray[np.int64]


class Documents(NamedTuple):
    """What a bin holds. Legend: k pieces.

    Attributes:
        ids: ``int64[k]``, ids of the documents in the whole dataset.
        starts: ``int64[k]``, first token of each piece in its document.
        lengths: ``int64[k]``, tokens of each piece.
    """

    ids: _Ints
    starts: _Ints
    lengths: _Ints


class Packs(Units):
    """Bins of documents, each of one shard, or of several small ones that are neighbours.

    Legend: S shards.

    Args:
        plan: Lengths and bins of every shard.
        rule: How they were made.
        of: The units that are documents, ``None`` where every row is one.
    """

    has_rows = False

    def __init__(self, plan: PlanFile, rule: Pack | Bucket, of: Units | None) -> None:
        self.plan = plan
        self.rule = rule
        self.of = of
        self.counts = plan.counts
        self.tokens = rule.to if isinstance(rule, Pack) else None
        self.reach = plan.reach
        print_of = "" if of is None else of.fingerprint
        digest = blake2b(f"{plan.digest}|{rule.rule}|{print_of}".encode(), digest_size=8)
        self.fingerprint = digest.hexdigest()
        self._reset()

    def _reset(self) -> None:
        #: Of each shard, that of the epoch that was asked for last, and what named it.
        self._at_hand: OrderedDict[int, tuple[tuple[int, ...], Arrangement]] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what is at hand."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_at_hand", "_bytes")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing at hand."""
        vars(self).update(state)
        self._reset()

    def rows(self, shard: int) -> _Ints:
        """Return the number of each bin of a shard: which rows it holds, :meth:`documents` says."""
        return np.arange(int(self.counts[shard]))

    def mask(self, shard: int, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Refuse to choose bins by their rows.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "Bins hold many documents, so conditions, keys and views do not choose among them: choose documents first, and "
            "pack then, as in dataset.filter(...).pack(...)."
        )

    def documents(self, shard: int, number: int, key: Sequence[int]) -> tuple[_Ints, _Ints, _Ints]:
        """Return what a bin holds in an epoch.

        Args:
            shard: Of the stream; the first of those that are packed together.
            number: Of the bin, in its shard.
            key: Seed, epoch, and the stream's number.

        Returns:
            ``int64[k]`` each: places of the documents among those that are packed together, first tokens, and numbers of
            tokens.
        """
        return self.arrangement(shard, key).bin(number)

    def first_of(self, shard: int) -> int:
        """Return the first of the shards that are packed with one."""
        return shard if self.reach is None else int(np.searchsorted(np.maximum.accumulate(self.reach), shard, "right"))

    def arrangement(self, shard: int, key: Sequence[int]) -> Arrangement:
        """Return which piece is where in a shard, in an epoch; see :meth:`documents`."""
        name, known = self._at_hand.get(shard, ((), None))
        if known is None or name != tuple(key):
            seed, *numbers = key
            order = derive(seed, Purpose.DOCUMENT_ORDER, *numbers, shard)
            pieces = self._pieces(shard) if known is None else known.pieces
            self._bytes += 0 if known is not None else 48 * len(pieces.sizes)
            known = arrange(pieces, *self.plan.slots(shard), self.rule, order)
            self._at_hand[shard] = tuple(key), known
            while self._bytes > _KEPT_BYTES and len(self._at_hand) > 1:
                _, (_, gone) = self._at_hand.popitem(last=False)
                self._bytes -= 48 * len(gone.order)
        return known

    def costs(self, shard: int, power: int = 1) -> NDArray[np.float64]:
        """Return ``float64[counts[shard]]``: of each bin, its pieces' lengths to a power, summed.

        In every epoch the same: lengths that are rounded up count; of bins that cut pieces, what they are filled with.
        """
        pieces, (slots, counts) = self._pieces(shard), self.plan.slots(shard)
        number = int(self.counts[shard])
        if isinstance(self.rule, Pack) and self.rule.method == "concat":
            filled = np.full(number, float(self.rule.to))
            filled[number - 1 :] = pieces.lengths.sum() - self.rule.to * (number - 1)
            return filled**power
        step = self.rule.quantum if isinstance(self.rule, Pack) else self.rule.pad_to
        weights = (np.sort(pieces.sizes)[::-1][slots] * float(step)) ** power
        summed: Any = np.bincount(np.repeat(np.arange(number), counts), weights, number)
        return summed

    def lengths(self, shard: int, places: _Ints) -> _Ints:
        """Return ``int64[k]``, how many tokens ``k`` documents of a shard have by the plan."""
        return self.plan.lengths(shard)[places].astype(np.int64)

    @cached_property
    def num_tokens(self) -> int:
        """Tokens that all bins hold together."""
        return sum(int(self._pieces(shard).lengths.sum()) for shard in range(len(self.counts)))

    def _pieces(self, shard: int) -> Pieces:
        return cut(self.plan.lengths(shard), self.rule)
