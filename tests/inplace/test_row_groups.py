"""Shards that are parts of one row group: it is gone through once for all of them, within the limit of the cache."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streaming import StreamingDataset
from streaming.sources.kinds.parquet import Parquet
from streaming.storage.registry import open_store

from servers import S3Server

ROWS = 4000


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups are cut to parts of some kilobytes."""
    monkeypatch.setattr("streaming.inplace.cutting.SHARD_BYTES", 80_000)
    monkeypatch.setattr("streaming.inplace.cutting._WHOLE_BYTES", 160_000)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were gone through."""
    found: list[str] = []
    real = Parquet.batches

    def batches(self: Parquet, file: Any, *rest: Any) -> Any:
        found.append(file.name)
        return real(self, file, *rest)

    monkeypatch.setattr(Parquet, "batches", batches)
    return found


def write(path: Path) -> None:
    table = pa.table({"id": range(ROWS), "blob": [os.urandom(200) for _ in range(ROWS)]})
    pq.write_table(table, path, row_group_size=ROWS, use_dictionary=False)


def opened(place: Path | str, local: Path, **more: Any) -> StreamingDataset:
    arguments: Any = {"remote": str(place), "local": local, "batch_size": 1, **more}
    return StreamingDataset(**arguments)


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("first", [0, 2000, ROWS - 1])
def test_all_are_made_when_one_is_wanted(tmp_path: Path, passes: list[str], first: int) -> None:
    write(tmp_path / "x.parquet")
    dataset = opened(tmp_path / "x.parquet", tmp_path / "cache", shuffle=True)
    assert len(dataset.samples_per_shard) > 9
    assert dataset[first]["id"] == first
    assert dataset[:] == pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert passes == ["x.parquet"]
    stats = dataset.stats()
    assert stats["files_fetched"] == len(dataset.samples_per_shard)
    files = list((tmp_path / "cache").rglob("*.mds"))
    assert len(files) == len(dataset.samples_per_shard)
    assert stats["cache_usage"] >= sum(path.stat().st_size for path in files)
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.usefixtures("cut")
def test_no_more_than_there_is_room_for(tmp_path: Path, passes: list[str]) -> None:
    write(tmp_path / "x.parquet")
    dataset = opened(tmp_path / "x.parquet", tmp_path / "cache", cache_limit=360_000, predownload=1)
    assert sorted(row["id"] for row in dataset) == list(range(ROWS))
    held = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.mds"))
    assert held <= 360_000
    assert 1 < len(passes) < len(dataset.samples_per_shard) + 3
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.usefixtures("cut")
def test_its_chunks_come_once(tmp_path: Path, s3: S3Server) -> None:
    write(tmp_path / "x.parquet")
    bucket = s3.create_bucket()
    open_store(bucket).put("x.parquet", str(tmp_path / "x.parquet"))
    dataset = opened(f"{bucket}/x.parquet", tmp_path / "cache", columns=["blob"], shuffle=True)
    assert len(list(dataset)) == ROWS
    chunk = pq.read_metadata(tmp_path / "x.parquet").row_group(0).column(1).total_compressed_size
    assert dataset.stats()["bytes_fetched"] <= 1.15 * chunk


def _read(place: str, local: str, begin: int) -> None:
    dataset = opened(place, Path(local))
    order = [(begin + i) % ROWS for i in range(0, ROWS, 50)]
    assert [dataset[i]["id"] for i in order] == order


@pytest.mark.usefixtures("cut")
def test_several_processes_make_them_at_once(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet")
    context = multiprocessing.get_context("fork")
    several = [
        context.Process(target=_read, args=(str(tmp_path / "x.parquet"), str(tmp_path / "cache"), n * ROWS // 3))
        for n in range(3)
    ]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
        assert process.exitcode == 0
    assert not list((tmp_path / "cache").rglob("*.part"))
