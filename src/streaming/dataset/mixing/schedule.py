"""What a user says of a mixture that changes: phases, and ramps from one to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

from streaming.core.arguments import as_count, as_number
from streaming.core.errors import ConfigError, UnknownNameError
from streaming.order.table import HORIZON, Record

__all__ = ["Phase", "Ramp", "Schedule", "as_weights", "shares_of"]

#: What positions may count.
UNITS = ("samples", "batches", "tokens")


@dataclass(frozen=True)
class Phase:
    """Weights of the streams from a position on.

    Args:
        begin: Where it begins, counted from the beginning of the run over all ranks: a number, or text such as ``'2b'``.
        weights: Shares by the streams' names; only their ratios count. A stream that is not named gives nothing.

    Raises:
        ConfigError: A weight is negative or no number, all are 0, or the position is no count.

    Example:
        >>> Phase('2m', {'web': 3, 'code': 1}).begin
        2000000
    """

    begin: int | float | str
    weights: Mapping[str | int, float]

    def __post_init__(self) -> None:
        """Check both."""
        object.__setattr__(self, "begin", as_count("begin", self.begin, 0))
        object.__setattr__(self, "weights", as_weights(self.weights))


@dataclass(frozen=True)
class Ramp:
    """A gradual change from the weights that hold before to others, which stay.

    It goes in equal steps of whole global batches, a hundred of them if there are as many batches.

    Args:
        begin: Where it begins; see :class:`Phase`.
        end: Where ``to`` is reached.
        to: Shares by the streams' names, as in :class:`Phase`.

    Raises:
        ConfigError: A weight is negative or no number, all are 0, or the positions are no counts in this order.

    Example:
        >>> Ramp('1k', '2k', to={'web': 1, 'code': 1}).end
        2000
    """

    begin: int | float | str
    end: int | float | str
    to: Mapping[str | int, float]

    def __post_init__(self) -> None:
        """Check all three."""
        object.__setattr__(self, "begin", as_count("begin", self.begin, 0))
        object.__setattr__(self, "end", as_count("end", self.end, 0))
        object.__setattr__(self, "to", as_weights(self.to))
        if not cast("int", self.begin) < cast("int", self.end):
            raise ConfigError(f"A ramp must end after it begins, got {self.begin} to {self.end}.")


class Schedule:
    """How a mixture of streams changes during a run; see :class:`StreamingDataset`.

    Args:
        phases: Phases and ramps, one after the other; the first is a phase at 0, the last has no end.
        unit: What their positions count, over all ranks: ``'samples'``, global ``'batches'``, or ``'tokens'`` of a packed
            dataset (:class:`Pack`), each of whose bins counts as many as it has room for. Samples and tokens are rounded to
            whole global batches.

    Raises:
        ConfigError: They are not in order, or no phases and ramps.

    Example:
        >>> Schedule([Phase(0, {'web': 0.8, 'code': 0.2}), Ramp('2k', '3k', to={'web': 0.5, 'code': 0.5})])
        Schedule(2 phases, unit='samples')
    """

    def __init__(self, phases: Sequence[Phase | Ramp], unit: str = "samples") -> None:
        if unit not in UNITS:
            raise ConfigError(f"unit must be one of {', '.join(map(repr, UNITS))}, got {unit!r}.")
        given: Any = phases
        if not isinstance(given, (list, tuple)) or not all(isinstance(p, (Phase, Ramp)) for p in cast("Any", given)):
            raise ConfigError(f"A schedule is a list of Phase and Ramp objects, got {given!r}.")
        self.phases: tuple[Phase | Ramp, ...] = tuple(phases)
        self.unit = unit
        if not self.phases or not isinstance(self.phases[0], Phase) or self.phases[0].begin != 0:
            raise ConfigError("A schedule begins with a Phase at 0, whose weights hold from the start.")
        end = -1
        for number, phase in enumerate(self.phases):
            begin = cast("int", phase.begin)
            if begin < end or (begin == end and isinstance(self.phases[number - 1], Phase)):
                raise ConfigError(
                    f"Phase {number} begins at {begin}, before the one before it has "
                    f"{'ended' if isinstance(self.phases[number - 1], Ramp) else 'begun'} ({end}). Put them in order."
                )
            end = cast("int", phase.end if isinstance(phase, Ramp) else begin)

    def __repr__(self) -> str:
        return f"Schedule({len(self.phases)} phases, unit={self.unit!r})"

    def check_names(self, names: Sequence[str]) -> None:
        """Check that every stream that has a weight is there.

        Raises:
            UnknownNameError: One is not; the text says which may have been meant.
        """
        for phase in self.phases:
            shares_of(phase.weights if isinstance(phase, Phase) else phase.to, names)

    def records(
        self, names: Sequence[str], global_batch: int, tokens: int | None = None
    ) -> tuple[tuple[Record, ...], tuple[str, ...]]:
        """Return the schedule as a table.

        Args:
            names: The streams' names.
            global_batch: Samples of a batch over all ranks.
            tokens: How many a sample has room for, where samples are bins of tokens.

        Returns:
            The records, and what was rounded, in words.

        Raises:
            ConfigError: A phase is shorter than a global batch, or begins after the end of time, or its position counts
                tokens and samples are no bins of them.
        """
        if self.unit == "tokens" and tokens is None:
            raise ConfigError(
                "The schedule counts tokens, and samples are no bins of tokens. Pack them, or count samples."
            )
        rounded: list[str] = []
        batch = {"samples": global_batch, "batches": 1, "tokens": global_batch * (tokens or 1)}[self.unit]

        def at(position: int | float | str) -> int:
            count = cast("int", position)
            whole = (count + batch // 2) // batch
            if whole * batch != count:
                rounded.append(f"{count} to {whole * batch}")
            return whole * global_batch

        rows: list[tuple[int, tuple[float, ...], int | None, tuple[float, ...] | None]] = []
        after_ramp = False
        for phase in self.phases:
            begin, weights = at(phase.begin), rows[-1][1] if rows else ()
            if after_ramp and rows[-1][0] == begin:
                rows.pop()  # what the ramp would leave, which this takes the place of
            after_ramp = isinstance(phase, Ramp)
            if isinstance(phase, Phase):
                rows.append((begin, shares_of(phase.weights, names), None, None))
                continue
            end, to = at(phase.end), shares_of(phase.to, names)
            if begin == end:
                raise ConfigError(f"The ramp from {phase.begin} to {phase.end} is shorter than a global batch.")
            rows += [(begin, weights, end, to), (end, to, None, None)]
        ends = [*(row[0] for row in rows[1:]), HORIZON]
        begins = [0, *ends]
        if sorted(set(begins)) != begins:
            raise ConfigError(
                f"A phase of this schedule is shorter than half a global batch of {global_batch} samples, or begins more "
                f"than {HORIZON} samples into the run."
            )
        table = [Record(row[0], row[2] or end, row[1], row[3]) for row, end in zip(rows, ends, strict=True)]
        return tuple(table), tuple(dict.fromkeys(rounded))


def as_weights(weights: Any) -> dict[str | int, float]:
    """Return weights by name, each a number from 0, not all of them 0.

    Raises:
        ConfigError: They are not.
    """
    if not isinstance(weights, Mapping):
        raise ConfigError(f"Weights are a mapping of streams' names to numbers, got {weights!r}.")
    given = cast("Mapping[Any, Any]", weights)
    checked = {name: as_number(f"the weight of stream {name!r}", weight, 0) for name, weight in given.items()}
    if not any(checked.values()):
        raise ConfigError(f"At least one stream needs a weight above 0, got {dict(given)!r}.")
    return checked


def shares_of(weights: Mapping[str | int, float], names: Sequence[str]) -> tuple[float, ...]:
    """Return the weights of all streams, summing to 1.

    Args:
        weights: By the streams' names, checked.
        names: The streams' names, in order.

    Raises:
        UnknownNameError: There is no such stream; the text says which may have been meant.
    """
    found = {str(name): weight for name, weight in weights.items()}
    for name in found:
        if name not in names:
            close = get_close_matches(name, names, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(map(repr, names))}."
            raise UnknownNameError(f"There is no stream {name!r} to give a weight to. {hint}")
    total = math.fsum(found.values())
    return tuple(found.get(name, 0.0) / total for name in names)
