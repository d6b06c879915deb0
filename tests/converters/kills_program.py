"""Conversions by one engine that lose processes: ``python kills_program.py ENGINE SOURCE OUT SHORT KILLS SEED``."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import streaming
from streaming.core.errors import WorkerError


class Telling:
    """Leaves the number of its process in a directory, and takes its time."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __call__(self, row: Any) -> Any:
        Path(self.directory, str(os.getpid())).touch()
        time.sleep(0.002)
        return row


class Killer(threading.Thread):
    """Kills one of the processes that told of themselves, some time after the first has."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self.directory, self.rng, self.after_s = directory, rng, rng.uniform(0, 0.6)
        self.over = threading.Event()
        self.killed = 0

    def pids(self) -> list[int]:
        """Those that told of themselves, but for this one, which looks at the first rows."""
        return sorted({int(path.name) for path in self.directory.iterdir()} - {os.getpid()})

    def run(self) -> None:
        while not self.pids():
            if self.over.wait(0.002):
                return
        if self.over.wait(self.after_s):
            return
        try:
            os.kill(self.rng.choice(self.pids()), signal.SIGKILL)
            self.killed = 1
        except ProcessLookupError:
            pass


def convert(engine: Any, source: str, out: Path, told: Path) -> None:
    options: dict[str, Any] = {"size_limit": 2000, "compression": "zstd", "hashes": ["xxh64"], "progress_bar": False}
    for _ in range(3):
        try:
            streaming.convert(source, out, engine=engine, fn=Telling(str(told)), workers=2, **options)
            return
        except WorkerError as error:
            print(error, flush=True)  # "The same call again continues."
    raise AssertionError("three times in vain")


def main(engine: str, source: str, out: Path, kills: int, rng: random.Random) -> None:
    told = out / "told"
    done = number = 0
    while done < kills:
        told.mkdir()
        killer = Killer(told, rng)
        killer.start()
        convert(engine, source, out / f"{number:03}", told)
        killer.over.set()
        killer.join()
        done += killer.killed
        told.rename(out / f"told-{number:03}")
        number += 1
    print(f"{engine}: {done} kills in {number} conversions", flush=True)


def start(engine: str, short: str) -> Any:
    """Begin a cluster of two processes, which lasts as long as what is returned."""
    if engine == "ray":
        import ray

        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20, _temp_dir=short
        )
    if engine == "dask":
        import dask
        import distributed

        # So long after a loss, a cluster of this machine removes for good a worker that is lost just then for another time.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})
        return distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None)
    if engine == "spark":
        import spark_program

        session = spark_program.begin("local[2,4]")
        session.sparkContext.addPyFile(__file__)
        return session
    return None


if __name__ == "__main__":
    engine, source, out, short, kills, seed = sys.argv[1:]
    cluster = start(engine, short)
    # Functions of the main module would be sent by value; of a module they are found by name in every process.
    import kills_program

    kills_program.main(engine, source, Path(out), int(kills), random.Random(int(seed)))
    sys.stdout.flush()
    os._exit(0)  # what is left of the cluster goes with it
