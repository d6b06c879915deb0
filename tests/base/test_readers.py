"""Shards as objects."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import streaming
from streaming.base.format import FileInfo, Reader, get_index_basename, reader_from_json
from streaming.base.format.mds import MDSReader

COLUMNS = {"a": "int", "b": "str"}
WRITERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mds": (streaming.MDSWriter, {}),
    "json": (streaming.JSONWriter, {}),
    "csv": (streaming.CSVWriter, {}),
    "tsv": (streaming.TSVWriter, {}),
    "xsv": (streaming.XSVWriter, {"separator": "|"}),
}


def write(out: Path, kind: str, **kwargs: Any) -> list[dict[str, Any]]:
    make, options = WRITERS[kind]
    samples = [{"a": i, "b": f"text {i}"} for i in range(60)]
    with make(columns=COLUMNS, out=str(out), size_limit=600, hashes=["sha1"], **options, **kwargs) as writer:
        for each in samples:
            writer.write(each)
    return samples


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format(tmp_path: Path, kind: str) -> None:
    samples = write(tmp_path, kind)
    entries = json.loads((tmp_path / get_index_basename()).read_text())["shards"]
    every = [reader_from_json(str(tmp_path), None, entry) for entry in entries]
    assert len(every) > 1
    assert [each for reader in every for each in reader] == samples
    from_dataset = streaming.LocalDataset(str(tmp_path)).shards
    assert [type(each) for each in from_dataset] == [type(each) for each in every]
    for reader, same in zip(every, from_dataset, strict=True):
        assert {k: v for k, v in vars(same).items() if k[0] != "_"} == {
            k: v for k, v in vars(reader).items() if k[0] != "_"
        }
        assert isinstance(reader, Reader)
        assert reader[-1] == reader[len(reader) - 1]
        assert reader[::-1] == list(reader)[::-1]
        assert reader.decode_sample(reader.get_sample_data(0)) == reader[0]
        assert pickle.loads(pickle.dumps(reader))[0] == reader[0]
        size = sum(path.stat().st_size for path in tmp_path.iterdir() if path.name.startswith(reader.raw_data.basename))
        assert reader.get_raw_size() == reader.get_max_size() == reader.get_persistent_size(True) == size
        assert reader.get_zip_size() is None
        assert set(reader.raw_data.hashes) == {"sha1"}
    removed = every[0].evict()
    assert removed == every[0].get_raw_size()
    with pytest.raises(FileNotFoundError):
        every[0][0]


def test_a_file_whose_number_of_samples_is_not_known(tmp_path: Path) -> None:
    """Read until there is no more, as who has but the file does."""
    samples = write(tmp_path, "mds")
    path = tmp_path / "shard.00000.mds"
    file = FileInfo(path.name, path.stat().st_size, {})
    reader = MDSReader(str(tmp_path), None, ["int", "str"], ["a", "b"], [8, None], None, [], file, -1, None, None)
    found: list[dict[str, Any]] = []
    with pytest.raises(IndexError, match="No sample"):
        while True:
            found.append(reader.decode_sample(reader.get_sample_data(len(found))))
    assert found == samples[: len(found)]
    assert len(found) > 1


def test_compressed(tmp_path: Path) -> None:
    write(tmp_path / "d" / "train", "mds", compression="zstd")
    (entry, *_) = json.loads((tmp_path / "d" / "train" / "index.json").read_text())["shards"]
    reader = reader_from_json(str(tmp_path / "d"), "train", entry)
    path = tmp_path / "d" / "train" / "shard.00000.mds.zstd"
    assert reader.get_zip_size() == path.stat().st_size
    assert reader.get_max_size() == reader.get_persistent_size(True) == path.stat().st_size + entry["raw_data"]["bytes"]
    assert reader.get_persistent_size(False) == entry["raw_data"]["bytes"]
    assert reader.set_up_local({str(path)}, False) == path.stat().st_size
    assert reader.set_up_local(set(), True) == 0


def test_errors(tmp_path: Path) -> None:
    write(tmp_path, "mds")
    (entry, *_) = json.loads((tmp_path / "index.json").read_text())["shards"]
    with pytest.raises(KeyError, match="zzz"):
        reader_from_json("x", None, {**entry, "format": "zzz"})
    for wrong in ({"version": 3}, {"format": "json"}, {"samples": -1}, {"raw_data": None}):
        with pytest.raises(ValueError, match=r"version|samples|raw_data"):
            MDSReader.from_json("x", None, {**entry, **wrong})
    info = FileInfo("shard.00000.mds", 10, {})
    with pytest.raises(ValueError, match="size_limit"):
        MDSReader("x", None, ["int"], ["a"], [8], None, [], info, 1, -1, None)
    assert MDSReader("x", None, ["int"], ["a"], [8], None, [], info, 1, "1kb", None).size_limit == 1024
    unsafe = MDSReader("x", None, ["pkl"], ["a"], [None], None, [], info, 1, None, None)
    unsafe.validate(True)
    with pytest.raises(ValueError, match="allow_unsafe_types"):
        unsafe.validate(False)


class Ran:
    """Notes that it was unpickled."""

    times = 0

    def __reduce__(self) -> Any:
        return Ran.note, ()

    @classmethod
    def note(cls) -> int:
        cls.times += 1
        return cls.times


def test_asks_before_it_unpickles(tmp_path: Path) -> None:
    with streaming.MDSWriter(columns={"a": "pkl"}, out=str(tmp_path)) as writer:
        writer.write({"a": Ran()})
    (entry,) = json.loads((tmp_path / "index.json").read_text())["shards"]
    reader = reader_from_json(str(tmp_path), None, entry)
    reads: list[Any] = [
        lambda: reader[0],
        lambda: list(reader),
        lambda: reader.decode_sample(reader.get_sample_data(0)),
    ]
    for read in reads:
        with pytest.raises(ValueError, match="unpickled when read.*validate"):
            read()
    assert Ran.times == 0
    reader.validate(True)
    assert reader[0] == {"a": 1}
    (trusted,) = streaming.LocalDataset(str(tmp_path), allow_unsafe_types=True).shards
    assert trusted[0] == {"a": 2}
    dataset = streaming.StreamingDataset(local=str(tmp_path), allow_unsafe_types=True)
    assert dataset.shards[0][0] == {"a": 3}
    assert pickle.loads(pickle.dumps(trusted))[0] == {"a": 4}
