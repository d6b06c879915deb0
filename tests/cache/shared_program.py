"""The ranks of a job that share a cache directory; see test_many_processes.py.

    python shared_program.py REMOTE LOCAL LIMIT PROCESSES IN_STEP

``IN_STEP`` is 1 for ranks that wait for each other at every batch, as training makes them, for two epochs; 0 for jobs on
their own, of one epoch.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

from streaming import StreamingDataLoader, StreamingDataset
from streaming.cache import cache

# On a busy machine all that is there may be on its way for seconds, and a reader takes room beyond the limit in the end.
cache._PATIENCE_S = 90.0  # pyright: ignore[reportPrivateUsage]


def read(remote: str, local: str, limit: int, ranks: int, rank: int, barrier: Any, results: Any) -> None:
    dataset = StreamingDataset(
        remote=remote,
        local=local,
        batch_size=4,
        shuffle=True,
        shuffle_block_size=300,
        num_canonical_nodes=1,
        cache_limit=limit,
        data_parallel_rank=rank,
        data_parallel_size=ranks,
        predownload=8,
    )
    usage = 0
    found: list[int] = []
    for _ in range(2 if barrier is not None else 1):
        for batch in StreamingDataLoader(dataset, batch_size=4, num_workers=2, timeout=100):
            for i, x in zip(batch["id"].tolist(), batch["x"], strict=True):
                if x != i.to_bytes(4, "little") * 500:
                    raise ValueError(f"Sample {i} is wrong.")
                found.append(i)
            usage = max(usage, dataset.cache_usage)
            if barrier is not None:
                barrier.wait(60)
    results.put({"ids": found, "usage": usage, "files": dataset.stats()["files_fetched"]})


def main() -> None:
    remote, local, limit, processes, in_step = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(processes) if in_step else None
    results = context.Queue()
    ranks = processes if in_step else 1
    jobs = [
        context.Process(target=read, args=(remote, local, limit, ranks, i if in_step else 0, barrier, results))
        for i in range(processes)
    ]
    for job in jobs:
        job.start()
    print(json.dumps([results.get(timeout=120) for _ in jobs]))
    for job in jobs:
        job.join(60)


if __name__ == "__main__":
    main()
