"""Few rows of a shard, fetched by ranges: the same samples, few bytes, and in nobody's way."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streaming import JSONWriter, MDSWriter, Stream, StreamingDataLoader, StreamingDataset
from streaming.cache.cache import ShardCache
from streaming.cache.fetching.sparse import sparse_directory, worth_ranges
from streaming.core.errors import ChecksumError, ShardFormatError, ShardUnavailableError, StreamingError
from streaming.units.selection import Selection

from servers import WebServer, web_server

N, ROW = 1000, 16 << 10
PER_SHARD = 250
URL = "s3://bucket/data"
COLUMNS = {"id": "int", "x": "bytes"}
FIXED = {"id": "int", "x": f"ndarray:uint8:{ROW}"}


def value(i: int, is_fixed: bool = False) -> bytes:
    data = np.random.default_rng(i).bytes(ROW)
    return data if is_fixed else data[: ROW - i % 7]


def write(out: Path, columns: dict[str, str] = COLUMNS, count: int = N, **options: Any) -> None:
    with MDSWriter(columns=columns, out=str(out), size_limit=PER_SHARD * (ROW + 40), **options) as writer:
        for i in range(count):
            x: Any = value(i, columns is FIXED)
            writer.write({"id": i, "x": np.frombuffer(x, np.uint8) if columns is FIXED else x})


def put(web: WebServer, source: Path) -> None:
    for path in source.iterdir():
        web.objects[f"bucket/data/{path.name}"] = path.read_bytes()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A server of objects, which counts the bytes that it sends."""
    with web_server() as server:
        server.etag = lambda data: f'"{hashlib.md5(data).hexdigest()}"'
        for name, text in {
            "S3_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, text)
        yield server


@dataclass
class View:
    """The shards of a view, as a dataset reads them."""

    cache: ShardCache
    selection: Selection
    chosen: NDArray[np.bool_]
    reasons: list[str]

    def shard(self, shard: int) -> list[dict[str, Any]]:
        rows = self.selection.rows(shard)
        opened = self.cache.get(shard) if len(rows) else None
        if opened is None:
            return []
        return opened.get_many(np.arange(len(rows)) if self.chosen[shard] else rows)

    def read(self) -> list[int]:
        """Return the ids of all rows, having looked at each."""
        found: list[int] = []
        for shard in range(len(self.chosen)):
            for got in self.shard(shard):
                is_fixed = isinstance(got["x"], np.ndarray)
                assert bytes(got["x"]) == value(got["id"], is_fixed)
                found.append(got["id"])
        return found


def view(mask: NDArray[np.bool_], local: Path, remote: str = URL, limit: int | None = None, **options: Any) -> View:
    directory, index_bytes = Stream(remote=remote, local=str(local), download_retry=1, **options).open()
    selection = Selection.of_mask(directory.index.samples, mask)
    chosen, reasons = worth_ranges(directory, selection)
    cache = ShardCache([sparse_directory(directory, selection, chosen)], limit, index_bytes)
    return View(cache, selection, chosen, reasons)


def every(step: int, first: int = 0) -> NDArray[np.bool_]:
    return (np.arange(N) % step) == first


def shard_bytes(web: WebServer) -> int:
    return sum(number for path, number in web.sent.items() if path.endswith(".mds"))


@pytest.mark.parametrize("columns", [COLUMNS, FIXED])
def test_few_rows_cost_few_bytes(web: WebServer, tmp_path: Path, columns: dict[str, str]) -> None:
    write(tmp_path / "source", columns)
    put(web, tmp_path / "source")
    mask = np.random.default_rng(1).random(N) < 0.01
    mask[[0, N - 1]] = True
    seen = view(mask, tmp_path / "cache")
    assert seen.read() == np.flatnonzero(mask).tolist()
    wanted = int(mask.sum()) * (ROW + 16)
    assert shard_bytes(web) <= 1.3 * wanted
    assert seen.cache.stats()["bytes_fetched"] == shard_bytes(web)
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").glob("shard*"))
    assert kept == int(sum(directory.owned.sum() for directory in seen.cache.directories)) <= 1.01 * wanted
    # It is there now, for this process and for others.
    before = shard_bytes(web)
    assert view(mask, tmp_path / "cache").read() == np.flatnonzero(mask).tolist()
    assert shard_bytes(web) == before


@pytest.mark.parametrize("columns", [COLUMNS, FIXED])
@pytest.mark.parametrize("density", [0.002, 0.05, 0.3, 0.9])
def test_never_more_bytes_than_all(web: WebServer, tmp_path: Path, columns: dict[str, str], density: float) -> None:
    write(tmp_path / "source", columns)
    put(web, tmp_path / "source")
    mask = np.random.default_rng(int(1000 * density)).random(N) < density
    seen = view(mask, tmp_path / "cache")
    assert seen.read() == np.flatnonzero(mask).tolist()
    assert not seen.reasons
    assert seen.chosen.any() == (density < 0.5)
    for path, number in web.sent.items():
        assert number <= len(web.objects[path])


def test_neighbours_come_together(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    mask = np.zeros(N, np.bool_)
    mask[100:180] = mask[182:200] = True  # two rows between them are less than a request
    seen = view(mask, tmp_path / "cache")
    assert seen.read() == np.flatnonzero(mask).tolist()
    gets = [path for method, path, _ in web.requests if method == "GET" and path.endswith(".mds")]
    assert len(gets) == 2  # the offsets, the rows
    assert shard_bytes(web) <= 101 * ROW


def test_of_a_large_table_only_what_is_needed(web: WebServer, tmp_path: Path) -> None:
    count = 150_000
    with MDSWriter(columns={"x": "str"}, out=str(tmp_path / "source"), size_limit=1 << 30) as writer:
        for i in range(count):
            writer.write({"x": f"text {i}"})
    put(web, tmp_path / "source")
    mask = np.zeros(count, np.bool_)
    mask[[3, 70_000, 70_002, count - 1]] = True
    seen = view(mask, tmp_path / "cache")
    assert [got["x"] for got in seen.shard(0)] == [f"text {i}" for i in np.flatnonzero(mask)]
    assert shard_bytes(web) < 500 < 4 * count < len(web.objects["bucket/data/shard.00000.mds"])


def test_the_file_is_a_shard_of_its_own(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    rows = [5, 6, 77, 249]
    mask = np.zeros(N, np.bool_)
    mask[rows] = True
    seen = view(mask, tmp_path / "cache")
    seen.read()
    (path,) = (tmp_path / "cache").glob("shard*")
    assert path.name == f"shard.00000.mds.streaming-{seen.selection.fingerprint}"
    with MDSWriter(columns=COLUMNS, out=str(tmp_path / "few"), size_limit=PER_SHARD * (ROW + 40)) as writer:
        for i in rows:
            writer.write({"id": i, "x": value(i)})
    assert path.read_bytes() == (tmp_path / "few" / "shard.00000.mds").read_bytes()


@pytest.mark.parametrize(
    ("options", "reading", "reason"),
    [
        ({"compression": "zstd"}, {}, "compressed"),
        ({"hashes": ["xxh64"]}, {}, "hashes are recorded"),
        ({}, {"validate_hash": "xxh64"}, "validate_hash"),
        ({}, {"remote": "http"}, "no parts of files"),
        ({}, {"remote": None}, "read where it lies"),
    ],
)
def test_why_not(web: WebServer, tmp_path: Path, options: dict[str, Any], reading: dict[str, Any], reason: str) -> None:
    write(tmp_path / "source", **options)
    put(web, tmp_path / "source")
    local = tmp_path / "cache"
    if "remote" in reading:
        reading = {"remote": reading["remote"] and f"{web.url}/bucket/data"}
        local = local if reading["remote"] else tmp_path / "source"
    seen = view(every(100), local, **reading)
    assert not seen.chosen.any()
    assert [reason in text for text in seen.reasons] == [True]
    assert seen.reasons[0].startswith("4 of 4 shards come whole: ")
    assert isinstance(seen.cache.directories[0], type(Stream(local=str(local), remote=URL).open()[0]))
    if not reading.get("validate_hash"):
        assert seen.read() == list(range(0, N, 100))


def test_lines_come_whole(web: WebServer, tmp_path: Path) -> None:
    with JSONWriter(columns={"id": "int", "x": "str"}, out=str(tmp_path / "source")) as writer:
        for i in range(100):
            writer.write({"id": i, "x": "x" * 10_000})
    put(web, tmp_path / "source")
    seen = view(np.arange(100) == 50, tmp_path / "cache")
    assert seen.reasons == ["1 of 1 shards come whole: they are not of the MDS format."]
    assert seen.shard(0)[0]["id"] == 50


def test_what_is_there_whole_is_used(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    whole = view(np.ones(N, np.bool_), tmp_path / "cache")
    whole.shard(1)
    before = shard_bytes(web)
    seen = view(every(100, 60), tmp_path / "cache")
    assert seen.chosen.tolist() == [True, False, True, True]
    assert seen.reasons == ["1 of 4 shards come whole: they are on this node already."]
    assert seen.read() == list(range(60, N, 100))
    assert shard_bytes(web) - before <= 10 * 1.3 * ROW


def test_a_store_that_ignores_ranges_is_read_right(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    web.ranges = False
    assert view(every(100), tmp_path / "cache").read() == list(range(0, N, 100))


@pytest.mark.parametrize("same_size", [True, False])
def test_replaced_in_between(web: WebServer, tmp_path: Path, same_size: bool) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    path = "bucket/data/shard.00000.mds"
    old = web.objects[path]
    seen_ranges: list[str] = []

    def replace(handler: Any, asked: str) -> bool:
        if asked == path and handler.command == "GET":
            seen_ranges.append(handler.headers["Range"])
            if len(seen_ranges) == 3:
                web.objects[path] = old[:-8] + b"\xff" * (8 if same_size else 16)
        return False

    web.fault = replace
    seen = view(every(50), tmp_path / "cache")
    with pytest.raises((ShardUnavailableError, ChecksumError), match=r"shard\.00000\.mds"):
        seen.shard(0)
    assert len(seen_ranges) >= 3
    assert not list((tmp_path / "cache").glob("shard.00000.mds.streaming-????????????????"))
    # The other shards are as they were; who opens the dataset anew has what there is now.
    assert [got["id"] for got in seen.shard(1)] == list(range(250, 500, 50))
    web.objects[path] = old
    web.fault = None
    assert view(every(50), tmp_path / "cache").read() == list(range(0, N, 50))


def test_written_again(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    assert view(every(100), tmp_path / "cache").read() == list(range(0, N, 100))
    web.objects = {path: data.replace(value(100)[:64], b"z" * 64) for path, data in web.objects.items()}
    web.objects["bucket/data/index.json"] += b" "  # as a new version has another one
    (got,) = [got for got in view(every(100), tmp_path / "cache").shard(0) if got["id"] == 100]
    assert got["x"][:64] == b"z" * 64


@pytest.mark.parametrize("damage", ["cut", "count", "offset", "removed"])
def test_damage_on_disk_is_fetched_again(web: WebServer, tmp_path: Path, damage: str) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    seen = view(every(100), tmp_path / "cache")
    seen.read()
    path = min((tmp_path / "cache").glob("shard.00000*"))
    data = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        broken = {"cut": data[:-1], "count": b"\x09" + data[1:], "offset": data[:8] + b"\xff" + data[9:]}[damage]
        path.write_bytes(broken)
    assert view(every(100), tmp_path / "cache").read() == list(range(0, N, 100))
    assert path.read_bytes() == data


@pytest.mark.parametrize("where", [0, 4 + 4 * 100, 8 + 4 * 200])
def test_damage_in_the_store_is_refused(web: WebServer, tmp_path: Path, where: int) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    path = "bucket/data/shard.00000.mds"
    data = web.objects[path]
    web.objects[path] = data[:where] + b"\xff\xff\xff\x7f" + data[where + 4 :]
    seen = view(every(100), tmp_path / "cache")
    with pytest.raises(ShardFormatError, match=r"shard\.00000\.mds"):
        seen.shard(0)
    assert [got["id"] for got in seen.shard(1)] == [300, 400]
    assert seen.cache.stats()["corrupt"] == 2


def test_a_failure_costs_only_what_is_missing(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    failed: list[str] = []

    def fail(handler: Any, path: str) -> bool:
        if path.endswith("00002.mds") and handler.command == "GET":
            first = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
            if first > 200 * ROW and len(failed) < 20:
                failed.append(path)
                handler.reply(403)
                return True
        return False

    web.fault = fail
    seen = view(every(25), tmp_path / "cache")
    with pytest.raises(ShardUnavailableError):
        seen.shard(2)
    (part,) = (tmp_path / "cache").glob("shard.00002*.part")
    assert part.stat().st_size > 7 * ROW
    assert seen.cache.directories[0].owned[2] == part.stat().st_size
    before = web.sent["bucket/data/shard.00002.mds"]
    web.fault = None
    assert view(every(25), tmp_path / "cache").read() == list(range(0, N, 25))
    assert not part.exists()
    assert web.sent["bucket/data/shard.00002.mds"] - before < 4 * ROW


def test_killed_in_between(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")

    def slow(handler: Any, path: str) -> bool:
        if path.endswith(".mds") and handler.command == "GET":
            time.sleep(0.05)
        return False

    web.fault = slow
    fork = multiprocessing.get_context("fork")
    masks = [every(20, first) for first in range(4)]
    for number, mask in enumerate([masks[0], masks[0], masks[1]]):
        job: Any = fork.Process(target=lambda mask=mask: view(mask, tmp_path / "cache").read())
        job.start()
        time.sleep(0.3 + 0.2 * number)
        os.kill(job.pid, signal.SIGKILL)
        job.join()
    web.fault = None
    for mask in masks:
        assert view(mask, tmp_path / "cache").read() == np.flatnonzero(mask).tolist()
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.mark.parametrize("columns", [COLUMNS, FIXED])
def test_a_limit_that_holds_some_of_them(web: WebServer, tmp_path: Path, columns: dict[str, str]) -> None:
    options = {"size_limit": 50 * (ROW + 40)}
    with MDSWriter(columns=columns, out=str(tmp_path / "source"), **options) as writer:
        for i in range(N):
            # Rows that are kept are larger than the others, which the sizes of shards do not tell.
            x: Any = value(i, True) if i % 10 == 0 or columns is FIXED else value(i)[: ROW // 2]
            writer.write({"id": i, "x": np.frombuffer(x, np.uint8) if columns is FIXED else x})
    put(web, tmp_path / "source")
    limit = 8 * 10 * ROW
    seen = view(every(10), tmp_path / "cache", limit=limit)
    assert seen.chosen[:-1].all()
    assert len(seen.chosen) >= 10
    for _ in range(2):
        for shard in range(len(seen.chosen)):
            assert [got["id"] for got in seen.shard(shard)] == [
                int(i) for i in seen.selection.rows(shard) + int(seen.selection.sizes[:shard].sum())
            ]
            assert seen.cache.usage <= limit
    assert seen.cache.stats()["evictions"] > 0
    held = sum(path.stat().st_size for path in (tmp_path / "cache").glob("shard*"))
    assert held + seen.cache.index_bytes == seen.cache.usage <= limit


def test_views_and_the_whole_in_one_directory(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    local = tmp_path / "cache"
    half = np.arange(N) < 500
    masks = [every(100), every(100, 7), every(100) & half, every(200) | half, np.ones(N, np.bool_)]
    open_at_once = [view(mask, local) for mask in masks]
    for _ in range(2):
        for mask, seen in zip(masks, open_at_once, strict=True):
            assert seen.read() == np.flatnonzero(mask).tolist()
    total = shard_bytes(web)
    assert total < N * (ROW + 100) + 60 * ROW
    for mask, seen in reversed(list(zip(masks, open_at_once, strict=True))):
        seen.cache.close()
        assert seen.read() == np.flatnonzero(mask).tolist()
        assert view(mask, local).read() == np.flatnonzero(mask).tolist()
    assert shard_bytes(web) == total
    # Who evicts a view's files leaves the others'.
    first = open_at_once[0].cache
    assert all(first.evict(shard) > 0 for shard in range(4))
    assert not list(local.glob(f"*{open_at_once[0].selection.fingerprint}"))
    for mask, seen in zip(masks[1:], open_at_once[1:], strict=True):
        assert seen.read() == np.flatnonzero(mask).tolist()
    assert shard_bytes(web) == total
    dataset = StreamingDataset(remote=URL, local=str(local))
    assert [got["id"] for got in dataset[:]] == list(range(N))
    assert shard_bytes(web) == total


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_processes_fetch_each_once(web: WebServer, tmp_path: Path, method: str) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    seen = view(every(25), tmp_path / "cache")
    context: Any = multiprocessing.get_context(method)
    found = context.Queue()
    jobs = [context.Process(target=_read, args=(seen, found)) for _ in range(3 if method == "fork" else 2)]
    for job in jobs:
        job.start()
    for _ in jobs:
        assert found.get(timeout=60) == list(range(0, N, 25))
    for job in jobs:
        job.join()
    assert shard_bytes(web) <= 1.1 * 40 * ROW
    assert seen.cache.stats()["bytes_fetched"] == shard_bytes(web)


def _read(seen: View, found: Any) -> None:
    found.put(seen.read())


def test_threads_and_look_ahead(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    seen = view(every(25), tmp_path / "cache")
    futures = [seen.cache.prefetch(shard, float(shard)) for shard in range(4)]
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(seen.read())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [future.result() for future in futures] == [True] * 4
    assert found == [list(range(0, N, 25))] * 4
    assert shard_bytes(web) <= 1.1 * 40 * ROW


def test_pickled(web: WebServer, tmp_path: Path) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    seen = view(every(100), tmp_path / "cache", columns=["x"])
    assert [list(got) for got in seen.shard(0)] == [["x"]] * 3
    copied = pickle.loads(pickle.dumps(seen.cache))
    assert copied.get(0).get(1) == {"x": value(100)}
    (directory,) = copied.directories
    assert directory.index.samples.tolist() == seen.selection.counts.tolist()
    assert directory.witness is directory._whole.witness  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    with pytest.raises((StreamingError, IndexError)):
        copied.get(0).get(3)


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_of_a_view(web: WebServer, tmp_path: Path, workers: int) -> None:
    write(tmp_path / "source")
    put(web, tmp_path / "source")
    dataset: Any = StreamingDataset(remote=URL, local=str(tmp_path / "cache"), batch_size=4, shuffle=True)
    dataset = dataset.select(np.flatnonzero(every(25)))
    for _ in range(2):
        found: list[int] = []
        for batch in StreamingDataLoader(dataset, batch_size=4, num_workers=workers):
            assert batch["x"] == [value(i) for i in batch["id"].tolist()]
            found += batch["id"].tolist()
        assert sorted(found) == list(range(0, N, 25))
    assert dataset[3]["id"] == 75
    assert shard_bytes(web) <= 1.1 * 40 * ROW
    assert dataset.stats()["bytes_fetched"] == shard_bytes(web)
