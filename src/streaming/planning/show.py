"""A plan as text and as plain values."""

from __future__ import annotations

from typing import Any

from streaming.planning.facts import Facts

__all__ = ["as_json", "as_rows", "show_bytes", "show_seconds"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MOST_NODES = 8


def show_bytes(size: float) -> str:
    """Return a number of bytes as text, such as ``'1.50 GiB'``."""
    power = 0
    while abs(size) >= 1024 and power < len(_UNITS) - 1:
        size, power = size / 1024, power + 1
    return f"{size:.2f} {_UNITS[power]}" if power else f"{int(size)} B"


def show_seconds(seconds: float) -> str:
    """Return a duration as text, such as ``'2.5 s'`` or ``'3 h 20 min'``."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60} min" if minutes >= 120 else f"{minutes} min"


def as_rows(plan: Facts) -> list[list[str]]:
    """Return rows of a name and a text."""
    counts = plan.counts
    rows = [
        [
            "steps",
            f"{counts.steps:,} of {counts.global_batch:,} samples, {counts.epochs:,} epoch{'s' * (counts.epochs != 1)}",
        ],
        ["samples", f"{counts.samples:,}, of {counts.size:,} different ones; {_more(plan)}"],
    ]
    if len(plan.streams) > 1:
        rows += [[f"stream {s.name}", f"{s.drawn:,} of {s.size:,}: {s.passes:.3g} times each"] for s in plan.streams]
    rows += [
        ["download", f"{show_bytes(plan.num_bytes)} in {plan.requests:,} requests, over all nodes"],
        *_nodes(plan),
        ["mixing", _mixing(plan)],
        ["cache", _cache(plan)],
        *_times(plan),
    ]
    if plan.price is not None:
        price = plan.price
        dated = f", prices of {price.date}" if price.date else ""
        dated += f" ({price.source})" if price.source else ""
        rows.append(["money", f"{_money(plan.cost or 0)} {price.currency} by {price.name!r}{dated}"])
    return rows


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.2g}"


def _more(plan: Facts) -> str:
    counts = plan.counts
    repeats = sum(stream.repeats for stream in plan.streams)
    dropped = f", {counts.dropped:,} left out" if counts.dropped else ""
    return f"{counts.padding:,} padding, {repeats:,} repeats{dropped}"


def _nodes(plan: Facts) -> list[list[str]]:
    rows: list[list[str]] = []
    for node in plan.nodes[:_MOST_NODES]:
        first, last = node.nodes[0], node.nodes[-1]
        name = f"node {first}" if first == last else f"nodes {first} to {last}, each"
        again = f", {node.fetches:,} fetches" if node.fetches != node.shards else ""
        rows.append([name, f"{show_bytes(node.num_bytes)}, {node.shards:,} shards{again}, {node.requests:,} requests"])
    if len(plan.nodes) > _MOST_NODES:
        rows.append(["...", f"and {len(plan.nodes) - _MOST_NODES} more"])
    if not plan.is_exact:
        rows.append(["", "an upper bound: what nodes share by replication is counted for each"])
    return rows


def _mixing(plan: Facts) -> str:
    quality = plan.quality
    if not len(quality.shards):
        return "no batch to look at"
    return (
        f"a batch draws on {quality.shards.mean():,.1f} shards (least {quality.shards.min():,}), "
        f"{100 * quality.variety:.0f}% of what a random one would; neighbours of one shard: {100 * quality.same_shard:.1f}%"
    )


def _cache(plan: Facts) -> str:
    limit = plan.job.cache_limit
    text = f"at least {show_bytes(plan.smallest_cache)}, better {show_bytes(plan.roomy_cache)}"
    if limit is None:
        held = max((int(node.replayed.held[-1]) for node in plan.nodes if len(node.replayed.held)), default=0)
        return f"{text}; without a limit {show_bytes(held + plan.index_bytes)} at the end"
    evicted = max(node.evictions for node in plan.nodes)
    fits = (
        f"holds, {evicted:,} evictions a node at most"
        if plan.is_cache_enough
        else "IS TOO SMALL: more is fetched than this"
    )
    return f"{text}; the limit of {show_bytes(limit)} {fits}"


def _times(plan: Facts) -> list[list[str]]:
    timing, speed = plan.timing, plan.speed
    if speed.bandwidth is None and speed.connection is None and not (speed.latency_s or speed.step_s or speed.decode_s):
        return [["time", "not known: say how fast things go (bandwidth, latency, a step)"]]
    waiting = int((timing.waits > 1e-9).sum())
    rate = plan.counts.samples / timing.total_s if timing.total_s else 0.0
    return [
        ["first batch", f"after {show_seconds(timing.first_batch_s)}"],
        ["stalls", f"{show_seconds(timing.stall_s)} at {waiting:,} steps"],
        ["in all", f"{show_seconds(timing.total_s)}, {rate:,.0f} samples a second; set by {timing.bound}"],
    ]


def as_json(plan: Facts) -> dict[str, Any]:
    """Return plain values by name."""
    counts, timing, quality = plan.counts, plan.timing, plan.quality
    job, ranks, price = plan.job, plan.job.ranks, plan.price
    return {
        "name": plan.name,
        "job": {
            "nodes": job.num_nodes,
            "ranks_per_node": ranks.ranks,
            "workers": ranks.workers,
            "batch_size": ranks.batch_size,
            "predownload": ranks.predownload,
            "replication": job.replication,
            "cache_limit": job.cache_limit,
        },
        "counts": vars(counts),
        "streams": [{**vars(s), "passes": s.passes, "repeats": s.repeats} for s in plan.streams],
        "bytes": plan.num_bytes,
        "requests": plan.requests,
        "index_bytes": plan.index_bytes,
        "nodes": [
            {
                "nodes": list(node.nodes),
                "shards": node.shards,
                "fetches": node.fetches,
                "bytes": node.num_bytes,
                "requests": node.requests,
                "evictions": node.evictions,
                "in_use_bytes": node.in_use_bytes,
                "ahead_bytes": node.ahead_bytes,
            }
            for node in plan.nodes
        ],
        "is_exact": plan.is_exact,
        "cache": {
            "smallest": plan.smallest_cache,
            "roomy": plan.roomy_cache,
            "is_enough": plan.is_cache_enough,
        },
        "speed": vars(plan.speed),
        "time": {
            "first_batch_s": timing.first_batch_s,
            "total_s": timing.total_s,
            "stall_s": timing.stall_s,
            "steps_that_wait": int((timing.waits > 1e-9).sum()),
            "step_s": timing.step_s,
            "bound": timing.bound,
        },
        "quality": {
            "shards_of_a_batch": float(quality.shards.mean()) if len(quality.shards) else 0.0,
            "variety": quality.variety,
            "same_shard": quality.same_shard,
            "distance": quality.distance,
        },
        "money": None
        if price is None or plan.cost is None
        else {
            "cost": plan.cost,
            "currency": price.currency,
            "price": price.name,
            "date": price.date,
            "source": price.source,
        },
    }
