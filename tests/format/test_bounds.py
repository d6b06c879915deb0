"""What an index may claim: a great many columns are read soon, and names that mean something else are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import LocalDataset, MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.core.errors import IndexFormatError, ShardFormatError
from streaming.format.formats import _decoders
from streaming.format.index import Index
from streaming.format.kinds import mds_decoder, mds_encoder

VALUES: dict[str, Any] = {
    "int": -7,
    "str": "text",
    "bytes": b"\0\1",
    "uint8": np.uint8(3),
    "ndarray:int16:2": np.arange(2, dtype=np.int16),
    "ndarray": np.arange(3),
    "json": {"a": [1]},
    "float32": np.float32(0.5),
}
FIXED = ("int", "uint8", "ndarray:int16:2", "float32")


def columns_of(encodings: Any, count: int) -> dict[str, str]:
    names = list(encodings)
    return {f"c{i}": names[i % len(names)] for i in range(count)}


@pytest.mark.parametrize("encodings", [VALUES, FIXED], ids=["varying", "fixed"])
def test_by_a_loop_as_by_what_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encodings: Any) -> None:
    columns = columns_of(encodings, 20)
    written: list[bytes] = []
    for limit, name in ((2000, "compiled"), (10, "loop")):
        monkeypatch.setattr(mds_decoder, "MOST_WRITTEN", limit)
        monkeypatch.setattr(mds_encoder, "MOST_WRITTEN", limit)
        _decoders.clear()
        out = tmp_path / name
        with MDSWriter(columns=columns, out=str(out)) as writer:
            for _ in range(9):
                writer.write({name: VALUES[encoding] for name, encoding in columns.items()})
        written.append((out / "shard.00000.mds").read_bytes())
        for sample in LocalDataset(str(out)):
            np.testing.assert_equal(sample, {name: VALUES[encoding] for name, encoding in columns.items()})
        if encodings is FIXED:
            (batch,) = StreamingDataLoader(StreamingDataset(local=str(out), batch_size=9), batch_size=9)
            assert batch["c0"].tolist() == [-7] * 9
        reader = LocalDataset(str(out)).shards[0]
        data = reader.get_sample_data(0)
        for wrong in (data[:-1], data + b"\0", data[: len(data) // 2], b""):
            with pytest.raises((ShardFormatError, Exception)):
                reader.decode_sample(wrong)
    assert written[0] == written[1]
    _decoders.clear()


@pytest.mark.parametrize("encoding", ["str", "int", "ndarray:int8:3"])
def test_a_great_many_columns(tmp_path: Path, encoding: str) -> None:
    count = 5_000
    columns = columns_of([encoding], count)
    value = {"str": "x", "int": 5, "ndarray:int8:3": np.zeros(3, np.int8)}[encoding]
    with MDSWriter(columns=columns, out=str(tmp_path), size_limit=None) as writer:
        writer.write(dict.fromkeys(columns, value))
    (sample,) = LocalDataset(str(tmp_path))
    assert len(sample) == count
    np.testing.assert_equal(sample[f"c{count - 1}"], value)


RESERVED = [
    "index.json",
    "INDEX.json",
    ".streaming-cache",
    ".streaming-quarantine.jsonl",
    "a/.streaming-index",
    "shard.00000.mds.part",
    "x.PART",
]
CONTROLS = ["a\x1b[31m.mds", "a\nb.mds", "a\x9b.mds", "a\u202eb.mds"]


@pytest.mark.parametrize("name", RESERVED + CONTROLS)
@pytest.mark.parametrize("first", [True, False])
def test_names_that_mean_something_else(name: str, first: bool) -> None:
    def entry(name: str) -> dict[str, Any]:
        return {
            "column_encodings": ["int"],
            "column_names": ["x"],
            "column_sizes": [8],
            "compression": None,
            "format": "mds",
            "hashes": [],
            "raw_data": {"basename": name, "bytes": 100, "hashes": {}},
            "samples": 1,
            "size_limit": None,
            "version": 2,
            "zip_data": None,
        }

    entries = [entry(f"shard.{i:05}.mds") for i in range(4)]
    entries.insert(0 if first else 3, entry(name))
    with pytest.raises(IndexFormatError, match="basename.*(control characters|cache uses for itself)"):
        Index.parse(json.dumps({"version": 2, "shards": entries}).encode(), "test")
    fine = [entry(name) for name in ("my.streaming.mds", "part", "a.part.mds", "index.json.mds", "sub/index.mds")]
    assert len(Index.parse(json.dumps({"version": 2, "shards": fine}).encode(), "test")) == 5
