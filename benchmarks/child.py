"""One process of one system: runs the operations it is told to, and prints a line of JSON for each.

    python child.py '{"system": "ours", "kind": "tokens", "folder": "...", "operations": ["get"], "seconds": 1}'

A system is a module of `systems`. What is measured, and how, is here, the same for all.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measure import peak_mb, steady, tree_cpu, tree_memory

BATCH = 256
MODULES = {
    **dict.fromkeys(("ours", "original", "community", "neprr"), "mds"), "litdata": "lit", "webdataset": "web",
    "hf": "hugging", "limit": "limit",
}  # fmt: skip


class Absent(Exception):
    """This system has nothing that does this work."""


class Job:
    """What the parent asked for."""

    def __init__(self, text: str) -> None:
        told = json.loads(text)
        self.system: str = told["system"]
        self.kind: str = told["kind"]
        self.folder = Path(told["folder"])
        self.seconds: float = told.get("seconds", 1.0)
        self.operations: list[str] = told["operations"]
        self.options: dict[str, Any] = told.get("options", {})

    def module(self) -> Any:
        """Import how this system does things."""
        import importlib

        return importlib.import_module(f"systems.{MODULES[self.system]}")

    def ability(self, name: str) -> Any:
        """Return a function of the system."""
        found = getattr(self.module(), name, None)
        if found is None:
            raise Absent(f"{self.system} has no {name}")
        return found


def touch(kind: str) -> Callable[[Any], Any] | None:
    """Return what has to be called on a sample before it can be said to be read: pictures decode when they are used."""
    return (lambda sample: sample["image"].load()) if kind == "jpeg" else None


def ids_of(size: int, count: int, seed: int) -> list[int]:
    import random

    return random.Random(seed).choices(range(size), k=count)


def get(job: Job) -> dict[str, float]:
    read, size = job.ability("sample_at")(job.kind, job.folder)
    parts = [ids_of(size, 500, part) for part in range(64)]
    use = touch(job.kind)

    def work() -> Iterator[int]:
        for part in itertools.cycle(parts):
            if use:
                for i in part[:50]:
                    use(read(i))
                yield 50
            else:
                for i in part:
                    read(i)
                yield len(part)

    return steady(work(), job.seconds)


def get_many(job: Job) -> dict[str, float]:
    read, size = job.ability("many")(job.kind, job.folder)
    batches = [ids_of(size, BATCH, part) for part in range(128)]

    def work() -> Iterator[int]:
        for batch in itertools.cycle(batches):
            read(batch)
            yield len(batch)

    return steady(work(), job.seconds)


def iterate(job: Job) -> dict[str, float]:
    epoch = job.ability("epochs")(job.kind, job.folder)
    use = touch(job.kind)

    def work() -> Iterator[int]:
        while True:
            samples = iter(epoch())
            while True:
                if use:
                    count = sum(1 for sample in itertools.islice(samples, 32) if use(sample) or True)
                else:
                    count = sum(1 for _ in itertools.islice(samples, BATCH))
                if not count:
                    break
                yield count

    return steady(work(), job.seconds)


def loader(job: Job, workers: int) -> dict[str, float]:
    batches = job.ability("batches")(job.kind, job.folder, workers, BATCH)

    def work() -> Iterator[int]:
        while True:
            for _ in batches:
                yield BATCH

    return {**steady(work(), job.seconds), **tree_memory()}


def cold(job: Job) -> dict[str, float]:
    """From the start of the process to the first batch, and from the open of the dataset to it."""
    job.ability("load")()
    cpu, wall = time.process_time(), time.perf_counter()
    next(iter(job.ability("batches")(job.kind, job.folder, 0, BATCH)))
    return {
        "cpu": time.process_time(),
        "wall": time.time() - float(os.environ["BENCH_SPAWNED"]),
        "open_cpu": time.process_time() - cpu,
        "open_wall": time.perf_counter() - wall,
    }


def open_index(job: Job, ability: str = "open_index") -> dict[str, float]:
    """Open a dataset of which only the index exists."""
    opened = job.ability(ability)
    job.ability("load")()
    peak, held = peak_mb(), tree_memory().get("private_mb", 0.0)
    cpu, wall = time.process_time(), time.perf_counter()
    kept = opened(job.folder)
    result = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    # What it took on the way counts, if it was more than what the imports took on theirs; and what it holds.
    result["mb"] = max(peak_mb() - peak, tree_memory().get("private_mb", 0.0) - held, 0.0)
    del kept
    return result


def open_first(job: Job) -> dict[str, float]:
    for path in job.folder.iterdir():
        if path.name != "index.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return open_index(job)


def open_again(job: Job) -> dict[str, float]:
    """Open it when another process did so before."""
    if job.system != "limit":
        return open_index(job)
    job.ability("leave_sizes")(job.folder, job.options["shards"])
    return open_index(job, "open_sizes")


def remote(job: Job) -> dict[str, float]:
    """The first epoch from a server into an empty folder, and the first batch of it."""
    start = job.ability("remote")
    job.ability("load")()
    shutil.rmtree(job.folder, ignore_errors=True)
    cpu, begin = tree_cpu(), time.perf_counter()
    count, first = 0, 0.0
    for batch in start(job.kind, job.options["url"], job.folder, BATCH, job.options):
        first = first or time.perf_counter() - begin
        count += batch if isinstance(batch, int) else len(next(iter(batch.values())))
    result = {"wall": time.perf_counter() - begin, "first": first, "cpu": tree_cpu() - cpu}
    if not job.options["samples"] <= count < job.options["samples"] + 2 * BATCH:
        raise RuntimeError(f"{count:,} samples came, of {job.options['samples']:,}")
    shutil.rmtree(job.folder, ignore_errors=True)
    return result


def order(job: Job) -> dict[str, float]:
    """From the numbers of a dataset to the first sample id of an epoch."""
    sys.path.insert(0, str(Path(__file__).parent / "order"))
    return job.ability("order")(job.options["samples"], job.options["begin"])


def write(job: Job) -> dict[str, float]:
    """Write samples that are made before the clock starts."""
    from samples import samples

    write_all = job.ability("write")
    job.ability("load")()
    rows = list(samples(job.kind, job.options["samples"]))
    shutil.rmtree(job.folder, ignore_errors=True)
    cpu, begin = tree_cpu(), time.perf_counter()
    write_all(job.kind, rows, job.folder, job.options["shard_bytes"], job.options["compression"])
    wall, spent = time.perf_counter() - begin, tree_cpu() - cpu
    shutil.rmtree(job.folder)
    return {"cpu": spent / len(rows) * 1e6, "wall": wall / len(rows) * 1e6, "peak_mb": peak_mb()}


def prepare(job: Job) -> dict[str, float]:
    """Write the data that the other operations read."""
    from samples import samples

    rows = samples(job.kind, job.options["samples"])
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    job.ability("prepare")(job.kind, rows, job.folder, job.options["shard_bytes"], job.options.get("compression"))
    return {}


OPERATIONS: dict[str, Callable[[Job], dict[str, float]]] = {
    "get": get,
    "get_many": get_many,
    "iterate": iterate,
    "loader0": lambda job: loader(job, 0),
    "loader2": lambda job: loader(job, 2),
    "loader4": lambda job: loader(job, 4),
    "cold": cold,
    "open_first": open_first,
    "open_again": open_again,
    "order": order,
    "remote": remote,
    "write": write,
    "prepare": prepare,
}


def bound_memory() -> None:
    """Let a system that asks for too much fail, not the machine."""
    import resource

    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def one_line(error: Exception) -> str:
    """Return what an error says in one line: of a worker's, which carries its whole traceback, the last error in it."""
    lines = str(error).strip().splitlines() or ["no message"]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception): .", line)] if len(lines) > 1 else []
    return (named or [f"{type(error).__name__}: {lines[0]}"])[-1][:300]


def main() -> None:
    bound_memory()
    job = Job(sys.argv[1])
    for name in job.operations:
        try:
            line = {"operation": name, **OPERATIONS[name](job)}
        except Absent:
            line = {"operation": name, "absent": True}
        except Exception as error:
            traceback.print_exc()
            line = {"operation": name, "error": one_line(error)}
        print("\n" + json.dumps(line), flush=True)
    # Threads and segments that a library leaves behind must not keep the run waiting.
    sys.stderr.flush()
    os._exit(0) if job.options.get("abrupt") else None


if __name__ == "__main__":
    main()
