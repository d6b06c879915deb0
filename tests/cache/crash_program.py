"""Runs epochs in processes of their own and kills them when told to; see test_crash.py.

Imports everything once, then forks for each line of JSON on standard input: ``{"data": [remote, local, limit], "who": ...,
"after": seconds, "seed": number, "out": path, "said": path, "scratch": path}``.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from streaming import StreamingDataLoader, StreamingDataset


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def epoch(remote: str, local: str, limit: int | None, out: str) -> None:
    dataset = StreamingDataset(
        remote=remote,
        local=local,
        batch_size=4,
        shuffle=True,
        shuffle_block_size=200,
        num_canonical_nodes=1,
        cache_limit=limit,
        predownload=64,
        download_timeout=5,
    )
    # PyTorch misses a worker that dies before all have started, until its timeout.
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers=2, timeout=20)
    found: list[tuple[int, bytes]] = []
    for batch in loader:
        found += zip(batch["id"].tolist(), (bytes(x[:8]) + bytes(x[-8:]) for x in batch["x"]), strict=True)
    # Whole or not there: this process may be killed as it writes.
    part = Path(f"{out}.part")
    part.write_text(json.dumps([[i, edge.hex()] for i, edge in found]))
    part.replace(out)


def kill(job: int, who: str, rng: random.Random) -> None:
    workers = children(job)
    victims = {"rank": [job], "worker": rng.sample(workers, 1) if workers else [job], "all": [job, *workers]}[who]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        job = os.fork()
        if job == 0:
            os.dup2(os.open(command["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            os.environ["TMPDIR"], tempfile.tempdir = command["scratch"], None
            faulthandler.register(signal.SIGUSR1, all_threads=True)
            try:
                epoch(*command["data"], command["out"])
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        if command["who"] is not None:
            time.sleep(command["after"])
            kill(job, command["who"], random.Random(command["seed"]))
        deadline = time.monotonic() + 60
        while os.waitpid(job, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                for pid in [*children(job), job]:  # have them say where they are
                    os.kill(pid, signal.SIGUSR1)
                time.sleep(1)
                os.kill(job, signal.SIGKILL)
                print("hangs", flush=True)
            time.sleep(0.01)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
