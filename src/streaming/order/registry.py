"""The orders, partitions and batching methods by name, open to third parties."""

from __future__ import annotations

from typing import Any

from streaming.core.registry import Registry

__all__ = ["batching_methods", "partition_algos", "shuffle_algos"]

#: Shuffle algorithms: classic ones are functions as :func:`streaming.order.classic.shuffle.get_shuffle`.
shuffle_algos: Registry[Any] = Registry(
    "shuffle algorithm",
    {
        "lanes": "streaming.order.lanes.epoch:LanesEpoch",
        **{
            name: f"streaming.order.classic.shuffle.{name}:get_shuffle_{name}"
            for name in ("naive", "py1br", "py1e", "py1s", "py2s")
        },
    },
    group="streaming.shuffles",
)

#: Ways to split a classic epoch over nodes.
partition_algos: Registry[Any] = Registry(
    "partition algorithm",
    {
        "orig": "streaming.order.classic.partition:make_orig",
        "relaxed": "streaming.order.classic.partition:make_relaxed",
    },
    group="streaming.partitions",
)

#: Ways to mix streams in batches, as classic orders do it.
batching_methods: Registry[Any] = Registry(
    "batching method",
    {
        name: f"streaming.order.classic.batching.{name}:generate_work_{name}_batching"
        for name in ("random", "stratified", "per_stream", "device_per_stream")
    },
    group="streaming.batching",
)
