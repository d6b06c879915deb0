"""One system's figures for reading token samples from local disk: microseconds of CPU time a sample, as JSON.

Run by run.py, in the environment of the system that is measured: ours, the original's, or none (the physical limit).

    python benchmarks/reading.py SYSTEM DIRECTORY
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

warnings.simplefilter("ignore")
BATCH = 256


def per_sample(call: Callable[[], int]) -> float:
    """Return microseconds of CPU time (all threads) for each of the samples that a call reads."""
    call()
    begin = time.process_time()
    count = call()
    return (time.process_time() - begin) / count * 1e6


def library(directory: str) -> dict[str, float]:
    """Measure the library that this environment has: both have the same classes."""
    from streaming import StreamingDataLoader, StreamingDataset

    def dataset() -> Any:
        return StreamingDataset(local=directory, batch_size=BATCH, shuffle=True)

    data = dataset()
    ids = np.random.default_rng(0).permutation(data.size)
    whole = ids[: len(ids) // BATCH * BATCH].reshape(-1, BATCH)

    def one_by_one() -> int:
        for i in ids.tolist():
            data[i]
        return len(ids)

    def many() -> int:
        for row in whole:
            data[row]
        return whole.size

    def loader() -> int:
        return sum(len(batch["tokens"]) for batch in StreamingDataLoader(data, batch_size=BATCH))

    return {
        "ds[i]": per_sample(one_by_one),
        "ds[256 at random]": per_sample(many),
        "for s in ds, shuffled": per_sample(lambda: sum(1 for _ in data)),
        "StreamingDataLoader, 0 workers": per_sample(loader),
    }


def limit(directory: str) -> dict[str, float]:
    """Copy the same bytes out of mapped files, in the same order, and do nothing else."""
    maps: list[mmap.mmap] = []
    places: list[tuple[int, int, int]] = []
    for name in sorted(os.listdir(directory)):
        if name.startswith("shard."):
            with open(os.path.join(directory, name), "rb") as file:
                maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            count = int.from_bytes(maps[-1][:4], "little")
            offsets = np.frombuffer(maps[-1], np.uint32, count + 1, 4).tolist()
            places += [(len(maps) - 1, a, b) for a, b in itertools.pairwise(offsets)]
    order = np.random.default_rng(0).permutation(len(places)).tolist()

    def copies() -> int:
        for i in order:
            shard, begin, end = places[i]
            _ = maps[shard][begin:end]
        return len(order)

    cost = per_sample(copies)
    names = ["ds[i]", "ds[256 at random]", "for s in ds, shuffled", "StreamingDataLoader, 0 workers"]
    return dict.fromkeys(names, cost)


if __name__ == "__main__":
    print(json.dumps(limit(sys.argv[2]) if sys.argv[1] == "limit" else library(sys.argv[2])))
