"""What a plan consists of. Its text, its values and its pictures are made of these."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.planning.counts import Counts, StreamCounts
from streaming.planning.demand import Demand
from streaming.planning.prices import Price
from streaming.planning.quality import Quality
from streaming.planning.replay import Replayed
from streaming.planning.speed import Speed
from streaming.planning.timing import Ranks, Timing

__all__ = ["Facts", "Job", "NodePlan"]


@dataclass(frozen=True)
class Job:
    """The machines of a run.

    Attributes:
        num_nodes: Nodes.
        ranks: What each has, ranks that get the same samples counted each.
        replication: Consecutive ranks that get the same samples.
        cache_limit: Bytes that a node's cache may hold, ``None`` for no limit.
    """

    num_nodes: int
    ranks: Ranks
    replication: int = 1
    cache_limit: int | None = None


@dataclass(frozen=True, eq=False)
class NodePlan:
    """What one node does, or each of several that read the same.

    Attributes:
        nodes: The nodes.
        shards: Different shards that it needs.
        fetches: Times that it fetches one.
        num_bytes: Bytes that it fetches, the indexes not counted.
        requests: Requests in which they come.
        evictions: Shards that its cache removes.
        in_use_bytes: Most bytes of shards that it reads from at a time.
        ahead_bytes: The same, with what is fetched ahead of need.
        demand: Which shards it needs when.
        replayed: What its cache does.
    """

    nodes: tuple[int, ...]
    shards: int
    fetches: int
    num_bytes: int
    requests: int
    evictions: int
    in_use_bytes: int
    ahead_bytes: int
    demand: Demand
    replayed: Replayed


@dataclass(frozen=True, eq=False)
class Facts:
    """What a run is going to take.

    Attributes:
        name: What is read.
        job: The machines.
        counts: Samples and steps.
        streams: What each stream gives.
        nodes: What the nodes do, those that read the same together.
        index_bytes: Bytes of the indexes, which each node fetches once.
        smallest_cache: The smallest ``cache_limit`` with which no shard is fetched twice while it is in use.
        roomy_cache: One with which what is fetched ahead of need has room besides.
        speed: How fast things go.
        timing: When things happen.
        price: What data costs, ``None`` where nobody said it.
        quality: How well the order mixes.
        is_exact: Whether the needs of every node are its own, rather than those of all ranks that share its data.
    """

    name: str
    job: Job
    counts: Counts
    streams: tuple[StreamCounts, ...]
    nodes: tuple[NodePlan, ...]
    index_bytes: int
    smallest_cache: int
    roomy_cache: int
    speed: Speed
    timing: Timing
    price: Price | None
    quality: Quality
    is_exact: bool

    @property
    def num_bytes(self) -> int:
        """Bytes that all nodes fetch, the indexes not counted."""
        return sum(len(node.nodes) * node.num_bytes for node in self.nodes)

    @property
    def requests(self) -> int:
        """Requests of all nodes, those for indexes included."""
        return sum(len(node.nodes) * (node.requests + len(self.streams)) for node in self.nodes)

    @property
    def is_cache_enough(self) -> bool:
        """Whether the cache holds what is in use at a time. If not, more is fetched than the plan says."""
        limit = self.job.cache_limit
        return limit is None or limit >= self.smallest_cache

    @property
    def cost(self) -> float | None:
        """What the data costs, ``None`` without a price."""
        total = self.num_bytes + self.job.num_nodes * self.index_bytes
        return None if self.price is None else self.price.of(total, self.requests)
