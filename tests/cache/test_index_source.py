"""A large index is parsed once, and mapped by those who come later."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from torch.utils.data import DataLoader

from streaming import CSVWriter, JSONWriter, LocalDataset, MDSWriter, StreamingDataset
from streaming.cache import index_source
from streaming.cache.index_source import PARSED_NAME
from streaming.format.index import Index

from programs import run_code
from sample_data import sample

Make = Callable[..., str]


@pytest.fixture(autouse=True)
def _always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_source, "_WORTH_KEEPING", 1)


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    real = Index.parse

    def parse(data: bytes, source: str) -> Index:
        found.append(source)
        return real(data, source)

    monkeypatch.setattr(Index, "parse", parse)
    return found


@pytest.mark.parametrize("is_remote", [False, True])
def test_parsed_once(make_dataset: Make, tmp_path: Path, parses: list[str], is_remote: bool) -> None:
    remote = make_dataset(50, size_limit=1000)
    arguments = {"remote": remote, "local": str(tmp_path / "cache")} if is_remote else {"local": remote}
    for _ in range(3):
        assert StreamingDataset(**arguments)[:] == [sample(i) for i in range(50)]
    assert len(parses) == 1


@pytest.mark.parametrize("is_remote", [False, True])
def test_another_version_is_noticed(make_dataset: Make, tmp_path: Path, is_remote: bool) -> None:
    remote = make_dataset(50, size_limit=1000)
    arguments = {"remote": remote, "local": str(tmp_path / "cache")} if is_remote else {"local": remote}
    assert len(StreamingDataset(**arguments)) == 50
    path = Path(remote) / "index.json"
    index = json.loads(path.read_text())
    index["shards"] = index["shards"][:-1]
    time.sleep(0.01)
    path.write_text(json.dumps(index))
    left = sum(shard["samples"] for shard in index["shards"])
    assert len(StreamingDataset(**arguments)) == left < 50
    assert len(StreamingDataset(**arguments)) == left


@pytest.mark.parametrize("damage", [b"", b"garbage" * 100])
def test_what_is_damaged_is_made_anew(make_dataset: Make, parses: list[str], damage: bytes) -> None:
    local = make_dataset(50, size_limit=1000)
    StreamingDataset(local=local)
    (Path(local) / PARSED_NAME).write_bytes(damage)
    for _ in range(2):
        assert len(StreamingDataset(local=local)) == 50
    assert len(parses) == 2


def test_goes_by_name_to_other_processes(make_dataset: Make, tmp_path: Path) -> None:
    dataset = StreamingDataset(local=make_dataset(50, size_limit=1000), batch_size=5)
    assert dataset[3] == sample(3)
    again: Any = pickle.loads(pickle.dumps(dataset))
    assert again[3] == sample(3)
    loader = DataLoader(dataset, batch_size=5, num_workers=1, multiprocessing_context="forkserver")
    assert sorted(i for batch in loader for i in batch["id"].tolist()) == list(range(50))


def test_what_was_parsed_may_be_removed_on_the_way_to_another_process(make_dataset: Make, tmp_path: Path) -> None:
    local = Path(make_dataset(50, size_limit=1000))
    sent = pickle.dumps(StreamingDataset(local=str(local), batch_size=5))
    (local / index_source.PARSED_NAME).unlink()
    again: Any = pickle.loads(sent)
    assert again[3] == sample(3)
    (local / index_source.PARSED_NAME).unlink(missing_ok=True)
    make_dataset(40, "other", size_limit=1000)
    (tmp_path / "other" / "index.json").replace(local / "index.json")
    with pytest.raises(ValueError, match="were removed or replaced"):
        pickle.loads(sent)


@pytest.mark.parametrize("writer", [MDSWriter, JSONWriter, CSVWriter])
def test_samples_that_the_index_does_not_count(tmp_path: Path, writer: Any, caplog: pytest.LogCaptureFixture) -> None:
    with writer(columns={"id": "int"}, out=str(tmp_path), size_limit=200) as out:
        for i in range(99):
            out.write({"id": i})
    path = tmp_path / "index.json"
    index = json.loads(path.read_text())
    index["shards"][1]["samples"] = 0
    path.write_text(json.dumps(index))
    assert 0 < len(LocalDataset(tmp_path)) < 99
    assert "that shard 1 (shard.00001" in caplog.text


def test_a_shard_without_samples_that_the_original_has_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copytree(Path(__file__).parents[1] / "goldens/format/empty_first", tmp_path / "data")
    index = json.loads((tmp_path / "data/index.json").read_text())
    assert index["shards"][0]["samples"] == 0
    assert len(StreamingDataset(local=str(tmp_path / "data"))) == 4
    assert not caplog.text


READ_ONLY = """
import os, sys
import torch
from streaming.cache import index_source
index_source._WORTH_KEEPING = 1
from streaming import StreamingDataset
len(StreamingDataset(local=sys.argv[1]))  # imports what is imported late
os.unlink(os.path.join(sys.argv[1], index_source.PARSED_NAME))
os.setuid(65534)
for _ in range(2):
    assert len(StreamingDataset(local=sys.argv[1])) == 50
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to become somebody who may not write")
def test_a_directory_that_cannot_be_written(make_dataset: Make, tmp_path: Path) -> None:
    local = make_dataset(50, size_limit=1000)
    for folder in [Path(local), *Path(local).parents]:
        if folder == Path("/tmp"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    before = sorted(os.listdir(local))
    status, _, said = run_code(READ_ONLY, local)
    assert status == 0, said
    assert sorted(os.listdir(local)) == before
