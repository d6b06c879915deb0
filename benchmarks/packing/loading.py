"""What a token costs through a loader, packed and not, in the same run: a plain DataLoader and a StreamingDataLoader.

    python benchmarks/packing/loading.py

Unpacked, a batch is a list of as many documents as a packed one holds on average. Columns: CPU time of all processes, and wall
time, in nanoseconds a token; medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from streaming import MDSWriter, Pack, StreamingDataLoader, StreamingDataset

TO, MEDIAN, BATCH = 4096, 600, 8


def write(folder: str, documents: int) -> int:
    """Write documents of log-normal length; return the number of tokens."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(MEDIAN), 1, documents), 1, TO).astype(np.int64)
    with MDSWriter(columns={"tokens": "ndarray:uint16"}, out=folder) as out:
        for length in lengths.tolist():
            out.write({"tokens": rng.integers(0, 50_000, length, np.uint16)})
    return int(lengths.sum())


def cost(batches: Iterable[Any]) -> tuple[float, float]:
    """Return the processor's and the clock's seconds of an epoch."""
    begin, before = time.perf_counter(), os.times()
    for _ in batches:
        pass
    after = os.times()
    return sum(after[:4]) - sum(before[:4]), time.perf_counter() - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tokens = write(folder, given.documents)
        print("| loader | workers | unpacked, CPU | wall | packed, CPU | wall | CPU, packed of unpacked | wall |")
        print("|---|---|---|---|---|---|---|---|")
        for kind in (StreamingDataLoader, DataLoader):
            for workers in (0, 2):
                found: dict[str, list[tuple[float, float]]] = {"unpacked": [], "packed": []}
                for _ in range(given.rounds):
                    for name, rule in (("unpacked", None), ("packed", Pack("tokens", to=TO))):
                        size = BATCH if rule else BATCH * TO * given.documents // tokens
                        data = StreamingDataset(local=folder, batch_size=size, shuffle=True, pack=rule)
                        more: dict[str, Any] = {} if rule else {"collate_fn": list}
                        found[name].append(cost(kind(data, batch_size=size, num_workers=workers, **more)))
                rows = [np.median(found[name], axis=0) / tokens * 1e9 for name in ("unpacked", "packed")]
                figures = [*rows[0], *rows[1], *(rows[1] / rows[0])]
                print(
                    f"| {kind.__name__} | {workers} | {' | '.join(f'{figure:.2f}' for figure in figures)} |", flush=True
                )


if __name__ == "__main__":
    main()
