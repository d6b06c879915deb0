"""Measure reading against the original library and the physical limit, as ratios from one interleaved run.

    make bench
    STREAMING_ORIGINAL_PYTHON=/path/to/python make bench     # a Python that has mosaicml-streaming 0.13

Each system runs in its own process and environment, in turn, several times; the medians are compared. The orders have
their own measures in benchmarks/order.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from streaming import MDSWriter

HERE = Path(__file__).parent


def write_tokens(directory: str, count: int) -> None:
    """Write samples of 2,048 tokens of 2 bytes."""
    rng = np.random.default_rng(0)
    with MDSWriter(columns={"tokens": "ndarray:uint16:2048"}, out=directory) as out:
        for _ in range(count):
            out.write({"tokens": rng.integers(0, 60_000, 2048).astype(np.uint16)})


def measure(system: str, python: str, directory: str) -> dict[str, float]:
    """Run one system once."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(HERE / "reading.py"), system, directory],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
        env=environ,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Write the data, run the systems in turn, print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    systems = {"ours": sys.executable, "limit": sys.executable}
    original = os.environ.get("STREAMING_ORIGINAL_PYTHON")
    if original:
        systems["original"] = original
    else:
        print("STREAMING_ORIGINAL_PYTHON is not set: without the original's column.")
    results: dict[str, list[dict[str, float]]] = {system: [] for system in systems}
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "tokens")
        write_tokens(path, args.samples)
        for _ in range(args.rounds):
            for system, python in systems.items():
                results[system].append(measure(system, python, path))
    medians = {
        system: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for system, runs in results.items()
    }
    print(f"{'microseconds of CPU a sample (4 KiB)':40}{'ours':>8}{'limit':>8}{'original':>10}{'original/ours':>15}")
    for name, ours in medians["ours"].items():
        theirs = medians.get("original", {}).get(name)
        ratio = f"{theirs:10.1f}{theirs / ours:14.1f}x" if theirs else f"{'-':>10}{'-':>15}"
        print(f"{name:40}{ours:8.2f}{medians['limit'][name]:8.2f}{ratio}")
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    (out / "reading.json").write_text(json.dumps({"medians": medians, "runs": results}, indent=1))


if __name__ == "__main__":
    main()
