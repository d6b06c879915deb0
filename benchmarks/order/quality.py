"""How well orders shuffle, and how evenly they need shards: tables, and plots where --plots names a folder.

python benchmarks/order/quality.py --plots docs/img
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from orders import Ints, epoch_ids, ids_per_node, make_spec

from streaming.core.errors import ConfigError

ALGOS = ("lanes", "py1e", "py1br", "naive")
SHARDS, SHARD_SIZE, BLOCK_SIZE = 4000, 1000, 1 << 18
BATCHES = (32, 256)
LAGS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 262144, 1048576)
#: Samples in which the shards met for the first time are counted.
WINDOW = 4 * SHARD_SIZE

NODE_SHARDS, NODE_SHARD_SIZE, NODE_BLOCK_SIZE = 4000, 256, 1 << 14
NODES = (1, 2, 4, 8, 16, 32, 48, 64)
CANONICAL = 64


def shards_of(ids: Ints) -> Ints:
    """Return the shard of each sample of the main dataset."""
    return ids // SHARD_SIZE


def correlation(ids: Ints, lag: int) -> float:
    """Return the correlation of ids with those that come ``lag`` samples later."""
    return float(np.corrcoef(ids[:-lag], ids[lag:])[0, 1])


def distinct(shard: Ints, batch: int) -> Ints:
    """Return how many shards each whole batch draws on."""
    rows = np.sort(shard[: len(shard) // batch * batch].reshape(-1, batch), 1)
    return (np.diff(rows, axis=1) != 0).sum(1) + 1


def first_and_last(shard: Ints) -> tuple[Ints, Ints]:
    """Return where each shard is met first and last."""
    first = np.unique(shard, return_index=True)[1]
    last = len(shard) - 1 - np.unique(shard[::-1], return_index=True)[1]
    return first, last


def new_shards(shard: Ints) -> Ints:
    """Return how many shards are met for the first time in each window."""
    return np.histogram(first_and_last(shard)[0], np.arange(0, len(shard) + WINDOW, WINDOW))[0]


def in_use(shard: Ints) -> Ints:
    """Return how many shards have been met and will be met again, at each window's begin."""
    first, last = first_and_last(shard)
    places = np.arange(0, len(shard), WINDOW)
    return np.searchsorted(np.sort(first), places, "right") - np.searchsorted(np.sort(last), places, "left")


def table(title: str, rows: dict[str, Callable[[Ints], str]], epochs: dict[str, Ints]) -> None:
    """Print a row for each measure and a column for each order."""
    print(f"\n| {title} | {' | '.join(epochs)} |\n|---|{'---|' * len(epochs)}")
    for name, measure in rows.items():
        print(f"| {name} | {' | '.join(measure(ids) for ids in epochs.values())} |")


def neighbours() -> dict[str, Callable[[Ints], str]]:
    """Return the measures of what comes after what."""
    third = SHARDS * SHARD_SIZE / 3
    return {
        "neighbours from one shard": lambda ids: f"{(np.diff(shards_of(ids)) == 0).mean():.2%}",
        "distance of neighbours' shards, of S/3": lambda ids: (
            f"{np.abs(np.diff(shards_of(ids))).mean() / SHARDS * 3:.3f}"
        ),
        "distance of neighbours' ids, of N/3": lambda ids: f"{np.abs(np.diff(ids)).mean() / third:.3f}",
        "correlation of ids, next sample": lambda ids: f"{correlation(ids, 1):+.4f}",
        "correlation of ids, 256 later": lambda ids: f"{correlation(ids, 256):+.4f}",
        "correlation of ids, 16,384 later": lambda ids: f"{correlation(ids, 16384):+.4f}",
    }


