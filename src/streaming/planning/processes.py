"""When each batch is there, process by process, for runs that are small enough to be gone through one by one.

A process has downloads of its own, the most urgent first. One of them that comes to a file that another process of the node
is fetching stands until that is there: this, and that a batch waits for the downloads of its own worker, is what
:mod:`streaming.planning.timing` takes as an average.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

import numpy as np
from numpy.typing import NDArray

from streaming.cache.fetching.fetches import node_downloads
from streaming.planning.demand import Needed
from streaming.planning.speed import Speed
from streaming.planning.timing import Line, Ranks, Timing, opened_at, step_of, timing_of

__all__ = ["Course"]

Ints = NDArray[np.int64]


@dataclass(eq=False)
class _Process:
    """A process: what it asks for, and the batch that it makes."""

    node: int
    needs: list[tuple[int, int]]  # positions and shards
    free: int  # downloads that do nothing
    step: int  # of the batch that it makes next
    asked: int = 0
    seen: int = 0
    is_making: bool = False
    missing: set[int] = field(default_factory=set[int])
    queue: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])  # steps and shards


class Course:
    """What a run does whose caches hold all that they fetch.

    Args:
        needed: What each process needs, over all nodes.
        wire: ``int64[S]``, bytes of each shard as they are stored.
        parts: ``int64[S]``, requests of it that may be under way at a time.
        num_steps: Steps of the run.
        speed: How fast things go.
        ranks: What a node has.
        index_bytes: Bytes of the indexes, which come first.
    """

    def __init__(
        self,
        needed: Sequence[Needed],
        wire: Ints,
        parts: Ints,
        num_steps: int,
        speed: Speed,
        ranks: Ranks,
        index_bytes: int = 0,
    ) -> None:
        self._wire, self._parts, self._ranks, self._speed = wire, parts, ranks, speed
        self._making_s, self._num_steps = ranks.batch_size * speed.decode_s, num_steps
        self._step_s = step_of(speed.step_s, self._making_s, ranks)
        self._num_ranks = len(needed) // max(1, ranks.workers)
        self._threads = threads = node_downloads(ranks.processes) // ranks.processes
        self._opened = opened_at(speed, index_bytes)
        self._processes = [
            _Process(
                n.node,
                [need for need in zip(n.positions.tolist(), n.shards.tolist(), strict=True) if wire[need[1]]],
                threads,
                n.worker,
            )
            for n in needed
        ]
        self._lines = {n.node: Line(self._opened, speed) for n in needed}
        self._present: set[tuple[int, int]] = set()
        self._under_way: dict[tuple[int, int], list[_Process]] = {}
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = count()
        self._made: defaultdict[int, int] = defaultdict(int)
        self._begins: list[float] = []
        self._waits: list[float] = []
        self._arrived: list[tuple[float, int]] = []
        self._free_at = self._opened  # when training can begin the next step
        self._requested = max(1, ranks.queue)  # batches that workers may make by now

    def run(self) -> Timing:
        """Return how long it takes."""
        for process in self._processes:
            self._at(self._opened, self._make, process)
        while self._events:
            now, _, action, arguments = heappop(self._events)
            action(now, *arguments)
        ends, sizes = zip(*self._arrived, strict=True) if self._arrived else ((), ())
        course = np.arange(len(self._begins), dtype=np.int64), np.array(self._waits), np.array(self._begins)
        arrivals = np.array(ends, np.float64), np.cumsum(np.array(sizes, np.int64))
        total = self._begins[-1] + self._step_s
        return timing_of(self._begins[0], total, course, arrivals, self._step_s, self._speed)

    def _at(self, when: float, action: Callable[..., None], *arguments: object) -> None:
        heappush(self._events, (when, next(self._order), action, arguments))

    def _make(self, now: float, process: _Process) -> None:
        """Have a process begin a batch, if training is far enough for that."""
        if process.is_making or process.step >= min(self._requested, self._num_steps):
            return
        process.is_making = True
        size = self._ranks.batch_size
        begin = process.step // max(1, self._ranks.workers) * size
        end = begin + size
        while process.asked < len(process.needs) and process.needs[process.asked][0] < max(
            end, begin + 1 + self._ranks.predownload
        ):
            position, shard = process.needs[process.asked]
            heappush(process.queue, (position, shard))
            process.asked += 1
        process.missing = set()
        while process.seen < len(process.needs) and process.needs[process.seen][0] < end:
            shard = process.needs[process.seen][1]
            if (process.node, shard) not in self._present:
                process.missing.add(shard)
            process.seen += 1
        self._fetch(now, process)
        self._look(now, process)

    def _fetch(self, now: float, process: _Process) -> None:
        """Have a process's free downloads begin."""
        while process.free and process.queue:
            key = process.node, heappop(process.queue)[1]
            if key in self._present:
                continue
            process.free -= 1
            if key in self._under_way:
                self._under_way[key].append(process)
                continue
            self._under_way[key] = [process]
            active = self._threads - process.free
            at_a_time = min(int(self._parts[key[1]]), max(1, self._threads // active))
            size, parts = int(self._wire[key[1]]), int(self._parts[key[1]])
            self._at(self._lines[process.node].fetch(now, size, parts, at_a_time), self._come, key)

    def _come(self, now: float, key: tuple[int, int]) -> None:
        """A file is there."""
        self._present.add(key)
        self._arrived.append((now, int(self._wire[key[1]])))
        for process in self._under_way.pop(key):
            process.free += 1
            self._fetch(now, process)
        for process in self._processes:
            if process.node == key[0] and key[1] in process.missing:
                process.missing.discard(key[1])
                self._look(now, process)

    def _look(self, now: float, process: _Process) -> None:
        if process.is_making and not process.missing:
            process.is_making = False
            self._at(now + self._making_s, self._hand_over, process, process.step)
            process.step += max(1, self._ranks.workers)

    def _hand_over(self, now: float, process: _Process, step: int) -> None:
        """A batch is made: steps begin for which every rank has one."""
        self._made[step] += 1
        while self._made[len(self._begins)] == self._num_ranks and len(self._begins) < self._num_steps:
            begin = max(now, self._free_at)
            due = self._begins[-1] + self._step_s if self._begins else begin
            self._waits.append(max(0.0, begin - due))
            self._begins.append(begin)
            self._free_at = begin + self._speed.step_s
            # Workers go on when training takes a batch; a rank without any goes on after the step.
            self._at(begin if self._ranks.workers else self._free_at, self._request)
        self._make(now, process)

    def _request(self, now: float) -> None:
        self._requested += 1
        for process in self._processes:
            self._make(now, process)
