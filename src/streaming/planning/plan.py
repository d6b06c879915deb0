"""A plan of a run: what it serves, fetches, keeps, waits for and costs, before anything of it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streaming.cache.planning.needs import NEVER
from streaming.core.errors import ConfigError
from streaming.planning.costs import ShardCosts
from streaming.planning.counts import count
from streaming.planning.demand import Demand, Run, Stretch
from streaming.planning.facts import Facts, Job, NodePlan
from streaming.planning.pictures import draw
from streaming.planning.prices import Price
from streaming.planning.processes import Course
from streaming.planning.quality import quality_of
from streaming.planning.replay import most_at_once, replay
from streaming.planning.shares import Share, shares_of
from streaming.planning.show import as_json, as_rows
from streaming.planning.speed import Speed
from streaming.planning.timing import Fetched, Timing, time_of

__all__ = ["Plan", "make_plan"]

#: Up to so many samples, the shards of some ranks of a node are found by looking at each.
_FEW_SAMPLES = 1 << 24
#: Up to so many samples and needs of shards, over all processes, downloads are gone through process by process.
_LOOKED_AT, _GONE_THROUGH = 1 << 20, 1 << 16


class Plan(Facts):
    """What a run is going to take; see :meth:`streaming.StreamingDataset.plan`, and for its values :class:`Facts`.

    Example:
        >>> plan = StreamingDataset(local='cache', remote='data', batch_size=4).plan(num_nodes=2, ranks_per_node=2)
        >>> plan.counts.steps, plan.counts.samples, len(plan.nodes)
        (4, 64, 2)
    """

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values by name, for programs."""
        return as_json(self)

    def rows(self) -> list[list[str]]:
        """Return the plan as rows of a name and a text, for people."""
        return as_rows(self)

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(row[0]) for row in rows)
        return "\n".join([self.name, *(f"  {name.ljust(width)}  {text}".rstrip() for name, text in rows)])

    def draw(self, directory: str | Path) -> list[Path]:
        """Write the plan's pictures as SVG: downloads, the cache and shards in use over time, and how well it mixes.

        Args:
            directory: Where to; made if it is not there.

        Returns:
            The files.

        Example:
            >>> plan = StreamingDataset(remote='data', local='cache', batch_size=4).plan()
            >>> sorted(path.name for path in plan.draw('pictures'))
            ['cache.svg', 'download.svg', 'in_use.svg', 'quality.svg']
        """
        return draw(self, Path(directory))


def make_plan(
    name: str,
    run: Run,
    stream_names: Sequence[str],
    costs: ShardCosts,
    job: Job,
    speed: Speed,
    price: Price | None,
) -> Plan:
    """Work out a plan.

    Args:
        name: What is read.
        run: Which epochs, or steps, in which order.
        stream_names: Names of the streams.
        costs: What shards cost.
        job: The machines.
        speed: How fast things go.
        price: What data costs.

    Raises:
        ConfigError: There is nothing to read, or the order does not exist for these machines.
    """
    stretches = run.stretches()
    if not stretches:
        raise ConfigError("There are no steps to plan: the epoch, or what is left of it, holds no batch.")
    counts, streams = count(run, stretches, stream_names)
    alike: dict[tuple[Share, ...], list[int]] = {}
    for node, shares in enumerate(shares_of(job.num_nodes, job.ranks.ranks, job.replication)):
        alike.setdefault(shares, []).append(node)
    few = counts.samples <= _FEW_SAMPLES
    nodes = tuple(_node(run, stretches, tuple(found), shares, costs, job, few) for shares, found in alike.items())
    smallest = max(costs.index_bytes + max(n.in_use_bytes for n in nodes), 4 * costs.largest)
    return Plan(
        name,
        job,
        counts,
        streams,
        nodes,
        costs.index_bytes,
        smallest,
        max(smallest, costs.index_bytes + max(n.ahead_bytes for n in nodes)),
        speed,
        _timing(run, stretches, counts.samples, nodes, costs, job, speed),
        price,
        quality_of(stretches),
        few or all(ranks is None for shares in alike for _, ranks in shares),
    )


def _node(
    run: Run,
    stretches: list[Stretch],
    nodes: tuple[int, ...],
    shares: tuple[Share, ...],
    costs: ShardCosts,
    job: Job,
    few: bool,
) -> NodePlan:
    parts = [run.demand(stretches, node, ranks, few) for node, ranks in shares]
    shards, first, last = (np.concatenate([getattr(p, name) for p in parts]) for name in ("shards", "first", "last"))
    kept = np.flatnonzero(costs.wire[shards] > 0)
    kept = kept[np.argsort(first[kept], kind="stable")]
    demand = Demand(shards[kept], first[kept], last[kept])
    limit = None if job.cache_limit is None else max(0, job.cache_limit - costs.index_bytes)
    # Of lanes, the next epoch is known as well, and spans are a little wider than what is read.
    begins = [stretch.first_step for stretch in stretches] + [NEVER, NEVER]
    is_lanes = stretches[0].order.lanes is not None
    known = list(zip(begins, begins[1 + is_lanes :], strict=False))[: len(stretches)]
    replayed = replay(demand, costs.disk, limit, job.ranks.held + (not is_lanes), known)
    fetched = demand.shards[replayed.fetched]
    return NodePlan(
        nodes,
        len(np.unique(demand.shards)),
        len(fetched),
        int(costs.wire[fetched].sum()),
        int(costs.requests[fetched].sum()),
        replayed.evictions,
        most_at_once(demand, costs.disk),
        most_at_once(demand, costs.disk, job.ranks.ahead),
        demand,
        replayed,
    )


def _timing(
    run: Run,
    stretches: list[Stretch],
    samples: int,
    nodes: tuple[NodePlan, ...],
    costs: ShardCosts,
    job: Job,
    speed: Speed,
) -> Timing:
    steps = sum(stretch.steps for stretch in stretches)
    is_simple = len(stretches) == job.replication == 1 and not any(node.evictions for node in nodes)
    needs = sum(node.shards * len(node.nodes) for node in nodes) * job.ranks.processes
    if is_simple and samples <= _LOOKED_AT and needs <= _GONE_THROUGH:
        needed = list(run.needed(stretches[0], job.ranks.workers))
        return Course(needed, costs.wire, costs.parts, steps, speed, job.ranks, costs.index_bytes).run()
    return time_of([_fetched(node, costs) for node in nodes], steps, speed, job.ranks, costs.index_bytes)


def _fetched(node: NodePlan, costs: ShardCosts) -> Fetched:
    rows = node.replayed.fetched
    shards = node.demand.shards[rows]
    return Fetched(node.demand.first[rows], costs.wire[shards], costs.parts[shards])
