"""Cold epochs from a bucket with forked workers: every byte right, and hardly one fetched twice.

``STREAMING_COLD_RUNS`` is the number of epochs for each number of workers, 2 by default.
"""

from __future__ import annotations

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
from servers import S3Server

RUNS = repetitions("STREAMING_COLD_RUNS", 2, 20)
N = 1200
LONG = [pytest.param(workers, kind, marks=pytest.mark.long) for workers, kind in [(4, None), (2, "zstd:1")]]

pytestmark = pytest.mark.timeout(60 + 30 * RUNS)


@pytest.fixture
def between(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    with relay(s3.endpoint) as running:
        monkeypatch.setenv("S3_ENDPOINT_URL", running.url)
        yield running


@pytest.mark.parametrize(("workers", "compression"), [(2, None), (4, "zstd:1"), *LONG])
def test_cold_epochs(between: Relay, bucket: str, tmp_path: Path, workers: int, compression: str | None) -> None:
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
        loader = DataLoader(dataset, batch_size=8, num_workers=workers, multiprocessing_context="fork", timeout=200)
        assert sorted(i for batch in loader for i in batch["id"].tolist()) == list(range(N))
        assert stored <= between.served - before <= 1.05 * stored
        stats = dataset.stats()
        assert stored <= stats["bytes_fetched"] <= 1.02 * stored
        assert stats["files_fetched"] == dataset.num_shards
        for path in source.glob("*.mds"):
            assert (cache / path.name).read_bytes() == path.read_bytes()
        assert not list(cache.glob("*.part"))
        assert [s["id"] for s in dataset[:]] == list(range(N))
