"""The physical limit: the same bytes copied, read, fetched, decompressed or decoded, and nothing else."""

from __future__ import annotations

import itertools
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


def load() -> None:
    """Import what every program that trains imports."""
    import torch  # noqa: F401


def prepare(kind: str, rows: Iterable[dict[str, Any]], folder: Path, shard_bytes: int, compression: str | None) -> None:
    from systems import mds

    mds.prepare(kind, rows, folder, shard_bytes, None)
    if kind == "tokens":
        # One matrix, for gathers in one operation.
        with open(folder / "rows.bin", "wb") as file:
            maps, places = rows_of(folder)
            for shard, begin, end in places:
                file.write(maps[shard][begin:end])


def rows_of(folder: Path) -> tuple[list[mmap.mmap], list[tuple[int, int, int]]]:
    """Return the mapped shards, and where each row is: shard, begin, end."""
    import numpy as np

    maps: list[mmap.mmap] = []
    places: list[tuple[int, int, int]] = []
    for name in sorted(os.listdir(folder)):
        if name.startswith("shard."):
            with open(folder / name, "rb") as file:
                maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            count = int.from_bytes(maps[-1][:4], "little")
            offsets = np.frombuffer(maps[-1], np.uint32, count + 1, 4).tolist()
            places += [(len(maps) - 1, a, b) for a, b in itertools.pairwise(offsets)]
    return maps, places


def sample_at(kind: str, folder: Path) -> tuple[Callable[[int], Any], int]:
    maps, places = rows_of(folder)

    def copied(i: int) -> bytes:
        shard, begin, end = places[i]
        return maps[shard][begin:end]

    def text(i: int) -> str:
        shard, begin, end = places[i]
        return str(maps[shard][begin + 4 : end], "utf-8")

    def picture(i: int) -> dict[str, Any]:
        from samples import decode_jpeg

        shard, begin, end = places[i]
        return {"image": decode_jpeg(maps[shard][begin + 4 : end])}

    return {"text": text, "jpeg": picture}.get(kind, copied), len(places)


def many(kind: str, folder: Path) -> tuple[Callable[[list[int]], Any], int]:
    if kind != "tokens":
        read, size = sample_at(kind, folder)
        return lambda ids: [read(i) for i in ids], size
    import numpy as np

    with open(folder / "rows.bin", "rb") as file:
        rows = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8).reshape(-1, 4096)
    return lambda ids: rows[np.array(ids)], len(rows)


def shuffled(size: int) -> list[int]:
    import numpy as np

    return np.random.default_rng(1).permutation(size).tolist()


def epochs(kind: str, folder: Path) -> Callable[[], Iterator[Any]]:
    read, size = sample_at(kind, folder)
    order = shuffled(size)
    return lambda: map(read, order)


def batches(kind: str, folder: Path, workers: int, size: int) -> Iterable[Any]:
    if workers:
        return Workers(kind, folder, workers, size)
    if kind == "tiny":
        return first_shards(folder, size)
    read, count = many(kind, folder)
    order = shuffled(count)
    return Repeated(read, [order[i : i + size] for i in range(0, count - size + 1, size)])


def first_shards(folder: Path, size: int) -> Iterator[bytes]:
    """Read the index, and as many shards as a batch takes."""
    for shard in open_index(folder)["shards"]:
        if size > 0:
            size -= shard["samples"]
            data = (folder / shard["raw_data"]["basename"]).read_bytes()
    yield data


class Repeated:
    """The same batches, read at every iteration."""

    def __init__(self, read: Callable[[list[int]], Any], parts: list[list[int]]) -> None:
        self.read, self.parts = read, parts

    def __iter__(self) -> Iterator[Any]:
        return map(self.read, self.parts)


class Workers:
    """Processes that each read batches, and tell by a byte that one is read: no batch is carried anywhere."""

    def __init__(self, kind: str, folder: Path, workers: int, size: int) -> None:
        self.args, self.workers = (kind, folder, 0, size), workers

    def __iter__(self) -> Iterator[int]:
        import torch  # noqa: F401  # what a worker has in memory at least

        reader, writer = os.pipe()
        pids = []
        for _ in range(self.workers):
            pid = os.fork()
            if pid == 0:
                try:
                    os.close(reader)
                    while True:
                        for _ in batches(*self.args):
                            os.write(writer, b".")
                except OSError:
                    pass
                finally:
                    os._exit(0)
            pids.append(pid)
        os.close(writer)
        try:
            while True:
                yield from os.read(reader, 1)
        finally:
            os.close(reader)
            for pid in pids:
                os.waitpid(pid, 0)


def open_index(folder: Path) -> Any:
    """Read and parse the index."""
    import json

    return json.loads((folder / "index.json").read_bytes())


def leave_sizes(folder: Path, shards: int) -> None:
    """Leave what a reader has to know of a shard at least: samples, bytes, bytes when compressed."""
    (folder / "sizes").write_bytes(bytes(24 * shards))


def open_sizes(folder: Path) -> bytes:
    """Read it."""
    return (folder / "sizes").read_bytes()


def remote(kind: str, url: str, folder: Path, size: int, options: dict[str, Any]) -> Iterator[Any]:
    """Fetch every file of the prefix with eight connections."""
    import http.client
    import json
    import queue
    import threading

    place = options["endpoint"].removeprefix("http://")
    prefix = "/" + url.split("//")[1].removeprefix(place).lstrip("/")
    connection = http.client.HTTPConnection(place)
    connection.request("GET", f"{prefix}/index.json")
    shards = json.loads(connection.getresponse().read())["shards"]
    names: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[int | Exception] = queue.SimpleQueue()
    counts = {shard["raw_data"]["basename"]: shard["samples"] for shard in shards}
    folder.mkdir(parents=True)
    for name in [*counts, *[None] * 8]:
        names.put(name)

    def fetch() -> None:
        link = http.client.HTTPConnection(place)
        while (name := names.get()) is not None:
            try:
                link.request("GET", f"{prefix}/{name}")
                answer = link.getresponse()
                with open(folder / name, "wb") as file:
                    while part := answer.read(1 << 20):
                        file.write(part)
                done.put(counts[name])
            except Exception as error:
                done.put(error)

    for _ in range(8):
        threading.Thread(target=fetch, daemon=True).start()
    for _ in counts:
        count = done.get(timeout=60)
        if isinstance(count, Exception):
            raise count
        yield count


def write(kind: str, rows: list[dict[str, Any]], folder: Path, shard_bytes: int, compression: str | None) -> None:
    """Join the bytes of the values into files of a shard's size, compressed with the same level."""
    import zstandard

    folder.mkdir(parents=True)
    parts: list[bytes] = []
    size = number = 0

    def flush() -> None:
        nonlocal size, number
        data = b"".join(parts)
        if compression:
            data = zstandard.ZstdCompressor(level=3).compress(data)
        (folder / f"{number:05}").write_bytes(data)
        parts.clear()
        size, number = 0, number + 1

    for row in rows:
        value = row["text"].encode() if kind == "text" else row["tokens"].tobytes()
        if size + len(value) > shard_bytes:
            flush()
        parts.append(value)
        size += len(value)
    flush()


def order(samples: int, begin: int) -> dict[str, float]:
    """Make a keyed generator and draw a batch of numbers from it: nothing has to be moved."""
    import time

    import numpy as np

    np.random.Generator(np.random.Philox(key=1)).integers(0, samples, 32)
    start = time.perf_counter()
    np.random.Generator(np.random.Philox(key=begin)).integers(0, samples, 32)
    return {"wall": time.perf_counter() - start}
