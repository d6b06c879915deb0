"""How full bins are and what planning them costs, beside Grain's packing of the same documents in the same run.

    python benchmarks/packing/planning.py
    GRAIN_PYTHON=/path/to/a/python/with/grain python benchmarks/packing/planning.py

Documents of log-normal length, median 600, in bins of 4,096 tokens; longer ones are cut beforehand, for all alike. Times are
of the processor. Grain packs while it reads, so that its time has no row of its own.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
from environments import environ, find

TO, MEDIAN, EPOCHS = 4096, 600, 3
SHARDS = (64, 1000, 16_000)
OPEN_BINS = (64, 1024)


def lengths_of(count: int) -> NDArray[np.int64]:
    """Return the lengths of documents, none of which is longer than a bin."""
    lengths = np.maximum(np.random.default_rng(0).lognormal(np.log(MEDIAN), 1, count), 1).astype(np.int64)
    numbers = -(-lengths // TO)
    starts = (np.arange(numbers.sum()) - np.repeat(np.cumsum(numbers) - numbers, numbers)) * TO
    return np.minimum(np.repeat(lengths, numbers) - starts, TO)


def ours(lengths: NDArray[np.int64], method: Any, per_shard: int) -> dict[str, float]:
    """Plan all shards, and then the bins of some epochs."""
    from streaming import Pack
    from streaming.packing.packs import Packs
    from streaming.packing.plan_file import PlanFile, write_plan

    rule = Pack("tokens", to=TO, method=method)
    shards = np.split(lengths, range(per_shard, len(lengths), per_shard))
    file = io.BytesIO()
    start = time.process_time()
    write_plan(file, np.array([4 * int(shard.sum()) for shard in shards]), shards, rule, "")
    planned = time.process_time() - start
    packs = Packs(PlanFile(file.getvalue()), rule, None)
    bins = int(packs.counts.sum())
    times: list[float] = []
    for epoch in range(EPOCHS):
        start = time.process_time()
        for shard in np.flatnonzero(packs.counts).tolist():
            packs.arrangement(shard, (0, epoch, 0))
        times.append((time.process_time() - start) / bins * 1e6)
    fill = float(lengths.sum()) / (bins * TO)
    return {"fill": fill, "plan": planned / len(lengths) * 1e6, "first": times[0], "later": min(times[1:])}


def grain_fill(path: str, open_bins: int) -> float:
    """Return how full Grain's bins are; runs where it is installed."""
    import grain
    from grain.experimental import BestFitPackIterDataset

    lengths = np.load(path)
    source = grain.MapDataset.source(lengths.tolist()).shuffle(seed=0).map(lambda n: {"x": np.ones(n, np.int32)})
    packed = BestFitPackIterDataset(source.to_iter_dataset(), length_struct={"x": TO}, num_packing_bins=open_bins)
    bins = sum(1 for _ in packed)
    return float(lengths.sum()) / (bins * TO)


def beside(lengths: NDArray[np.int64]) -> None:
    """Print Grain's rows."""
    python, reason = find("grain")
    if python is None:
        print(f"Grain is left out: {reason}")
        return
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, lengths)
        file.flush()
        for open_bins in OPEN_BINS:
            command = [python, __file__, "--grain", file.name, str(open_bins)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ("grain"))
            fill = float(done.stdout.split()[-1])
            print(f"| Grain best_fit, {open_bins} open bins | | {fill:.4f} | | | |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=128_000)
    parser.add_argument("--grain", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.grain:
        print(grain_fill(given.grain[0], int(given.grain[1])))
        return
    lengths = lengths_of(given.documents)
    print("| method | documents a shard | fill | planned once, µs a document | first epoch, µs a bin | later epochs |")
    print("|---|---|---|---|---|---|")
    for method in ("best_fit", "first_fit", "concat"):
        for per_shard in SHARDS:
            row = ours(lengths, method, per_shard)
            print(f"| {method} | {per_shard} | {row['fill']:.4f} | {row['plan']:.2f} |", end=" ")
            print(f"{row['first']:.2f} | {row['later']:.2f} |", flush=True)
    beside(lengths)


if __name__ == "__main__":
    main()
