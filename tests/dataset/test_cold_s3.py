"""Cold epochs from a bucket with forked workers: every byte right, and hardly one fetched twice.

``STREAMING_COLD_RUNS`` is the number of epochs for each number of workers, 2 by default.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from streaming import MDSWriter, StreamingDataset

from budget import repetitions
from relay import Relay, relay
from servers import S3Server, s3_server

RUNS = repetitions("STREAMING_COLD_RUNS", 2, 20)
N = 1200

pytestmark = pytest.mark.timeout(60 + 30 * RUNS)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def between(server: S3Server) -> Iterator[Relay]:
    with relay(server.endpoint) as running:
        yield running


@pytest.fixture
def bucket(server: S3Server, between: Relay, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("S3_ENDPOINT_URL", between.url)
    return server.create_bucket(f"b{abs(hash(request.node.name)):x}")


@pytest.mark.parametrize("compression", [None, "zstd:1"])
@pytest.mark.parametrize("workers", [2, 4])
def test_cold_epochs(bucket: str, between: Relay, tmp_path: Path, workers: int, compression: str | None) -> None:
    source = tmp_path / "source"
    for out in (str(source), bucket):
        arguments: dict[str, Any] = {"columns": {"id": "int", "x": "bytes"}, "size_limit": 150_000}
        with MDSWriter(out=out, compression=compression, **arguments) as writer:
            for i in range(N):
                writer.write({"id": i, "x": np.random.default_rng(i).bytes(2500)})
    stored = sum(path.stat().st_size for path in source.glob("shard*"))
    if compression is not None:
        assert StreamingDataset(local=str(source))[:]  # decompressed beside themselves, to compare with
    cache = tmp_path / "cache"
    for _ in range(RUNS):
        shutil.rmtree(cache, ignore_errors=True)
        before = between.served
        dataset = StreamingDataset(remote=bucket, local=str(cache), batch_size=8, shuffle=True)
        loader = DataLoader(dataset, batch_size=8, num_workers=workers, multiprocessing_context="fork", timeout=60)
        assert sorted(i for batch in loader for i in batch["id"].tolist()) == list(range(N))
        assert stored <= between.served - before <= 1.05 * stored
        stats = dataset.stats()
        assert stored <= stats["bytes_fetched"] <= 1.02 * stored
        assert stats["files_fetched"] == dataset.num_shards
        for path in source.glob("*.mds"):
            assert (cache / path.name).read_bytes() == path.read_bytes()
        assert not list(cache.glob("*.part"))
        assert [s["id"] for s in dataset[:]] == list(range(N))
