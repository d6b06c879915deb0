"""Proofs of what a run serves: by looking at every sample where they are few enough, else at many, both ways.

Legend: N samples, J batches, G samples of a global batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.queries.plan import EpochOrder, Listed, WorkerIds
from streaming.order.skips import Skips
from streaming.order.spec import Layout
from streaming.planning.counts import Counts
from streaming.planning.demand import Run, Stretch
from streaming.planning.plan import Plan
from streaming.planning.shares import layout_of

__all__ = ["Finding", "Report", "World", "prove"]

Ints = NDArray[np.int64]

#: Samples that are looked up where not all are, batches that are compared, and samples that are worked out at a time.
_LOOKED_UP, _COMPARED, _CHUNK = 2000, 64, 1 << 16
#: Up to so many samples, every batch is compared.
_FEW = 1 << 22
_RESUMED = 3


@dataclass(frozen=True)
class World:
    """Another job that could read the same: its nodes, ranks of each, and workers of each rank."""

    num_nodes: int
    ranks_per_node: int
    num_workers: int

    def __str__(self) -> str:
        return f"{self.num_nodes}x{self.ranks_per_node}x{self.num_workers}"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What should hold.
        holds: Whether it does.
        text: How that was found, and what is wrong if something is.
    """

    name: str
    holds: bool
    text: str


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        findings: Each.
        order: What the order depends on, as a checkpoint has it.
        plan: The plan of the run.

    Example:
        >>> report = StreamingDataset(local='cache', remote='data', batch_size=4).check(ranks_per_node=2, worlds=[(1, 1, 0)])
        >>> report.holds, [finding.name for finding in report.findings][:2]
        (True, ['samples', 'ranks'])
    """

    findings: tuple[Finding, ...]
    order: dict[str, Any]
    plan: Plan

    @property
    def holds(self) -> bool:
        """Whether all of it holds."""
        return all(finding.holds for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values by name, to be kept with the run."""
        findings = [vars(finding) for finding in self.findings]
        return {"holds": self.holds, "findings": findings, "order": self.order, "plan": self.plan.to_json()}


def prove(run: Run, plan: Plan, worlds: Sequence[World], most: int, order: dict[str, Any]) -> Report:
    """Look at what the first epoch of a run serves, from its beginning or from where it is resumed.

    Args:
        run: The run.
        plan: Its plan.
        worlds: Other jobs.
        most: Up to so many samples, every one is looked at.
        order: What the order depends on, for the report.

    Raises:
        ConfigError: A world cannot read this order, or its ranks do not divide the global batch.
    """
    stretch = run.stretches()[0]
    first = Counted(stretch, plan.counts, run.skips)
    findings = [*first.samples_and_ranks(most)]
    layouts = [_layout_in(stretch, world, plan.job.replication) for world in worlds]
    everywhere = [(str(world), layout) for world, layout in zip(worlds, layouts, strict=True)]
    findings += [_same_batches(stretch, run.skips, name, layout) for name, layout in everywhere]
    findings += [
        _same_rest(stretch, run.skips, name, layout) for name, layout in [("here", stretch.order.layout), *everywhere]
    ]
    findings.append(_cache(plan))
    return Report(tuple(findings), order, plan)