def batches() -> dict[str, Callable[[Ints], str]]:
    """Return the measures of how many shards batches draw on."""

    def measure(batch: int, what: Callable[[Ints], float]) -> Callable[[Ints], str]:
        return lambda ids: f"{what(distinct(shards_of(ids), batch)):.1f}"

    kinds: dict[str, Callable[[Ints], float]] = {
        "mean": lambda n: float(n.mean()),
        "first batch": lambda n: float(n[0]),
        "last batch": lambda n: float(n[-1]),
        "lowest of the middle half": lambda n: float(n[len(n) // 4 : -len(n) // 4].min()),
    }
    return {f"batch of {batch}, {kind}": measure(batch, what) for batch in BATCHES for kind, what in kinds.items()}


def downloads() -> dict[str, Callable[[Ints], str]]:
    """Return the measures of how evenly shards are met for the first time; four a window would be even."""

    def later(ids: Ints) -> Ints:
        return new_shards(shards_of(ids))[len(ids) // WINDOW // 4 :]

    return {
        "first window": lambda ids: f"{new_shards(shards_of(ids))[0]}",
        "most in a window": lambda ids: f"{new_shards(shards_of(ids)).max()}",
        "most in a window after a quarter of the epoch": lambda ids: f"{later(ids).max()}",
        "spread there (standard deviation)": lambda ids: f"{later(ids).std():.2f}",
        "shards in use at once, most": lambda ids: f"{in_use(shards_of(ids)).max()}",
        "shards in use at once, middle of the epoch": lambda ids: f"{in_use(shards_of(ids))[len(ids) // WINDOW // 2]}",
    }


def fetches(algo: str, num_nodes: int, num_canonical: int) -> list[int]:
    """Return how many shards each node needs in an epoch; nothing where the order does not exist for so many nodes."""
    spec = make_spec(algo, NODE_SHARDS, NODE_SHARD_SIZE, NODE_BLOCK_SIZE, num_canonical_nodes=num_canonical)
    try:
        return [len(np.unique(ids // NODE_SHARD_SIZE)) for ids in ids_per_node(spec, num_nodes)]
    except ConfigError:
        return []


def nodes_table() -> dict[str, list[float]]:
    """Print shards a node and egress for growing jobs; return the egress."""
    cases = [(f"{algo}, C = {CANONICAL}", algo, CANONICAL) for algo in ALGOS] + [("lanes, C = nodes", "lanes", 0)]
    counts = {name: [fetches(algo, n, canonical or n) for n in NODES] for name, algo, canonical in cases}
    egress = {name: [sum(row) / NODE_SHARDS if row else np.nan for row in rows] for name, rows in counts.items()}
    print(f"\n| nodes | {' | '.join(counts)} |\n|---|{'---|' * len(cases)}")
    for at, num_nodes in enumerate(NODES):
        cells = [f"{max(rows[at]):,} ({egress[name][at]:.3f})" if rows[at] else "" for name, rows in counts.items()]
        print(f"| {num_nodes} | {' | '.join(cells)} |")
    return egress


def plot(folder: Path, epochs: dict[str, Ints], egress: dict[str, list[float]]) -> None:
    """Draw every plot into a folder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    total = SHARDS * SHARD_SIZE

    def save(name: str, draw: Callable[[Any], None], x: str, y: str) -> None:
        figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
        draw(axes)
        axes.set(xlabel=x, ylabel=y)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        figure.savefig(folder / f"{name}.png", dpi=110)
        plt.close(figure)

    def draw_distance(axes: Any) -> None:
        for algo, ids in epochs.items():
            share, edges = np.histogram(np.abs(np.diff(ids)) / total, 100, (0, 1), density=True)
            axes.stairs(share, edges, label=algo)
        axes.plot([0, 1], [2, 0], "k--", lw=0.8, label="independent draws")

    def draw_correlation(axes: Any) -> None:
        for algo, ids in epochs.items():
            axes.plot(LAGS, [correlation(ids, lag) for lag in LAGS], ".-", label=algo)
        axes.set_xscale("log", base=2)

    def draw_distinct(axes: Any) -> None:
        for algo, ids in epochs.items():
            counts = distinct(shards_of(ids), 256)
            counts = counts[: len(counts) // 50 * 50].reshape(-1, 50).mean(1)
            axes.plot(np.linspace(0, 1, len(counts)), counts, lw=1, label=algo)
        axes.set_ylim(0)

    def draw_new(axes: Any) -> None:
        for algo, ids in epochs.items():
            axes.plot(np.linspace(0, 1, 1 + total // WINDOW), [0, *np.cumsum(new_shards(shards_of(ids)))], label=algo)
        axes.set_xlim(0, 1)

    def draw_use(axes: Any) -> None:
        for algo, ids in epochs.items():
            counts = in_use(shards_of(ids))
            axes.plot(np.linspace(0, 1, len(counts)), counts, lw=1, label=algo)

    def draw_egress(axes: Any) -> None:
        for name, values in egress.items():
            axes.plot(NODES, values, "--" if "nodes" in name else ".-", label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)

    def draw_picture(axes: Any) -> None:
        shard = epoch_ids(make_spec("lanes", 120, 64, 16 * 64)) // 64
        rows = np.argsort(np.argsort(np.unique(shard, return_index=True)[1]))
        axes.scatter(np.arange(len(shard)), rows[shard], s=0.5, label="a sample")

    folder.mkdir(parents=True, exist_ok=True)
    save("order-lanes", draw_picture, "position in the epoch", "shard, by first use")
    save("order-distance", draw_distance, "distance of neighbours' ids, of N", "density")
    save("order-correlation", draw_correlation, "samples later", "correlation of ids")
    save("order-batches", draw_distinct, "epoch", "shards a batch of 256 draws on")
    save("order-downloads", draw_new, "epoch", "shards met so far")
    save("order-in-use", draw_use, "epoch", "shards in use at once")
    save("order-egress", draw_egress, "nodes", "shards fetched over all nodes / shards")


def main() -> None:
    """Print the tables and draw the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plots", type=Path, help="folder for the plots")
    args = parser.parse_args()
    epochs = {algo: epoch_ids(make_spec(algo, SHARDS, SHARD_SIZE, BLOCK_SIZE)) for algo in ALGOS}
    print(f"{SHARDS} shards of {SHARD_SIZE} samples, one canonical node, block size {BLOCK_SIZE}")
    table("neighbours", neighbours(), epochs)
    table("shards a batch draws on", batches(), epochs)
    table(f"shards met first in {WINDOW} samples", downloads(), epochs)
    print(f"\n{NODE_SHARDS} shards of {NODE_SHARD_SIZE} samples, block size {NODE_BLOCK_SIZE}:")
    print("most shards a node needs (shards fetched over all nodes, in passes over the dataset)")
    egress = nodes_table()
    if args.plots:
        plot(args.plots, epochs, egress)


if __name__ == "__main__":
    main()
