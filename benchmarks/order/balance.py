"""How evenly 512 ranks have to do with bins of documents, as they come and balanced, and what that costs.

python benchmarks/order/balance.py
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from streaming.order.queries.inspect import EpochInspector
from streaming.order.queries.plan import EpochOrder
from streaming.order.spec import Balancing, Layout, OrderSpec
from streaming.packing.options import Pack
from streaming.packing.pieces import cut, fit

NODES, RANKS, BATCH, WINDOW = 64, 8, 4, 16
DOCUMENTS = 10_000  # of a shard
WINDOWS = 2


def bin_costs(to: int, wanted: int) -> np.ndarray:
    """Return what bins of documents of log-normal length (median 600) cost: the sums of the squares of their lengths."""
    rng, rule = np.random.default_rng(0), Pack(tokens="tokens", to=to, long="truncate")
    costs: list[np.ndarray] = []
    while sum(map(len, costs)) < wanted:
        pieces = cut(rng.lognormal(np.log(600), 1, DOCUMENTS).astype(np.int64) + 1, rule)
        slots, counts = fit(pieces, rule)
        weights = (np.sort(pieces.sizes)[::-1][slots] * float(rule.quantum)) ** 2
        costs.append(np.bincount(np.repeat(np.arange(len(counts)), counts), weights, len(counts)))
    return rng.permutation(np.concatenate(costs)[:wanted]).astype(np.float32)


def spec_of(count: int) -> OrderSpec:
    """Return the order of so many bins."""
    one = np.array([1])
    return OrderSpec(
        samples_per_shard=np.full(64, count // 64),
        shards_per_stream=64 * one,
        choose=count * one,
        proportion=one * 1.0,
        epoch_size=count,
        batch_size=BATCH,
        num_canonical_nodes=NODES,
        shuffle=True,
        shuffle_algo="lanes",
        shuffle_seed=1,
        shuffle_block_size=1 << 18,
    )


def imbalance(spec: OrderSpec, costs: np.ndarray) -> float:
    """Return the largest load of a rank over the mean, over some windows."""
    epoch = EpochInspector(spec, 0, NODES, RANKS)
    loads = np.array([costs[epoch.batch(batch)].sum(1) for batch in range(WINDOW * WINDOWS)])
    return float((loads.max(1) / loads.mean(1)).mean())


def cost_us(spec: OrderSpec) -> float:
    """Return the microseconds of processor time that a worker takes for each bin of the run."""
    ids = EpochOrder(spec, 0, Layout(NODES, RANKS, 1)).worker_ids(0, 0, 0)
    ids.ids(0, 1)
    start = time.process_time()
    ids.ids(0, BATCH * WINDOW * WINDOWS)
    return (time.process_time() - start) / (NODES * RANKS * BATCH * WINDOW * (WINDOWS - 1)) * 1e6


def main() -> None:
    """Print the table."""
    count = NODES * RANKS * BATCH * WINDOW * WINDOWS
    print(
        f"{NODES} nodes of {RANKS} ranks, {BATCH} bins a rank, windows of {WINDOW} global batches; max / mean of sum l^2"
    )
    print("| tokens of a bin | balance | imbalance | µs of a worker for each bin of the run |")
    print("|---|---|---|---|")
    for to in (4096, 8192, 32768):
        costs = bin_costs(to, count)
        plain = spec_of(count)
        kinds = {
            "none": plain,
            "within='node'": replace(plain, balance=Balancing(costs, WINDOW, True, "")),
            "within='run'": replace(plain, balance=Balancing(costs, WINDOW, False, "")),
        }
        for name, spec in kinds.items():
            print(f"| {to:,} | {name} | {imbalance(spec, costs):.3f} | {cost_us(spec):.2f} |", flush=True)


if __name__ == "__main__":
    main()
