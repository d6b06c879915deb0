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

from streaming import MDSWriter, Stream, StreamingDataset
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
    data = np.random.default_rng(i).bytes(64) * (ROW // 64)
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
