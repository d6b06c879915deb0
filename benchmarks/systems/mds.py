"""Workloads for `streaming`, in whichever environment this runs: this library's or the original's, same calls.

Run as ``python mds.py WORKLOAD FOLDER``; prints one JSON object: ``{"value": ..., "unit": ...}``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

BEGIN = time.process_time()

BATCH = 256
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


def dataset(folder: Path, **kwargs):
    from streaming import StreamingDataset

    return StreamingDataset(local=str(folder), batch_size=BATCH, predownload=8 * BATCH, num_canonical_nodes=1, **kwargs)


def local(folder: Path) -> Path:
    """A folder in which compressed shards are decompressed already, as they are in the second epoch."""
    if not any(folder.glob("*.zstd")):
        return folder
    ready = folder.with_name(f"{folder.name}-{Path(sys.prefix).name}-ready")
    if not ready.exists():
        from streaming import StreamingDataset

        data = StreamingDataset(remote=str(folder), local=str(ready), batch_size=BATCH)
        first = 0
        for count in data.samples_per_shard:
            data[int(first)]
            first += int(count)
        data.close() if hasattr(data, "close") else None
    return ready


def steady(samples, clock) -> float:
    """Microseconds a sample, after a start that is not counted; several samples may come at once."""
    samples = iter(samples)
    warm = time.perf_counter() + SECONDS / 3
    while time.perf_counter() < warm and next(samples, None) is not None:
        pass
    count, begin, end = 0, clock(), time.perf_counter() + SECONDS
    for number in samples:
        count += number
        if time.perf_counter() > end:
            break
    return 1e6 * (clock() - begin) / max(count, 1)


def get(folder: Path) -> dict:
    import numpy as np

    data = dataset(local(folder))
    ids = np.random.default_rng(1).integers(0, data.num_samples, 20_000).tolist()
    for i in ids[:4000]:
        data[i]
    begin, count, end = time.process_time(), 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for i in ids[:1000]:
            data[i]
        ids = ids[1000:] + ids[:1000]
        count += 1000
    return {"value": 1e6 * (time.process_time() - begin) / count, "unit": "us"}


def get_many(folder: Path) -> dict:
    import numpy as np

    data = dataset(local(folder))
    random = np.random.default_rng(1)
    batches = [random.integers(0, data.num_samples, BATCH).tolist() for _ in range(100)]

    def forever():
        while True:
            for batch in batches:
                data[batch]
                yield BATCH

    return {"value": steady(forever(), time.process_time), "unit": "us"}


def iterate(folder: Path) -> dict:
    data = dataset(local(folder), shuffle=True)

    def forever():
        while True:
            for _ in data:
                yield 1

    # One call a sample of a generator is the same for all.
    return {"value": steady(chunked(forever()), time.process_time), "unit": "us"}


def chunked(samples, size: int = 256):
    from itertools import islice

    while True:
        yield sum(islice(samples, size))


def loader(folder: Path, workers: int) -> dict:
    from streaming import StreamingDataLoader

    data = dataset(local(folder), shuffle=True)
    batches = StreamingDataLoader(data, batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)

    def forever():
        while True:
            for _ in batches:
                yield BATCH

    return {"value": steady(forever(), CLOCKS["wall" if workers else "cpu"]), "unit": "us"}


def first_batch(folder: Path) -> dict:
    from streaming import StreamingDataLoader

    next(iter(StreamingDataLoader(dataset(folder, shuffle=True), batch_size=BATCH)))
    return {"value": time.process_time(), "unit": "s"}


def open_index(folder: Path) -> dict:
    from streaming import StreamingDataLoader

    begin = time.process_time()
    next(iter(StreamingDataLoader(dataset(folder, shuffle=True), batch_size=BATCH)))
    return {"value": time.process_time() - begin, "unit": "s"}


def write(kind: str, compression: str | None, folder: Path) -> dict:
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from samples import COLUMNS, samples

    from streaming import MDSWriter

    rows = list(samples(kind, 20_000))
    shutil.rmtree(folder, ignore_errors=True)
    begin, wall = time.process_time(), time.perf_counter()
    with MDSWriter(out=str(folder), columns=COLUMNS[kind], compression=compression, hashes=["xxh64"]) as writer:
        for row in rows:
            writer.write(row)
    result = {
        "value": 1e6 * (time.process_time() - begin) / len(rows),
        "unit": "us",
        "wall": 1e6 * (time.perf_counter() - wall) / len(rows),
    }
    shutil.rmtree(folder)
    return result


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    if name.startswith("loader"):
        result = loader(folder, int(name[-1]))
    elif name.startswith("write"):
        _, kind, compression = name.split("-")
        result = write(kind, None if compression == "raw" else compression, folder)
    else:
        result = {
            "get": get,
            "get-many": get_many,
            "iterate": iterate,
            "first-batch": first_batch,
            "open-index": open_index,
        }[name](folder)
    print(json.dumps(result))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