class Counted:
    """How often samples come in a stretch.

    Args:
        stretch: The stretch.
        counts: What the plan says of the run.
        skips: Parts of the epoch that are left out.
    """

    def __init__(self, stretch: Stretch, counts: Counts, skips: Skips) -> None:
        self._stretch = stretch
        self._skips = skips
        self._order = stretch.order
        self._spec = stretch.order.spec
        self._is_alone = counts.epochs == 1
        self._counts = counts

    def samples_and_ranks(self, most: int) -> Iterator[Finding]:
        """Yield whether every sample comes as often as it should, and whether ranks have equally many."""
        if self._stretch.steps * self._order.global_batch > most and self._order.lanes is not None:
            yield self._by_inverse()
            yield Finding("ranks", True, "all have equally many places, padding included")
            return
        times = np.zeros(self._spec.num_samples, np.int32)
        per_rank: list[int] = []
        for ids in _ranks(self._stretch, self._skips):
            served = 0
            for low in range(0, self._stretch.steps * self._spec.batch_size, _CHUNK):
                chunk = ids.ids(low, min(low + _CHUNK, self._stretch.steps * self._spec.batch_size))
                chunk = chunk[chunk >= 0]
                np.add.at(times, chunk, 1)
                served += len(chunk)
            per_rank.append(served)
        yield self._as_often(times)
        equal = len(set(per_rank)) == 1
        yield Finding(
            "ranks", equal, f"{len(per_rank):,} ranks have {' to '.join(f'{n:,}' for n in _ends(per_rank))} samples"
        )

    def _bounds(self) -> tuple[Ints, Ints]:
        """Return ``int64[K]``: how often a sample of each stream comes at least, and at most."""
        spec, order, stretch = self._spec, self._order, self._stretch
        is_part = not stretch.is_whole or stretch.begin > 0 or bool(self._skips)
        drawn, blur = spec.choose, 0
        if order.scheduled is not None:
            begin = order.scheduled.begin + stretch.begin
            given = order.scheduled.route.given
            drawn, blur = given(begin + stretch.steps * order.global_batch) - given(begin), int(begin > 0)
            is_part = bool(self._skips)
        sizes = np.maximum(spec.samples_per_stream, 1)
        low = np.zeros(len(sizes), np.int64) if is_part else np.maximum(drawn // sizes - blur, 0)
        return low, -(-drawn // sizes) + blur

    def _as_often(self, times: NDArray[np.int32]) -> Finding:
        low, high = self._bounds()
        edges = self._spec.sample_offset_per_shard[self._spec.shard_offset_per_stream]
        stream = np.repeat(np.arange(self._spec.num_streams), np.diff(edges))
        missing = int(np.maximum(low[stream] - times, 0).sum())
        extra = int(np.maximum(times - high[stream], 0).sum())
        total = int(times.sum())
        padding, dropped = self._counts.padding, self._counts.dropped
        right = missing <= dropped and extra <= padding and (not self._is_alone or total == self._counts.samples)
        often = " or ".join(str(n) for n in sorted({int(low.min()), int(high.max())}))
        text = (
            f"every one counted: {total:,} served, of {len(times):,} each {often} times; {extra:,} more to pad ({padding:,} "
            f"allowed), {missing:,} fewer for batches that were not full ({dropped:,} allowed)"
        )
        return Finding("samples", right, text)

    def _by_inverse(self) -> Finding:
        """Look samples up: where they come, and what comes there."""
        order, spec = self._order, self._spec
        lanes = order.lanes
        assert lanes is not None
        begin, end = self._stretch.begin, self._stretch.begin + self._stretch.steps * order.global_batch
        rng = np.random.default_rng(0)
        low, high = self._bounds()
        edges = spec.sample_offset_per_shard[spec.shard_offset_per_stream]
        wrong = 0
        ids = rng.integers(0, spec.num_samples, _LOOKED_UP)
        for sample in ids.tolist():
            places = lanes.positions(sample, end)
            places = places[places >= begin]
            stream = int(np.searchsorted(edges, sample, side="right")) - 1
            is_there = len(places) == 0 or bool((lanes.ids(places) == sample).all())
            wrong += not (is_there and low[stream] <= len(places) <= high[stream])
        places = rng.integers(begin, min(end, lanes.total), _LOOKED_UP)
        for place, sample in zip(places.tolist(), lanes.ids(places).tolist(), strict=True):
            wrong += place not in lanes.positions(sample, end).tolist()
        text = f"{_LOOKED_UP:,} samples looked up, and {_LOOKED_UP:,} places: {wrong:,} do not fit"
        return Finding("samples", not wrong or bool(self._counts.dropped), text)


def _ends(values: Sequence[int]) -> list[int]:
    return sorted({min(values), max(values)})


def _ranks(stretch: Stretch, skips: Skips) -> Iterator[WorkerIds]:
    layout = stretch.order.layout
    for node, rank in np.ndindex(layout.num_nodes, layout.ranks_per_node):
        yield stretch.order.worker_ids(node, rank, 0, stretch.begin, skips)


def _layout_in(stretch: Stretch, world: World, replication: int) -> Layout:
    counted = layout_of(world.num_nodes, world.ranks_per_node, replication)
    if stretch.order.global_batch % counted.num_ranks:
        raise ConfigError(
            f"World {world} has {counted.num_ranks} ranks with samples of their own, which do not divide the "
            f"global batch of {stretch.order.global_batch} samples."
        )
    return Layout(counted.num_nodes, counted.ranks_per_node, max(1, world.num_workers))


def _order_in(stretch: Stretch, layout: Layout) -> EpochOrder:
    """Return the order of a stretch for another layout, as after resuming there."""
    order = stretch.order
    spec = replace(order.spec, batch_size=order.global_batch // layout.num_ranks)
    if order.spec.initial_physical_nodes is None:
        spec = replace(spec, initial_physical_nodes=order.layout.num_nodes)
    return EpochOrder(spec, order.epoch, layout)


class _Batches:
    """The global batches of an order from a place on, as its workers serve them."""

    def __init__(self, order: EpochOrder, begin: int, skips: Skips) -> None:
        self._size, layout = order.spec.batch_size, order.layout
        self._workers = layout.workers_per_rank
        self._ids: list[list[WorkerIds]] = [
            [order.worker_ids(node, rank, worker, begin, skips) for worker in range(self._workers)]
            for node, rank in np.ndindex(layout.num_nodes, layout.ranks_per_node)
        ]
        self.is_small: bool = sum(len(ids) for workers in self._ids for ids in workers) <= _FEW
        if self.is_small:
            self._ids = [[Listed(ids.ids(0, len(ids))) for ids in workers] for workers in self._ids]

    def get(self, batch: int) -> Ints:
        """Return the different samples of a global batch, ascending."""
        turn, worker = divmod(batch, self._workers)
        parts = [workers[worker].ids(turn * self._size, (turn + 1) * self._size) for workers in self._ids]
        ids = np.unique(np.concatenate(parts))
        return ids[ids >= 0]


def _compare(name: str, what: str, mine: _Batches, others: _Batches, offset: int, count: int) -> Finding:
    """Say whether batches of one are those of another that begins later."""
    most = count if others.is_small else min(count, _COMPARED)
    looked_at = np.unique(np.linspace(0, count - 1, most).astype(np.int64)).tolist()
    wrong = [k for k in looked_at if not np.array_equal(mine.get(offset + k), others.get(k))]
    first = f", the first of them batch {offset + wrong[0]:,}" if wrong else ""
    return Finding(
        name, not wrong, f"{what}: {len(looked_at):,} of {count:,} batches compared, {len(wrong):,} differ{first}"
    )


def _same_batches(stretch: Stretch, skips: Skips, name: str, layout: Layout) -> Finding:
    mine = _Batches(stretch.order, stretch.begin, skips)
    others = _Batches(_order_in(stretch, layout), stretch.begin, skips)
    return _compare("batches", f"in world {name}", mine, others, 0, stretch.steps)


def _same_rest(stretch: Stretch, skips: Skips, name: str, layout: Layout) -> Finding:
    mine, order = _Batches(stretch.order, stretch.begin, skips), _order_in(stretch, layout)
    cuts = sorted({*np.linspace(1, stretch.steps - 1, _RESUMED).astype(int).tolist()}) if stretch.steps > 1 else []
    found: list[Finding] = []
    for cut in cuts:
        others = _Batches(order, stretch.begin + cut * stretch.order.global_batch, skips)
        found.append(_compare("resuming", f"after {cut:,} batches", mine, others, cut, stretch.steps - cut))
    text = "; ".join(finding.text for finding in found) or "there is nothing after the first batch"
    return Finding("resuming", all(finding.holds for finding in found), f"{name}, {text}")


def _cache(plan: Plan) -> Finding:
    limit = plan.job.cache_limit
    if limit is None:
        return Finding("cache", True, f"it has no limit; {plan.smallest_cache:,} bytes are the least that would do")
    return Finding("cache", plan.is_cache_enough, f"the limit is {limit:,} bytes; {plan.smallest_cache:,} are needed")
