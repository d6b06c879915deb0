"""Tables of Delta and Iceberg at a version, and directories that say what their rows have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pyarrow as pa
import pytest

from streaming import StreamingDataset
from streaming.core.errors import ConfigError, EmptyDatasetError
from streaming.storage.registry import open_store

from servers import S3Server


def rows_of(first: int, count: int) -> Any:
    ids = range(first, first + count)
    return pa.table(
        {"id": pa.array(ids), "text": [f"text {i}" for i in ids], "lang": [("de", "en")[i % 2] for i in ids]}
    )


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """A table of three versions: written, added to with another column, and some rows deleted."""
    place = tmp_path / "table"
    deltalake.write_deltalake(place, rows_of(0, 20), partition_by=["lang"])
    more = rows_of(20, 10).append_column("score", pa.array([i / 4 for i in range(10)]))
    deltalake.write_deltalake(place, more, mode="append", schema_mode="merge")
    deltalake.DeltaTable(place).delete("id < 4")
    return place


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["id"])


def test_versions_of_a_delta_table(delta: Path, tmp_path: Path) -> None:
    local = tmp_path / "c"
    for version in (0, 1, 2, None):
        dataset = StreamingDataset(remote=delta, format="delta", version=version, local=local, batch_size=1)
        own = deltalake.DeltaTable(delta, version=version).to_pyarrow_table().to_pylist()
        assert by_id(dataset[:]) == by_id(own)
    assert len(own) == 26
    some = StreamingDataset(remote=f"delta+{delta}", columns=["lang", "id"], local=local, batch_size=1)
    assert list(some[0]) == ["lang", "id"]
    with pytest.raises(ConfigError, match="at version 9"):
        StreamingDataset(remote=delta, format="delta", version=9, local=local, batch_size=1)
    with pytest.raises(ConfigError, match="must be a number"):
        StreamingDataset(remote=delta, format="delta", version="new", local=local, batch_size=1)


def test_a_delta_table_in_a_store(delta: Path, s3: S3Server, tmp_path: Path) -> None:
    root = s3.create_bucket()
    store = open_store(root)
    for path in delta.rglob("*"):
        if path.is_file():
            store.put(f"lake/table/{path.relative_to(delta)}", str(path))
    dataset = StreamingDataset(remote=f"delta+{root}/lake/table", version=1, local=tmp_path / "c", batch_size=1)
    assert by_id(dataset[:]) == by_id(deltalake.DeltaTable(delta, version=1).to_pyarrow_table().to_pylist())
    with pytest.raises(EmptyDatasetError, match="no _delta_log"):
        StreamingDataset(remote=f"delta+{root}/lake/none", local=tmp_path / "c", batch_size=1)


def test_rows_that_a_vector_deletes(delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No writer at hand leaves vectors; the masks are given as the library gives them."""
    (first, *_) = deltalake.DeltaTable(delta, version=0).file_uris()
    mask = [i % 3 != 0 for i in range(10)]
    masks = pa.table({"filepath": [first], "selection_vector": [mask]})
    monkeypatch.setattr(deltalake.DeltaTable, "deletion_vectors", lambda self: masks)
    rows = StreamingDataset(remote=delta, format="delta", version=0, local=tmp_path / "c", batch_size=1)[:]
    assert len(rows) == 16
    kept = [row for row in by_id(rows) if row["lang"] == ("de" if "lang=de" in first else "en")]
    assert [row["id"] // 2 for row in kept] == [i for i in range(10) if i % 3]


@pytest.mark.parametrize("write", ["polars", "pyarrow"])
def test_directories_say_what_rows_have(tmp_path: Path, write: str) -> None:
    place = tmp_path / "lake"
    table = rows_of(0, 30).append_column("year", pa.array([2020 + i % 3 for i in range(30)]))
    if write == "polars":
        frame: Any = pl.from_arrow(table)
        frame.write_parquet(pl.PartitionBy(place, key=["lang", "year"]) if hasattr(pl, "PartitionBy") else place)
    else:
        import pyarrow.dataset as ds

        ds.write_dataset(
            table,
            place,
            format="parquet",
            partitioning=ds.partitioning(flavor="hive", schema=table.select(["lang", "year"]).schema),
        )
    found = StreamingDataset(remote=f"{place}/**/*.parquet", local=tmp_path / "c", batch_size=1)[:]
    assert by_id(found) == [{name: row[name] for name in found[0]} for row in table.to_pylist()]
    assert {"lang", "year"} <= set(found[0])
    only = StreamingDataset(remote=place, format="parquet", columns=["year"], local=tmp_path / "c", batch_size=1)
    assert sorted(row["year"] for row in only[:]) == sorted(row["year"] for row in found)
