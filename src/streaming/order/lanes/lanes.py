"""Lanes: the order in which the runs of a group are interleaved.

The runs of a group, end to end, are cut into lanes, and every *round* takes one draw from each open lane in a keyed
order. Lane ``l`` is open in rounds ``[open_l, close_l)``: lanes open one by one and close together, so the open ones
are always the first so many, and a table of openings and closings finds the round of any position. A lane reads its
draws from the beginning of a run on, and last those before, so that no two lanes turn to new runs at the same time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.order.lanes.arithmetic import offsets
from streaming.order.lanes.keys import mix64
from streaming.order.lanes.permutation import permute, unpermute
from streaming.order.lanes.ramp import plan_ramp
from streaming.order.lanes.runs import Runs

__all__ = ["Lanes"]

_Ints = NDArray[np.int64]


class Lanes:
    """Where each position of some groups finds its draw. Legend: H groups, U runs, L lanes, T openings and closings.

    Args:
        runs: The groups' runs.
        num_lanes: ``int64[H]``, lanes of each group: at least 1 and at most its runs, and 0 where it has none.
        keys: ``uint64[H]``, keys of the order of lanes within rounds.
        align: Whether lanes begin at runs; otherwise one lane reads from the first draw to the last.

    Attributes:
        runs: The groups' runs.
        num_lanes: ``int64[H]``.
    """

    def __init__(self, runs: Runs, num_lanes: _Ints, keys: NDArray[np.uint64], align: bool) -> None:
        self.runs = runs
        self.num_lanes = num_lanes
        self._keys = keys
        self._base = offsets(runs.samples)
        plan = plan_ramp(runs.samples, runs.counts, num_lanes)
        self._open, self._length = plan.open, plan.length
        self._start = self._base[plan.group] + plan.start
        self._first_lane = offsets(num_lanes)
        self._lane_group = plan.group
        if align:
            next_run = runs.begin[np.searchsorted(runs.begin, self._start, side="left")]
            self._phase = (next_run + plan.lag - self._start) % self._length
        else:
            self._phase = np.zeros(len(self._start), np.int64)
        self._round = plan.turn_round
        self._open_lanes = plan.turn_lanes
        self._turn_group = plan.turn_group
        self._turn_begin = self._base[plan.turn_group] + plan.turn_begin
        # Rounds of all groups end to end, so that one search finds a round in any group.
        self._round_base = offsets(plan.num_rounds)
        self._absolute_round = self._round_base[plan.turn_group] + plan.turn_round
        self._most_open = int(num_lanes.max()) if len(num_lanes) else 0

    def locate(self, group: _Ints, local: _Ints) -> tuple[_Ints, _Ints]:
        """Return the run, and the draw within its pass, at positions ``local`` of groups."""
        position = self._base[group] + local
        if self._most_open <= 1:
            place = position
        else:
            turn = np.searchsorted(self._turn_begin, position, side="right") - 1
            width = self._open_lanes[turn]
            since, slot = np.divmod(position - self._turn_begin[turn], _one_if_equal(width))
            round_ = self._round[turn] + since
            lane = permute(slot, width, self._round_keys(group, round_))
            lane += self._first_lane[group]
            length = self._length[lane]
            step = round_ - self._open[lane] + self._phase[lane]
            step -= np.where(step >= length, length, 0)
            place = self._start[lane] + step
        run = np.searchsorted(self.runs.begin, place, side="right") - 1
        return run, place - self.runs.begin[run] + self.runs.skip[run]

    def find(self, place: _Ints) -> tuple[_Ints, _Ints]:
        """Return group and local position of draws, numbered run by run (the inverse of ``locate``)."""
        lane = np.searchsorted(self._start, place, side="right") - 1
        group = self._lane_group[lane]
        step = (place - self._start[lane] - self._phase[lane]) % self._length[lane]
        round_ = self._open[lane] + step
        turn = np.searchsorted(self._absolute_round, self._round_base[group] + round_, side="right") - 1
        width = self._open_lanes[turn]
        slot = unpermute(lane - self._first_lane[group], width, self._round_keys(group, round_))
        position = self._turn_begin[turn] + (round_ - self._round[turn]) * width + slot
        return group, position - self._base[group]

    def spans(self) -> tuple[_Ints, _Ints, _Ints, _Ints]:
        """Return run, group, first and last local position of every stretch of a run that a lane reads in one go."""
        ends = self._base[1:]
        cuts = np.concatenate([self.runs.begin[:-1], self._start, self._start + self._phase])
        cuts, _ = distinct(cuts)
        stops = np.append(cuts, ends[-1:])[1:]
        run = np.searchsorted(self.runs.begin, cuts, side="right") - 1
        group, first = self.find(cuts)
        _, last = self.find(stops - 1)
        return run, group, first, last

    def _round_keys(self, group: _Ints, round_: _Ints) -> NDArray[np.uint64]:
        return mix64(self._keys[group] ^ round_.view(np.uint64))


def _one_if_equal(values: _Ints) -> _Ints | np.int64:
    """Return one number for all where all are equal: dividing by one number is much faster."""
    if len(values) and int(values.min()) == int(values.max()):
        return values[0]
    return values
