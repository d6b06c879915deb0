"""Datasets that the original wrote: we write the same bytes and read the same values."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from format_support import GOLDENS, read_dataset, unzip, write_dataset

from format_cases import CASES, VALUES_ONLY, describe  # isort: skip

from streaming.format.index import Index
from streaming.format.shard import open_shard

READABLE = [name for name in CASES if name != "nothing"]


def entries_without_zips(directory: Path) -> list[dict]:
    entries = json.loads((directory / "index.json").read_bytes())["shards"]
    return [{key: entry[key] for key in entry if not key.startswith("zip_")} for entry in entries]


@pytest.mark.parametrize("name", [name for name in CASES if name not in VALUES_ONLY])
def test_writes_the_same_bytes(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    if "pkl" in case["columns"] and pickle.DEFAULT_PROTOCOL != 4:
        pytest.skip("the golden was written by pickle protocol 4")
    write_dataset(tmp_path / "ours", case["format"], case["columns"], case["make"](), **case["options"])
    golden = GOLDENS / name
    names = sorted(path.name for path in golden.iterdir())
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == names
    # The one holds the time of writing; the other is compressed otherwise before python-snappy 0.7.
    if name.startswith("zip_gz") or (name == "zip_snappy" and find_spec("cramjam") is None):
        assert entries_without_zips(tmp_path / "ours") == entries_without_zips(golden)
        for source in (tmp_path / "ours", golden):
            index = Index.parse((source / "index.json").read_bytes(), name)
            unzip(index, source, tmp_path / f"raw_{source.name}")
        for path in (tmp_path / "raw_ours").iterdir():
            assert path.read_bytes() == (tmp_path / f"raw_{name}" / path.name).read_bytes()
        return
    for basename in names:
        assert (tmp_path / "ours" / basename).read_bytes() == (golden / basename).read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_reads_the_same_values(name: str, tmp_path: Path) -> None:
    values = json.loads((GOLDENS / f"{name}.values.json").read_bytes())
    samples = read_dataset(GOLDENS / name, tmp_path)
    # Through JSON, as the original's values went: it has lists for tuples.
    assert [json.loads(json.dumps(describe(sample))) for sample in samples] == values


@pytest.mark.parametrize("name", READABLE)
def test_many_at_once_are_the_same_as_one_by_one(name: str, tmp_path: Path) -> None:
    index = Index.parse((GOLDENS / name / "index.json").read_bytes(), name)
    unzip(index, GOLDENS / name, tmp_path)
    for shard_id in range(len(index)):
        shard = open_shard(index.shard(shard_id), str(tmp_path))
        ids = [*reversed(range(len(shard))), *range(len(shard))]
        together = shard.get_many(ids)
        assert list(map(describe, together)) == [describe(shard.get(i)) for i in ids]
        shard.close()


READER = """
import json, sys
sys.path.append(sys.argv[1])
from pathlib import Path
from generate import read
print(json.dumps(read(Path(sys.argv[2]), Path(sys.argv[3]))))
"""


@pytest.mark.parametrize("name", READABLE)
def test_the_original_reads_what_we_write(name: str, tmp_path: Path) -> None:
    python = os.environ.get("STREAMING_ORIGINAL_PYTHON")
    if not python:
        pytest.skip("set STREAMING_ORIGINAL_PYTHON to a Python that has mosaicml-streaming 0.13.0 to run")
    case = CASES[name]
    write_dataset(tmp_path / "ours", case["format"], case["columns"], case["make"](), **case["options"])
    arguments = [str(GOLDENS), str(tmp_path / "ours"), str(tmp_path / "scratch")]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)  # that would hide the original behind ours
    output = subprocess.run(
        [python, "-W", "ignore", "-c", READER, *arguments],
        stdout=subprocess.PIPE,
        env=environment,
        timeout=100,
        check=True,
    ).stdout
    values = json.loads((GOLDENS / f"{name}.values.json").read_bytes())
    if name in VALUES_ONLY:
        assert len(json.loads(output)) == len(values)
    assert json.loads(output) == values
