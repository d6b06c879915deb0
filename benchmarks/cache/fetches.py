"""How often a shuffled epoch fetches each shard when the cache holds a part of the dataset only.

    python benchmarks/cache/fetches.py                                   # this library
    STREAMING_ORIGINAL_PYTHON=/path/to/python python benchmarks/cache/fetches.py   # and mosaicml-streaming 0.13

Every run is a process of its own with a fresh directory. Numbers are files fetched in an epoch over shards of the dataset.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARDS, PER_SHARD, ROW, BLOCK = 400, 64, 2048, 2000
TIMEOUT_S = 200

# The same program for both libraries.
PROGRAM = """
import os, sys, warnings
warnings.simplefilter("ignore")
from streaming import Stream, StreamingDataLoader, StreamingDataset

remote, local, limit, order, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
log = os.open(local + ".log", os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_WRONLY)
if hasattr(Stream, "_download_file"):
    real = Stream._download_file
    def download(self, name, *rest):
        os.write(log, b"1")
        return real(self, name, *rest)
    Stream._download_file = download
settings = {"shuffle_algo": order} if order != "lanes" else {}
dataset = StreamingDataset(
    remote=remote, local=local, batch_size=32, shuffle=True, cache_limit=limit, shuffle_block_size=BLOCK,
    num_canonical_nodes=1, **settings
)
before = 0
for epoch in range(2):
    ids = [i for b in StreamingDataLoader(dataset, batch_size=32, num_workers=workers) for i in b["id"].tolist()]
    assert sorted(ids) == list(range(SAMPLES)), "samples are missing"
    total = dataset.stats()["files_fetched"] if hasattr(dataset, "stats") else os.path.getsize(local + ".log")
    print(total - before, end=" ", flush=True)
    before = total
""".replace("BLOCK", str(BLOCK)).replace("SAMPLES", str(SHARDS * PER_SHARD))


def write(out: str) -> int:
    """Write the dataset; return the bytes of its shards."""
    import numpy as np

    sys.path.insert(0, str(HERE.parents[1] / "src"))
    from streaming import MDSWriter

    rng = np.random.default_rng(0)
    with MDSWriter(out=out, columns={"id": "int", "x": "bytes"}, size_limit=PER_SHARD * (ROW + 24) + 1500) as writer:
        for i in range(SHARDS * PER_SHARD):
            writer.write({"id": i, "x": rng.bytes(ROW)})
    return sum(path.stat().st_size for path in Path(out).glob("*.mds"))


def run(python: str, path: str, remote: str, limit: int, order: str, workers: int) -> str:
    """Return fetches per shard of the first and the second epoch."""
    shards = len(list(Path(remote).glob("*.mds")))
    local = tempfile.mkdtemp(prefix="streaming-fetches-")
    command = [python, "-c", PROGRAM, remote, local, str(limit), order, str(workers)]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed"])[-1][:60]
        return ", ".join(f"{int(count) / shards:.2f}" for count in done.stdout.split())
    except subprocess.TimeoutExpired:
        return f"not done in {TIMEOUT_S} s"
    finally:
        shutil.rmtree(local, ignore_errors=True)
        Path(local + ".log").unlink(missing_ok=True)


def main() -> None:
    """Print a table."""
    original = os.environ.get("STREAMING_ORIGINAL_PYTHON")
    with tempfile.TemporaryDirectory() as remote:
        total = write(remote)
        print("| cache_limit | order | workers | this library | mosaicml-streaming |\n|---|---|---|---|---|")
        for share in (0.1, 0.2):
            for order in ("lanes", "py1e"):
                for workers in (0, 2):
                    limit = int(total * share) + 200_000
                    ours = run(sys.executable, str(HERE.parents[1] / "src"), remote, limit, order, workers)
                    stubs = str(HERE.parent / "stubs")
                    theirs = run(original, stubs, remote, limit, order, workers) if original and order == "py1e" else ""
                    print(f"| {share:.0%} | {order} | {workers} | {ours} | {theirs} |", flush=True)


if __name__ == "__main__":
    main()
