"""What an id costs in a schedule of 40 phases and 6 streams, beside a mixture of fixed weights of the same streams.

python benchmarks/order/schedule.py
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from streaming.order.queries.plan import EpochOrder, WorkerIds
from streaming.order.spec import Layout, OrderSpec
from streaming.order.table import HORIZON, Record

SHARDS = (4000, 2500, 1500, 1000, 800, 200)
SHARD_SIZE, SMALL_SHARD = 10_000, 4
PHASES, PHASE = 40, 2_048_000
BLOCK, ROUNDS = 16384, 40


def make_specs(num_canonical_nodes: int) -> dict[str, OrderSpec]:
    """Return the orders: of fixed weights, scheduled, and the latter with two streams of few samples."""
    sizes = np.array(SHARDS, np.int64) * SHARD_SIZE
    fixed = OrderSpec(
        samples_per_shard=np.full(sum(SHARDS), SHARD_SIZE, np.int64),
        shards_per_stream=np.array(SHARDS, np.int64),
        choose=sizes,
        proportion=sizes / sizes.sum(),
        epoch_size=int(sizes.sum()),
        batch_size=32,
        num_canonical_nodes=num_canonical_nodes,
        shuffle=True,
        shuffle_algo="lanes",
        shuffle_seed=9176,
        shuffle_block_size=1 << 18,
    )
    weights = np.random.default_rng(0).dirichlet(np.ones(len(SHARDS)), PHASES).tolist()
    ends = [(i + 1) * PHASE for i in range(PHASES - 1)] + [HORIZON]
    table = tuple(Record(i * PHASE, end, tuple(row)) for i, (end, row) in enumerate(zip(ends, weights, strict=True)))
    scheduled = replace(fixed, table=table, epoch_size=HORIZON)
    few = fixed.samples_per_shard.copy()
    few[-sum(SHARDS[-2:]) :] = SMALL_SHARD
    return {"fixed": fixed, "schedule": scheduled, "small streams": replace(scheduled, samples_per_shard=few)}


def cost_us(ids: WorkerIds, number: int) -> float:
    """Return the microseconds of processor time of an id of a block."""
    start = time.process_time()
    ids.ids(number * BLOCK, (number + 1) * BLOCK)
    return (time.process_time() - start) / BLOCK * 1e6


def main() -> None:
    """Print the table."""
    print("| canonical nodes | order | start, s | µs an id | of fixed weights |")
    print("|---|---|---|---|---|")
    for nodes in (1, 64):
        workers: dict[str, WorkerIds] = {}
        starts: dict[str, float] = {}
        for name, spec in make_specs(nodes).items():
            begin = time.perf_counter()
            workers[name] = EpochOrder(spec, 0, Layout(8, 8)).worker_ids(0, 0, 0)
            workers[name].ids(0, 1)
            starts[name] = time.perf_counter() - begin
        rounds = [{name: cost_us(ids, number) for name, ids in workers.items()} for number in range(ROUNDS)]
        medians = {name: float(np.median([row[name] for row in rounds])) for name in workers}
        for name, median in medians.items():
            print(f"| {nodes} | {name} | {starts[name]:.4f} | {median:.2f} | {median / medians['fixed']:.2f} |")


if __name__ == "__main__":
    main()
