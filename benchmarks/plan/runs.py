"""Plans against runs on a slow store: bytes that are fetched, and seconds that training waits.

    python benchmarks/plan/runs.py [NAME ...]

The store (``benchmarks/slow_server.py``) has a latency, and each of its connections a bandwidth. A step of training sleeps.
Each run begins with an empty cache; what training waits for is the time until each batch but the first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "src"))

from streaming import MDSWriter, Phase, Schedule, Stream, StreamingDataLoader, StreamingDataset  # noqa: E402
from streaming.planning import Speed  # noqa: E402

LATENCY_S, CONNECTION = 0.1, 0.35e6
SAMPLES, ROW, PER_SHARD, BATCH = 512, 64_000, 16, 16


@dataclass(frozen=True)
class Case:
    """One configuration.

    Attributes:
        settings: Arguments of the dataset.
        workers: Workers of the loader.
        step_s: Seconds of a step.
        epochs: Epochs.
        is_mixed: Whether the dataset is two streams.
    """

    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    workers: int = 0
    step_s: float = 0.3
    epochs: int = 1
    is_mixed: bool = False


SHARD = PER_SHARD * ROW
CASES = {
    "lanes": Case({"shuffle": True, "shuffle_block_size": 256}),
    "lanes, 2 workers": Case({"shuffle": True, "shuffle_block_size": 256}, workers=2, step_s=0.2),
    "py1e": Case({"shuffle": True, "shuffle_algo": "py1e", "shuffle_block_size": 256}),
    "small cache, 2 epochs": Case(
        {"shuffle": True, "shuffle_block_size": 128, "cache_limit": 20 * SHARD}, step_s=0.24, epochs=2
    ),
    "a mixture, 2 workers": Case(
        {"shuffle": True, "mix": Schedule([Phase(0, {"a": 0.7, "b": 0.3})]), "epoch_size": SAMPLES},
        workers=2,
        step_s=0.2,
        is_mixed=True,
    ),
}


@contextmanager
def server(folder: str) -> Iterator[str]:
    """Run the slow store, and yield its URL."""
    command = [sys.executable, str(HERE.parent / "slow_server.py"), folder]
    command += ["--latency-ms", str(1e3 * LATENCY_S), "--megabytes-per-s", str(CONNECTION / 1e6)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def write(folder: Path) -> None:
    """Write the datasets."""
    rng = np.random.default_rng(0)
    for name, count in (("whole", SAMPLES), ("a", SAMPLES // 2), ("b", SAMPLES // 2)):
        columns, limit = {"x": f"ndarray:uint8:{ROW}"}, PER_SHARD * (ROW + 4) + 300
        with MDSWriter(out=str(folder / name), columns=columns, size_limit=limit, hashes=["xxh64"]) as writer:
            for _ in range(count):
                writer.write({"x": rng.integers(0, 256, ROW, np.uint8)})


def open_dataset(case: Case, url: str, local: Path) -> StreamingDataset:
    """Open the dataset of a case."""
    common: dict[str, Any] = {"batch_size": BATCH, "predownload": 2 * BATCH, **case.settings}
    if case.is_mixed:
        streams = {name: Stream(remote=f"{url}/{name}", local=str(local / name)) for name in ("a", "b")}
        return StreamingDataset(streams=streams, **common)
    return StreamingDataset(remote=f"{url}/whole", local=str(local), **common)


def run(case: Case, url: str, local: Path) -> tuple[float, float, int]:
    """Train; return seconds until the first batch, seconds of waiting after it, and bytes fetched."""
    before = time.perf_counter()
    dataset = open_dataset(case, url, local)
    loader = StreamingDataLoader(dataset, batch_size=BATCH, num_workers=case.workers)
    first, waited = 0.0, 0.0
    for epoch in range(case.epochs):
        before = time.perf_counter() if epoch else before
        for number, _ in enumerate(loader):
            wait = time.perf_counter() - before
            if epoch == number == 0:
                first = wait
            elif number or not case.workers:
                waited += wait
            time.sleep(case.step_s)
            before = time.perf_counter()
    return first, waited, int(dataset.stats()["bytes_fetched"])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    names = parser.parse_args().names
    print("| | bytes planned | fetched | stalls planned | measured | first batch planned | measured |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder, server(folder) as url:
        write(Path(folder))
        for name in names:
            case = CASES[name]
            speed = Speed(connection=CONNECTION, latency_s=LATENCY_S, step_s=case.step_s)
            with tempfile.TemporaryDirectory() as local:
                plan = open_dataset(case, url, Path(local, "p")).plan(
                    num_workers=case.workers, epochs=case.epochs, speed=speed
                )
                first, waited, fetched = run(case, url, Path(local, "r"))
            timing = plan.timing
            print(
                f"| {name} | {plan.num_bytes / 1e6:.1f} MB | {fetched / 1e6:.1f} MB | {timing.stall_s:.2f} s "
                f"| {waited:.2f} s | {timing.first_batch_s:.2f} s | {first:.2f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
