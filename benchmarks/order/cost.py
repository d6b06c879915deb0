"""What an order costs: time to the first id, from the start and from the middle of an epoch, memory, and time an id.

Every figure comes from a process of its own. The original library is measured beside ours where STREAMING_ORIGINAL_PYTHON
names a Python that has it installed.

    python benchmarks/order/cost.py
    STREAMING_ORIGINAL_PYTHON=/path/to/python python benchmarks/order/cost.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from measure import peak_mb

BLOCK_SIZE = 1 << 18
BATCH = 32
SAMPLE_IDS = 1_000_000
TIMEOUT_S = 600
ORIGINAL = "original py1e"


def num_shards(num_samples: int) -> int:
    """Return the shards of a dataset: of 10,000 samples up to 10^9, of 100,000 from there on."""
    return num_samples // (10_000 if num_samples <= 10**9 else 100_000)


def measure_ours(algo: str, num_samples: int, begin: int) -> dict[str, float]:
    """Measure one order of this library: numbers of the dataset in, ids out."""
    import numpy as np
    from orders import make_spec

    from streaming.order.queries.plan import EpochOrder
    from streaming.order.spec import Layout

    shards = num_shards(num_samples)
    # What is imported on first use belongs to the program, not to the dataset.
    EpochOrder(make_spec(algo, 4, 4, 4), 0, Layout()).worker_ids(0, 0, 0).ids(0, 4)
    before, start = peak_mb(), time.perf_counter()
    spec = make_spec(algo, shards, num_samples // shards, BLOCK_SIZE, batch_size=BATCH)
    order = EpochOrder(spec, 1, Layout())
    worker = order.worker_ids(0, 0, 0, begin)
    worker.ids(0, 1)
    result = {"first_s": time.perf_counter() - start, "mb": peak_mb() - before}
    count = min(SAMPLE_IDS, len(worker))
    start = time.perf_counter()
    for low in range(0, count, 8192):
        worker.ids(low, min(low + 8192, count))
    result["us"] = (time.perf_counter() - start) / count * 1e6
    if order.lanes is not None:
        places = np.random.default_rng(0).integers(0, num_samples, count)
        start = time.perf_counter()
        order.lanes.ids(places)
        result["random_us"] = (time.perf_counter() - start) / count * 1e6
    return result


def measure_original(num_samples: int, begin: int) -> dict[str, float]:
    """Measure the original's work on an epoch, for a dataset of which only the index exists."""
    from streaming import StreamingDataset
    from streaming.base.batching import generate_work
    from streaming.base.world import World

    shards = num_shards(num_samples)
    file = {"basename": "shard.mds", "bytes": 8, "hashes": {}}
    shard = {
        "column_encodings": ["int"], "column_names": ["x"], "column_sizes": [8], "compression": None, "format": "mds",
        "hashes": [], "raw_data": file, "samples": num_samples // shards, "size_limit": None, "version": 2,
        "zip_data": None,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        entries = [{**shard, "raw_data": {**file, "basename": f"shard.{number:05}.mds"}} for number in range(shards)]
        Path(folder, "index.json").write_text(json.dumps({"version": 2, "shards": entries}))
        dataset = StreamingDataset(
            local=folder, shuffle=True, batch_size=BATCH, num_canonical_nodes=1, shuffle_block_size=BLOCK_SIZE
        )
        dataset.initial_physical_nodes = 1
        before, start = peak_mb(), time.perf_counter()
        work = generate_work("random", dataset, World(1, 1, 1, 0), 1, begin)
        int(work.flat[0])
        return {"first_s": time.perf_counter() - start, "mb": peak_mb() - before}


def run(what: str, num_samples: int, begin: int) -> dict[str, float] | None:
    """Measure in a new process; nothing if it failed, for want of memory, say."""
    python = os.environ["STREAMING_ORIGINAL_PYTHON"] if what == ORIGINAL else sys.executable
    command = [python, __file__, "--child", what, str(num_samples), str(begin)]
    env = dict(os.environ)
    if what == ORIGINAL:
        env.pop("PYTHONPATH", None)
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=env, check=False)
    if done.returncode:
        print(done.stderr[-600:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def best(what: str, num_samples: int, begin: int, repeats: int) -> dict[str, float] | None:
    """Return the least of each figure over some runs: what else the machine does only adds."""
    results = [result for _ in range(repeats) if (result := run(what, num_samples, begin))]
    return {key: min(result[key] for result in results) for key in results[0]} if results else None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--largest", type=int, default=12, help="largest power of ten for lanes")
    parser.add_argument(
        "--largest-classic", type=int, default=9, help="for py1e, which takes 4 bytes a sample and more"
    )
    parser.add_argument("--largest-original", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the best counts; 1 above 10^8 for py1e")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_args()
    if args.child:
        what, num_samples, begin = args.child[0], int(args.child[1]), int(args.child[2])
        original = what == ORIGINAL
        print(json.dumps(measure_original(num_samples, begin) if original else measure_ours(what, num_samples, begin)))
        return
    largest = {"lanes": args.largest, "py1e": args.largest_classic}
    if "STREAMING_ORIGINAL_PYTHON" in os.environ:
        largest[ORIGINAL] = args.largest_original
    print(
        "| samples | shards | order | start, s | resume at the middle, s | peak memory, MB | µs an id | at random, µs |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for power in range(6, max(largest.values()) + 1):
        for what, last in largest.items():
            if power > last:
                continue
            size = 10**power
            repeats = args.repeats if what == "lanes" or power < 8 else 1
            start, middle = best(what, size, 0, repeats), best(what, size, size // 2, repeats)
            if start is None or middle is None:
                print(f"| 10^{power} | {num_shards(size):,} | {what} | failed | | | | |", flush=True)
                continue
            each, anywhere = (f"{start[key]:.2f}" if key in start else "" for key in ("us", "random_us"))
            print(
                f"| 10^{power} | {num_shards(size):,} | {what} | {start['first_s']:.4f} | {middle['first_s']:.4f} "
                f"| {max(start['mb'], middle['mb']):,.1f} | {each} | {anywhere} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
