"""One measurement of one system in a process of its own: prints what it took as JSON.

python readers.py OPERATION '{"system": ..., ...}'
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BATCH = 32


def ours(place: str, local: str, **more: Any) -> Any:
    from streaming import StreamingDataset

    return StreamingDataset(remote=place, local=local, batch_size=BATCH, shuffle=True, num_canonical_nodes=1, **more)


def opened(system: str, place: str, local: str) -> Iterable[Any]:
    """Return what is gone through once an epoch, shuffled."""
    if system in ("ours", "mds"):
        return ours(place, local)
    files = sorted(map(str, Path(place).parent.glob(Path(place).name)))
    if system == "litdata":
        from litdata import StreamingDataset, index_parquet_dataset
        from litdata.streaming.item_loader import ParquetLoader

        index_parquet_dataset(str(Path(place).parent))
        return StreamingDataset(str(Path(place).parent), shuffle=True, item_loader=ParquetLoader())
    if system == "hf":
        from datasets import load_dataset

        data = load_dataset("parquet", data_files=files, split="train", streaming=True, cache_dir=local)
        return data.shuffle(seed=1, buffer_size=1000)
    import webdataset

    # A buffer of all samples is what a full shuffle is; of 1,000, what most programs have.
    size = {"webdataset": 1000, "webdataset, full shuffle": 1 << 30}[system]
    data = webdataset.WebDataset(files, shardshuffle=len(files), seed=1, empty_check=False)
    return data.shuffle(size, initial=min(size, 1 << 20)).map(_member_values)


def _member_values(row: dict[str, Any]) -> dict[str, Any]:
    return {"__key__": row["__key__"], "txt": row["txt"].decode(), "cls": int(row["cls"])}


def rows(job: dict[str, Any]) -> dict[str, Any]:
    """Rows a second of each epoch; the first has all that is done once, from opening on."""
    _load(job["system"])
    found: list[float] = []
    data: Any = None
    for _ in range(job["epochs"]):
        begun = time.perf_counter()
        data = opened(job["system"], job["place"], job["local"]) if data is None else data
        count = sum(1 for _ in data)
        assert count == job["rows"], f"{count} rows came"
        found.append(count / (time.perf_counter() - begun))
    return {"rows_s": found}


def first(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds from opening to the first batch."""
    _load(job["system"])
    from streaming import StreamingDataLoader

    begun = time.perf_counter()
    data = ours(job["place"], job["local"])
    opened_s = time.perf_counter() - begun
    batch = next(iter(StreamingDataLoader(data, batch_size=BATCH)))
    assert len(batch["id"]) == BATCH
    return {"opened_s": opened_s, "first_s": time.perf_counter() - begun}


def column(job: dict[str, Any]) -> dict[str, Any]:
    """Bytes that came for one column."""
    data = ours(job["place"], job["local"], columns=[job["column"]])
    assert sum(1 for _ in data) == job["rows"]
    return {"bytes": data.stats()["bytes_fetched"]}


def index(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds until many files are known."""
    from streaming.inplace.indexing import index_files
    from streaming.storage.location import Location

    begun = time.perf_counter()
    found = index_files(Location.parse(job["place"]), Location.parse(job["local"]))
    return {"files": found.files, "index_s": time.perf_counter() - begun}


def group(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds and peak memory of all shards of a large row group."""
    _load("ours")
    import pyarrow.parquet  # noqa: F401

    begun, before, peak = time.perf_counter(), _anonymous_mb(), 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.01):
            peak = max(peak, _anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    data = ours(job["place"], job["local"])
    assert sum(1 for _ in data) == job["rows"]
    ended.set()
    watcher.join()
    return {"epoch_s": time.perf_counter() - begun, "shards": len(data.samples_per_shard), "peak_mb": peak - before}


def _load(system: str) -> None:
    """Import what every program has imported before it opens data."""
    import torch  # noqa: F401

    if system in ("ours", "mds"):
        import streaming  # noqa: F401


def _anonymous_mb() -> float:
    """Return the megabytes of this process that are no pages of files, which the system takes back when it needs them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3


def main() -> None:
    operation = {each.__name__: each for each in (rows, first, column, index, group)}[sys.argv[1]]
    print(json.dumps(operation(json.loads(sys.argv[2]))), flush=True)


if __name__ == "__main__":
    main()
