"""When lanes open and close.

Write ``M`` for a group's draws, ``z`` for the mean draws of its runs, ``K`` for its lanes. The number of open lanes
starts at ``k0 = K / 2^J``, the largest up to 8, and doubles ``J`` times; each doubling takes ``z`` rounds, in which lanes
open at equal distances. With ``n = k0 * 2^j`` the largest not above ``l``, lane ``l`` opens in round
``z * j + z * ((2 * l + 1) / (2 * n) - 1)``, rounded down. The first ``k0`` lanes open at once, as if in round
``z * (l / k0 - 1)``: they begin within runs, by their ``lag``. Modulo ``z``, these rounds are all different and equally far
apart, and so are the later changes of lanes from run to run, where runs are equally long.

If opening takes more than an eighth of the draws, it is done in proportionally fewer rounds (at once where a lane
has less than 16 draws), and all lanes begin within runs, so that they change runs as before.

All lanes close together, in the last round or the one before: closing them one by one, as they opened, would have the last
batches of an epoch draw on a few shards, which shows in training. With ``M + sum(open) = K * R + rest``, lane ``l`` closes
in round ``R``, one later if ``l < rest``: then the lengths of the lanes add up to ``M``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.arithmetic import bit_length, mul_div, offsets, ragged_arange

__all__ = ["Ramp", "plan_ramp"]

_Ints = NDArray[np.int64]

_FIRST_LANES = 8
_LARGEST_PART = 8
_FEW_DRAWS = 16


@dataclass(frozen=True, eq=False)
class Ramp:
    """The lanes of some groups. Legend: H groups, L lanes, T openings and closings.

    Attributes:
        group: ``int64[L]``.
        open: ``int64[L]``, round in which the lane opens.
        length: ``int64[L]``, draws.
        start: ``int64[L]``, first draw, counted within the group.
        lag: ``int64[L]``, draws after the beginning of a run at which the lane begins.
        num_rounds: ``int64[H]``.
        turn_group: ``int64[T]``.
        turn_round: ``int64[T]``, round of an opening or closing, ascending within a group.
        turn_lanes: ``int64[T]``, lanes open from then on.
        turn_begin: ``int64[T]``, position of that round, counted within the group.
    """

    group: _Ints
    open: _Ints
    length: _Ints
    start: _Ints
    lag: _Ints
    num_rounds: _Ints
    turn_group: _Ints
    turn_round: _Ints
    turn_lanes: _Ints
    turn_begin: _Ints


def plan_ramp(samples: _Ints, run_counts: _Ints, num_lanes: _Ints) -> Ramp:
    """Return when the lanes of each group open and close.

    Args:
        samples: ``int64[H]``, draws of each group.
        run_counts: ``int64[H]``, runs of each group.
        num_lanes: ``int64[H]``, lanes of each group.
    """
    group, lane = ragged_arange(num_lanes)
    mean = samples // np.maximum(run_counts, 1)
    ideal = _ideal_opening(lane, num_lanes[group], mean[group])
    wanted = np.maximum(ideal, 0)
    used = num_lanes > 0
    last_lane = (offsets(num_lanes)[1:] - 1)[used]
    latest = np.zeros_like(samples)
    latest[used] = wanted[last_lane]
    ramp = num_lanes * latest - _sum_by_group(wanted, num_lanes)
    limit = np.where(samples < _FEW_DRAWS * num_lanes, 0, samples // _LARGEST_PART)
    scale, scaled = np.maximum(ramp, 1)[group], (ramp > limit)[group]
    opening = np.where(scaled, mul_div(wanted, limit[group], scale)[0], wanted)

    rounds, rest = np.divmod(samples + _sum_by_group(opening, num_lanes), np.maximum(num_lanes, 1))
    close = rounds[group] + (lane < rest[group])
    length = close - opening
    start = offsets(length)[:-1] - offsets(samples)[group]
    lag = (opening - ideal) % np.maximum(mean[group], 1)

    # A group's turns are its openings in order, then its closings in reverse, but for that of lane 0, which is its end.
    turn_group, turn = ragged_arange(np.maximum(2 * num_lanes - 1, 0))
    lanes = num_lanes[turn_group]
    opens = turn < lanes
    which = offsets(num_lanes)[turn_group] + np.where(opens, turn, 2 * lanes - 1 - turn)
    turn_round = np.where(opens, opening[which], close[which])
    turn_lanes = np.where(opens, turn + 1, 2 * lanes - 1 - turn)
    num_rounds = rounds + (rest > 0)
    until = np.append(turn_round[1:], 0)
    is_last = turn == 2 * lanes - 2
    until[is_last] = num_rounds[turn_group[is_last]]
    before = offsets(turn_lanes * (until - turn_round))[:-1]
    turn_begin = before - offsets(samples)[turn_group]
    return Ramp(group, opening, length, start, lag, num_rounds, turn_group, turn_round, turn_lanes, turn_begin)


def _ideal_opening(lane: _Ints, num_lanes: _Ints, mean: _Ints) -> _Ints:
    """Return the round in which each lane would open without limits, negative for those that open at once."""
    doublings = bit_length((num_lanes - 1) // _FIRST_LANES)
    stage = bit_length((lane << doublings) // num_lanes) - 1
    first = stage < 0
    stage = np.where(first, 0, stage)
    middle = np.where(first, 2 * lane, 2 * lane + 1)
    return mean * (stage - 1) + mul_div(mean, middle << doublings, 2 * num_lanes << stage)[0]


def _sum_by_group(values: _Ints, counts: _Ints) -> _Ints:
    totals = offsets(values)
    edges = offsets(counts)
    return totals[edges[1:]] - totals[edges[:-1]]
