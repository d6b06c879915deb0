"""Tables of Lance, made by its own writer. Its threads do not go with forks, so that this process never starts them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streaming
from streaming import StreamingDataLoader, StreamingDataset
from streaming.cli.main import main
from streaming.core.errors import ConfigError, EmptyDatasetError
from streaming.inplace import cutting
from streaming.storage.registry import open_store

from clouds import Clouds, clear_credentials
from servers import S3Server

LONG = pytest.mark.long

_WRITE = """
import json, sys
import lance, pyarrow as pa

place, count = sys.argv[1], 120
ids = list(range(count))
table = pa.table({
    "id": ids,
    "text": [None if i % 5 == 0 else f"text {i}" for i in ids],
    "vector": pa.FixedSizeListArray.from_arrays(pa.array([i / 2 for i in range(4 * count)], pa.float32()), 4),
    "words": [[f"w{j}" for j in range(i % 3)] for i in ids],
    "nested": [None if i % 7 == 0 else {"a": i, "b": [{"c": str(i)}]} for i in ids],
    "data": pa.array([bytes([i]) * i for i in ids], pa.large_binary()),
})
fields = [f.with_metadata({"lance-encoding:blob": "true"}) if f.name == "data" else f for f in table.schema]
table = table.cast(pa.schema(fields))
lance.write_dataset(table, place, max_rows_per_file=50, data_storage_version="2.1")
lance.dataset(place).delete("id % 4 = 1 OR (id >= 50 AND id < 60)")
lance.dataset(place).add_columns({"twice": "id * 2"})
table = lance.dataset(place)
table.tags.create("best", 2)
for version in (1, 2, 3):
    own = lance.dataset(place, version=version).scanner(blob_handling="all_binary").to_table().to_pylist()
    for row in own:
        row["data"] = row["data"].hex()
    with open(f"{place}.{version}.json", "w") as file:
        json.dump(own, file)
"""


@pytest.fixture(scope="module")
def lance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three versions: written, rows deleted, a column added; beside it its rows as its own reader has them."""
    place = tmp_path_factory.mktemp("lance") / "table.lance"
    subprocess.run([sys.executable, "-c", _WRITE, str(place)], check=True, timeout=120)
    return place


def rows_of(place: Path, version: int) -> list[dict[str, Any]]:
    rows = json.loads(Path(f"{place}.{version}.json").read_text())
    return [{**row, "data": bytes.fromhex(row["data"])} for row in rows]


def plain(rows: Any) -> list[dict[str, Any]]:
    return [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in rows
    ]


def test_versions_are_as_its_own_reader_has_them(lance: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "SHARD_BYTES", 2000)
    monkeypatch.setattr(cutting, "_WHOLE_BYTES", 2000)
    for version, number in ((None, 3), (1, 1), (3, 3), ("best", 2)):
        dataset = StreamingDataset(remote=lance, version=version, local=tmp_path / "c", batch_size=1)
        assert plain(dataset[:]) == rows_of(lance, number)
        assert len(dataset.samples_per_shard) > 3
    assert len(dataset) == 82
    assert "lance" not in sys.modules
    with pytest.raises(ConfigError, match="at version 9"):
        StreamingDataset(remote=lance, version=9, local=tmp_path / "c", batch_size=1)
    with pytest.raises(EmptyDatasetError, match="no table of Lance"):
        StreamingDataset(remote=tmp_path / "none", format="lance", local=tmp_path / "c", batch_size=1)


def test_the_newest_version_is_that_of_now(lance: Path, tmp_path: Path) -> None:
    place = tmp_path / "table.lance"
    shutil.copytree(lance, place)
    arguments: Any = {"remote": place, "columns": ["id"], "local": tmp_path / "c", "batch_size": 1}
    before = [len(StreamingDataset(**arguments, version=version)) for version in (None, "best")]
    code = "import lance, sys; t = lance.dataset(sys.argv[1]); t.delete('id < 30'); t.tags.update('best', t.version)"
    subprocess.run([sys.executable, "-c", code, str(place)], check=True, timeout=120)
    after = [len(StreamingDataset(**arguments, version=version)) for version in (None, "best")]
    assert (before, after) == ([82, 82], [60, 60])


def test_in_workers_that_are_forked(lance: Path, tmp_path: Path) -> None:
    arguments: Any = {"columns": ["vector", "id"], "shuffle": True, "local": tmp_path / "c", "batch_size": 8}
    dataset = StreamingDataset(remote=f"lance+{lance}", **arguments)
    batches = list(StreamingDataLoader(dataset, batch_size=8, num_workers=2))
    assert list(batches[0]) == ["vector", "id"]
    assert sorted(i for batch in batches for i in batch["id"].tolist()) == [row["id"] for row in rows_of(lance, 3)]


def test_in_a_store_and_converted(lance: Path, s3: S3Server, tmp_path: Path) -> None:
    root = s3.create_bucket()
    store = open_store(root)
    for path in lance.rglob("*"):
        if path.is_file():
            store.put(f"lake/table.lance/{path.relative_to(lance)}", str(path))
    remote = f"{root}/lake/table.lance"
    assert plain(StreamingDataset(remote=remote, local=tmp_path / "c", batch_size=1)[:]) == rows_of(lance, 3)
    assert main(["index", remote, "--out", str(tmp_path / "found")]) == 0
    for version, number in ((None, 3), ("best", 2)):
        streaming.convert(lance, tmp_path / "out", version=version, exist_ok=True)
        assert plain(StreamingDataset(local=tmp_path / "out", batch_size=1)[:]) == rows_of(lance, number)


@pytest.mark.parametrize(
    "family", ["gs-hmac", "azure", *(pytest.param(f, marks=LONG) for f in ("gs", "azure-dl", "oci"))]
)
def test_in_clouds(lance: Path, clouds: Clouds, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lance is told of places by other schemes than ours."""
    clear_credentials(monkeypatch, tmp_path)
    place = clouds.place(family)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    store = open_store(place.url)
    for path in lance.rglob("*"):
        if path.is_file():
            store.put(f"lake/table.lance/{path.relative_to(lance)}", str(path))
    remote = f"{place.url}/lake/table.lance"
    assert plain(StreamingDataset(remote=remote, local=tmp_path / "c", batch_size=1)[:]) == rows_of(lance, 3)
