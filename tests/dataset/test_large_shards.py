"""Shards so large that they come in parts, and that the first samples come before them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.cache.files.witness import version_number

from budget import pairings
from sample_data import part_of

pytestmark = pytest.mark.apart
N, ROW, BATCH = 420, 50_000, 8


def value(i: int) -> bytes:
    return np.random.default_rng(i).bytes(ROW - i % 7)


def write(out: str, fixed: bool, hashes: list[str]) -> None:
    columns = {"id": "int", "x": f"ndarray:uint8:{ROW}" if fixed else "bytes"}
    with MDSWriter(out=out, columns=columns, size_limit=1 << 30, hashes=hashes) as writer:
        for i in range(N):
            x = np.frombuffer(value(i).ljust(ROW, b"\0"), np.uint8) if fixed else value(i)
            writer.write({"id": i, "x": x})


@pytest.mark.parametrize(("fixed", "hashes", "workers"), pairings([False, True], [[], ["xxh64"]], [0, 2]))
def test_first_batch_and_the_rest(bucket: str, tmp_path: Path, fixed: bool, hashes: list[str], workers: int) -> None:
    source, cache = tmp_path / "source", tmp_path / "cache"
    write(str(source), fixed, hashes)
    write(bucket, fixed, hashes)
    dataset = StreamingDataset(remote=bucket, local=str(cache), batch_size=BATCH, shuffle=True, num_canonical_nodes=1)
    seen: list[int] = []
    for batch in StreamingDataLoader(dataset, batch_size=BATCH, num_workers=workers, collate_fn=list):
        for sample in batch:
            seen.append(int(sample["id"]))
            expected = value(seen[-1])
            assert bytes(sample["x"]) == (expected.ljust(ROW, b"\0") if fixed else expected)
    assert sorted(seen) == list(range(N))
    shard = "shard.00000.mds"
    assert (cache / shard).read_bytes() == (source / shard).read_bytes()
    extra = dataset.stats()["bytes_fetched"] - (source / shard).stat().st_size
    # Unverified bytes are served only where nobody could verify them.
    assert (extra == 0) if hashes else BATCH * (ROW - 7) <= extra <= max(1, workers) * BATCH * (ROW + 100)


@pytest.mark.parametrize("known", ["by hash", "by version", "of another version", "not"])
def test_parts_continue_what_is_there(bucket: str, tmp_path: Path, known: str) -> None:
    """With hashes whatever is there; without, only what is known to be the beginning of what the store has."""
    source, cache = tmp_path / "source", tmp_path / "cache"
    hashes = ["xxh64"] if known == "by hash" else []
    write(str(source), False, hashes)
    write(bucket, False, hashes)
    data = (source / "shard.00000.mds").read_bytes()
    dataset = StreamingDataset(remote=bucket, local=str(cache))
    directory = dataset._cache.directories[0]  # pyright: ignore[reportPrivateUsage]
    assert directory.store is not None
    assert directory.table is not None
    begun = 1_000_001
    part_of(dataset).write_bytes(data[:begun] if known.startswith("by") else bytes(begun))
    info = directory.store.head("shard.00000.mds")
    if known == "by version":
        directory.table.versions[0, 0] = version_number(info)
    elif known == "of another version":
        directory.table.versions[0, 0] = version_number(info._replace(etag='"another"'))
    assert dataset[0]["x"] == value(0)
    assert (cache / "shard.00000.mds").read_bytes() == data
    assert dataset.stats()["bytes_fetched"] == len(data) - begun * known.startswith("by")
