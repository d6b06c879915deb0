"""When each batch is there: a queue of downloads for each node, and steps that wait for them.

Shards are asked for when the workers come near them, and come by a few requests at a time, the most urgent first; a step
begins when the step before it is done and its batch is there on every node. Only steps that need something new are looked
at: a run of billions of samples takes as long as its shards are many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

from streaming.cache.fetching.fetches import node_downloads
from streaming.planning.speed import Speed

__all__ = ["Fetched", "Line", "Ranks", "Timing", "opened_at", "step_of", "time_of", "timing_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ranks:
    """What decides how far ahead a node looks, and how much it asks for at a time.

    Attributes:
        ranks: Ranks of the node.
        workers: Workers of each, 0 for none.
        batch_size: Samples of a batch of a rank.
        predownload: Samples ahead of a worker's own whose shards are fetched.
        prefetch: Batches that each worker makes beyond those that training has taken.
    """

    ranks: int
    workers: int
    batch_size: int
    predownload: int
    prefetch: int = 2

    @property
    def processes(self) -> int:
        """Processes of the node that read."""
        return self.ranks * max(1, self.workers)

    @property
    def slots(self) -> int:
        """Different downloads of the node at a time: two processes that want the same shard next have one between them."""
        processes = self.processes
        return max(1, round(node_downloads(processes) * (1 - (1 - 1 / processes) ** processes)))

    @property
    def ahead(self) -> int:
        """Steps that a worker looks ahead of the batch that it makes."""
        own = max(0, self.predownload - self.batch_size // 2) // self.batch_size
        return own * max(1, self.workers)

    @property
    def held(self) -> int:
        """Steps between the slowest worker and what the fastest one asks for: what is in use then is not evicted for it."""
        workers = max(1, self.workers)
        return self.predownload // self.batch_size * workers + workers - 1

    @property
    def queue(self) -> int:
        """Steps that workers are ahead of training."""
        return self.prefetch * self.workers


@dataclass(frozen=True, eq=False)
class Fetched:
    """What a node fetches, in the order of need. Legend: F fetches.

    Attributes:
        steps: ``int64[F]``, steps that need it first.
        wire: ``int64[F]``, bytes.
        parts: ``int64[F]``, requests of it that may be under way at a time.
    """

    steps: Ints
    wire: Ints
    parts: Ints


@dataclass(frozen=True, eq=False)
class Timing:
    """How long a run takes, and what it waits for. Legend: E steps that need something new, F fetches over all nodes.

    Attributes:
        first_batch_s: Seconds from the start until the first batch is there.
        total_s: Seconds until the last step is done.
        stall_s: Seconds that training waits for shards after its first batch, all steps together.
        steps: ``int64[E]``.
        waits: ``float64[E]``, seconds that training waits at each of these steps.
        begins: ``float64[E]``, when these steps begin.
        arrivals: ``float64[F]``, when each fetch ends, ascending.
        arrived: ``int64[F]``, bytes that have come to all nodes by then.
        step_s: Seconds of a step that waits for nothing.
        bound: ``'training'``, ``'workers'`` or ``'network'``: what the steady rate is set by.
    """

    first_batch_s: float
    total_s: float
    stall_s: float
    steps: Ints
    waits: NDArray[np.float64]
    begins: NDArray[np.float64]
    arrivals: NDArray[np.float64]
    arrived: Ints
    step_s: float
    bound: str


def time_of(nodes: Sequence[Fetched], num_steps: int, speed: Speed, ranks: Ranks, index_bytes: int = 0) -> Timing:
    """Return how long a run takes.

    Args:
        nodes: What each node fetches.
        num_steps: Steps of the run.
        speed: How fast things go.
        ranks: What a node has.
        index_bytes: Bytes of the indexes, which come first.
    """
    making = ranks.batch_size * speed.decode_s
    step_s = step_of(speed.step_s, making, ranks)
    opened = opened_at(speed, index_bytes)
    clock = _Clock(opened, step_s, ranks)
    downloads = [_Downloads(opened, speed, ranks.slots) for _ in nodes]
    steps = np.concatenate([node.steps for node in nodes])
    turn = np.argsort(steps, kind="stable")
    which = np.repeat(np.arange(len(nodes)), [len(node.steps) for node in nodes])[turn]
    wire, parts = (np.concatenate([getattr(n, name) for n in nodes])[turn] for name in ("wire", "parts"))
    arrivals = np.zeros(len(turn))
    lists = steps[turn].tolist(), which.tolist(), wire.tolist(), parts.tolist()
    for row, (step, node, size, most) in enumerate(zip(*lists, strict=True)):
        arrivals[row] = downloads[node].fetch(clock.asked(step), size, most)
        clock.needs(step, arrivals[row] + making)
    clock.settle()
    times, waits = np.array(clock.begins), np.array(clock.waits)
    waits[: len(waits) and clock.steps[0] == 0] = 0  # the first batch is none that training waits for in between
    total = clock.begin_of(max(num_steps - 1, 0)) + step_s
    order = np.argsort(arrivals)
    first = opened + making if not len(times) or clock.steps[0] > 0 else float(times[0])
    course = np.array(clock.steps, np.int64), waits, times
    return timing_of(first, total, course, (arrivals[order], np.cumsum(wire[order])), step_s, speed)


def timing_of(
    first: float,
    total: float,
    course: tuple[Ints, NDArray[np.float64], NDArray[np.float64]],
    arrivals: tuple[NDArray[np.float64], Ints],
    step_s: float,
    speed: Speed,
) -> Timing:
    """Return a timing of what was found out.

    Args:
        first: Seconds until the first batch is there.
        total: Seconds until the last step is done.
        course: Steps, how long training waits at each, and when each begins.
        arrivals: When each fetch ends, and how many bytes have come by then.
        step_s: Seconds of a step that waits for nothing.
        speed: How fast things go.
    """
    stall = float(course[1].sum())
    bound = "training" if step_s == speed.step_s else "workers"
    if stall > (total - first) / 2:
        bound = "network"
    return Timing(first, total, stall, *course, *arrivals, step_s, bound)


def opened_at(speed: Speed, index_bytes: int) -> float:
    """Return when the indexes are there, and workers have begun."""
    return speed.startup_s + speed.latency_s + _seconds(index_bytes, speed)


def step_of(step_s: float, making_s: float, ranks: Ranks) -> float:
    """Return how long a step takes that waits for no shard, where workers are slower than training: for them.

    Args:
        step_s: Seconds of a step of training.
        making_s: Seconds in which a process makes a batch.
        ranks: What a node has.
    """
    return max(step_s, making_s / ranks.workers if ranks.workers else making_s + step_s)


def _seconds(size: int, speed: Speed) -> float:
    rates = [float(rate) for rate in (speed.bandwidth, speed.connection) if rate is not None]
    return size / min(rates) if rates else 0.0


class _Clock:
    """When steps begin: those that need something new, and by them all others."""

    def __init__(self, opened: float, step_s: float, ranks: Ranks) -> None:
        self._opened, self._step_s = opened, step_s
        self._ahead, self._queue = ranks.ahead, ranks.queue
        self._ready = opened
        self._step = -1
        self.steps: list[int] = []
        self.begins: list[float] = []
        self.waits: list[float] = []

    def begin_of(self, step: int) -> float:
        """Return when a step begins, of those that are settled or need nothing new after them."""
        at = bisect_right(self.steps, step) - 1
        if at < 0:
            return self._opened + step * self._step_s
        return self.begins[at] + (step - self.steps[at]) * self._step_s

    def asked(self, step: int) -> float:
        """Return when what a step needs is asked for."""
        if step <= self._ahead:
            return self._opened
        if self._step >= 0 and self._step < step:
            self.settle()
        if step <= self._ahead + self._queue:
            return self.begins[0] if self.begins else self._opened
        if not self._queue:
            return self.begin_of(step - self._ahead - 1) + self._step_s
        return self.begin_of(step - self._ahead - self._queue)

    def needs(self, step: int, ready: float) -> None:
        """Note that a step cannot begin before something is there."""
        if step != self._step:
            self.settle()
            self._step, self._ready = step, ready
        self._ready = max(self._ready, ready)

    def settle(self) -> None:
        """Have the step begin that was looked at last."""
        if self._step < 0 or (self.steps and self.steps[-1] == self._step):
            return
        due = self.begin_of(self._step)
        self.steps.append(self._step)
        self.begins.append(max(due, self._ready))
        self.waits.append(max(0.0, self._ready - due))


class Line:
    """The network of one node, whose bandwidth its downloads share."""

    def __init__(self, opened: float, speed: Speed) -> None:
        self._line = opened
        self._latency = speed.latency_s
        self._bandwidth = float(speed.bandwidth) if speed.bandwidth else float("inf")
        self._connection = float(speed.connection) if speed.connection else float("inf")

    def fetch(self, begin: float, size: int, parts: int, at_a_time: int) -> float:
        """Return when a file is there whose first request is made at a time.

        Args:
            begin: When.
            size: Bytes.
            parts: Requests in which it comes.
            at_a_time: How many of them are under way at a time.
        """
        waiting = -(-parts // at_a_time) * self._latency
        self._line = max(self._line, begin + self._latency) + size / self._bandwidth
        return max(begin + waiting + size / (self._connection * at_a_time), self._line)


class _Downloads:
    """The downloads of one node: some at a time."""

    def __init__(self, opened: float, speed: Speed, slots: int) -> None:
        self._slots = [opened] * slots
        heapify(self._slots)
        self._line = Line(opened, speed)

    def fetch(self, asked: float, size: int, parts: int) -> float:
        """Return when a file is there that was asked for at a time."""
        begin = max(asked, self._slots[0])
        at_a_time = 1
        if parts > 1:
            active = 1 + sum(free > begin for free in self._slots)
            at_a_time = min(parts, max(1, len(self._slots) // active))
        end = self._line.fetch(begin, size, parts, at_a_time)
        heapreplace(self._slots, end)
        return end
