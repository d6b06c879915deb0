"""Datasets to files of other formats: what their own readers find in them, and what comes back from them."""

from __future__ import annotations

import datetime
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import streaming
from streaming import LocalDataset
from streaming.cli.main import main
from streaming.core.errors import ConfigError, EmptyDatasetError
from streaming.storage.providers.local import LocalStore

from budget import repetitions
from copies import Later

datasets = Later("datasets")
pl = Later("polars")

Row = dict[str, Any]
COLUMNS = {
    "i": "int",
    "small": "int16",
    "s": "str?",
    "j": "json",
    "a": "ndarray:float32",
    "m": "ndarray:int16:2,2",
    "image": "jpeg",
    "label": "int",
    "d": "datetime:UTC",
    "y": "bool",
    "b": "bytes",
    "l": "list:str",
}


def picture(i: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (i, 0, 0)).save(file, "JPEG")
    return file.getvalue()


def row(i: int) -> Row:
    return {
        "i": i,
        "small": i % 100,
        "s": None if i % 3 == 0 else f"é {i}",
        "j": {"a": [i, None]},
        "a": np.arange(i % 5 + 1, dtype=np.float32),
        "m": np.full((2, 2), i, np.int16),
        "image": picture(i),
        "label": i % 2,
        "d": datetime.datetime(2026, 1, 1, i % 24, tzinfo=datetime.timezone.utc),
        "y": i % 2 == 0,
        "b": bytes([i]) * i,
        "l": ["x"] * (i % 3),
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    known = {"columns": {"label": {"names": ["cat", "dog"]}}}
    rows = [row(i) for i in range(40)]
    streaming.write(rows, tmp_path / "data", COLUMNS, size_limit="12kb", workers=0, progress_bar=False, metadata=known)
    assert len(list((tmp_path / "data").glob("shard.*"))) > 2
    return tmp_path / "data"


def same(found: Any, wanted: Any) -> None:
    if isinstance(found, Image.Image):
        found = found.fp.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_equal(found, wanted)


def export(data: Path, out: Path, *args: Any, **options: Any) -> Any:
    return streaming.export(data, out, *args, **{"workers": 0, "progress_bar": False, **options})


def back(source: Path, out: Path) -> Any:
    return streaming.convert(source, out, workers=0, progress_bar=False)


def test_parquet(data: Path, tmp_path: Path) -> None:
    report = export(data, tmp_path / "out", workers=2)
    assert (report.samples, report.files) == (40, len(list((tmp_path / "out").iterdir())))
    read = pq.read_table(tmp_path / "out").to_pylist()
    for i, found in enumerate(read):
        wanted = {**row(i), "image": {"bytes": picture(i), "path": None}, "j": json.dumps(row(i)["j"])}
        assert {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in wanted.items()} == found
    frame = pl.read_parquet(tmp_path / "out" / "*.parquet")
    assert frame["s"].to_list() == [row(i)["s"] for i in range(40)]
    # Hugging Face's own reader knows images and classes.
    files = str(tmp_path / "out" / "*.parquet")
    known = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert known.features["label"].names == ["cat", "dog"]
    assert known[7]["image"].size == (4, 4)
    assert known[7]["a"] == row(7)["a"].tolist()
    # And back, with all that the file can say: JSON is text.
    columns = back(tmp_path / "out", tmp_path / "back").columns
    assert columns == {**COLUMNS, "j": "str", "l": "json"}
    for i, found in enumerate(LocalDataset(tmp_path / "back")[:]):
        for name, wanted in {**row(i), "j": json.dumps(row(i)["j"])}.items():
            same(found[name], wanted)
    assert LocalDataset(tmp_path / "back").metadata["columns"]["label"] == {"names": ["cat", "dog"]}


def test_arrays_in_parquet(tmp_path: Path) -> None:
    columns = {"two": "ndarray:int16", "any": "ndarray?", "mask": "ndarray:bool:2,1,2", "some": "list:float32?"}
    rows = [
        {
            "two": np.arange(6 * (i + 1), dtype=np.int16).reshape(2, i + 1, 3),
            "any": None if i % 3 == 0 else np.full((i, 2), i / 2),
            "mask": np.array([[[True, False]], [[i % 2 == 0, True]]]),
            "some": None if i % 4 == 1 else [0.5] * (i % 3),
        }
        for i in range(10)
    ]
    write: Any = {"columns": columns, "workers": 0, "progress_bar": False, "size_limit": 600}
    streaming.write(rows, tmp_path / "data", **write)
    assert export(tmp_path / "data", tmp_path / "out").files > 2
    found = pq.read_table(tmp_path / "out").to_pylist()
    assert found == [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in rows
    ]
    rows[8]["any"] = np.zeros((8, 2), np.float32)
    streaming.write(rows, tmp_path / "mixed", **write)
    with pytest.raises(
        ConfigError, match=r"'any': the value of row \d of part-0000\d is an array of float32 .* has float64"
    ):
        export(tmp_path / "mixed", tmp_path / "refused")


def test_lists_of_files_in_parquet(tmp_path: Path) -> None:
    columns = {"images": "list:image?", "blobs": "list:bytes"}
    rows = [
        {"images": None if i == 2 else [Image.open(io.BytesIO(picture(j))) for j in range(i)], "blobs": [b"x"] * i}
        for i in range(1, 4)
    ]
    write: Any = {"columns": columns, "workers": 0, "progress_bar": False}
    streaming.write(rows, tmp_path / "data", **write)
    export(tmp_path / "data", tmp_path / "out")
    found: Any = datasets.load_dataset(
        "parquet", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path), split="train"
    )
    pixels = [[image.getpixel((0, 0)) for image in row["images"] or ()] for row in found]
    assert pixels == [[image.getpixel((0, 0)) for image in row["images"] or ()] for row in rows]
    assert [row["blobs"] for row in found] == [row["blobs"] for row in rows]
    assert back(tmp_path / "out", tmp_path / "back").columns == columns


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_lines(data: Path, tmp_path: Path, kind: Any) -> None:
    names = ["i", "s", "j", "label", "y", "l", "a"]
    export(data, tmp_path / "out", kind, columns=names)
    back(tmp_path / "out", tmp_path / "back")
    for i, found in enumerate(LocalDataset(tmp_path / "back")[:]):
        assert found == {name: row(i)[name] for name in names if name != "a"} | {"a": row(i)["a"].tolist()}
    if kind == "jsonl":
        assert pl.read_ndjson(tmp_path / "out" / "*.jsonl")["i"].to_list() == list(range(40))


def test_tars(data: Path, tmp_path: Path) -> None:
    export(data, tmp_path / "out", "webdataset", columns=["i", "s", "j", "a", "m", "image", "b"])
    columns = back(tmp_path / "out", tmp_path / "back").columns
    assert columns["image.jpg"] == "jpeg"
    ends = {"i": "cls", "s": "txt", "j": "json", "a": "npy", "m": "npy", "image": "jpg", "b": "bin"}
    for i, found in enumerate(LocalDataset(tmp_path / "back")[:]):
        for name, suffix in ends.items():
            same(found[f"{name}.{suffix}"], row(i)[name])
    # Columns that came from tars go back to what they were.
    export(tmp_path / "back", tmp_path / "again", "webdataset")
    back(tmp_path / "again", tmp_path / "last")
    for one, other in zip(LocalDataset(tmp_path / "back")[:], LocalDataset(tmp_path / "last")[:], strict=True):
        assert one.keys() == other.keys()
        assert one["__key__"] == other["__key__"]
        same(one["a.npy"], other["a.npy"])


def test_folders(data: Path, tmp_path: Path) -> None:
    export(data, tmp_path / "out", "folder", columns=["image", "label", "s"], workers=1)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["cat", "dog", "metadata.jsonl"]
    columns = back(tmp_path / "out", tmp_path / "back").columns
    assert columns == {"image": "jpeg", "label": "int", "path": "str", "s": "str?"}
    found = {(r["image"].fp.getvalue(), r["label"], r["s"]) for r in LocalDataset(tmp_path / "back")[:]}
    assert found == {(picture(i), i % 2, row(i)["s"]) for i in range(40)}
    with pytest.raises(ConfigError, match="there are 0 columns of files"):
        export(data, tmp_path / "none", "folder", columns=["i"])


def test_what_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format must be one of parquet"):
        export(data, tmp_path / "out", "orc")
    with pytest.raises(ConfigError, match="There is no column 'x'"):
        export(data, tmp_path / "out", columns=["x"])
    export(data, tmp_path / "out", columns=["i"])
    with pytest.raises(FileExistsError, match="exist_ok=True"):
        export(data, tmp_path / "out")
    export(data, tmp_path / "out", columns=["i"], exist_ok=True)
    streaming.write([], tmp_path / "empty", {"a": "int"}, workers=0)
    with pytest.raises(EmptyDatasetError, match="There are no samples at"):
        export(tmp_path / "empty", tmp_path / "nothing")


def test_the_commands(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "data", "out", "--columns", "i,s,a", "-j", "1"]) == 0
    assert "40 samples in" in capsys.readouterr().out
    assert main(["convert", "out", "back", "--dry-run", "--columns", "i=int32,s"]) == 0
    said = capsys.readouterr().out
    assert "of parquet" in said
    assert "int32" in said
    assert not (tmp_path / "back").exists()
    assert main(["convert", "out", "back", "--columns", "i=int32,s", "-j", "1", "--json"]) == 0
    assert LocalDataset("back")[7] == {"i": 7, "s": row(7)["s"]}
    capsys.readouterr()
    assert main(["convert", "data", "sorted", "--sort", "label", "--columns", "i,label", "-j", "1"]) == 0
    assert [r["i"] for r in LocalDataset("sorted")[:]] == [*range(0, 40, 2), *range(1, 40, 2)]
    assert main(["export", "data", "out", "-j", "1"]) == 2
    assert "--force" in capsys.readouterr().err


def files(directory: Path) -> dict[str, bytes]:
    """What a store lists there."""
    return {info.path: (directory / info.path).read_bytes() for info in LocalStore(str(directory)).list()}


@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz", "webdataset", "folder"])
def test_what_was_stopped_continues(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    names = ["image", "label", "s", "i"]
    export(data, tmp_path / "whole", kind, columns=names, workers=1)
    put = LocalStore.put
    calls: list[str] = []

    def failing(self: LocalStore, path: str, source: str | bytes) -> None:
        calls.append(path)
        if len(calls) > 20 if kind == "folder" else len(calls) > 4:
            raise OSError("stopped")
        put(self, path, source)

    monkeypatch.setattr(LocalStore, "put", failing)
    with pytest.raises(OSError, match="stopped"):
        export(data, tmp_path / "out", kind, columns=names)
    monkeypatch.setattr(LocalStore, "put", put)
    done = [path for path in files(tmp_path / "out") if path.startswith("_unfinished-0")]
    assert done
    with pytest.raises(FileExistsError):  # another export does not go on with it
        export(data, tmp_path / "out", kind, columns=names[:2])
    written = {
        path: (tmp_path / "out" / path).stat().st_mtime_ns
        for path in files(tmp_path / "whole")
        if path.startswith("part-00000") and (tmp_path / "out" / path).exists()
    }
    report = export(data, tmp_path / "out", kind, columns=names)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    sizes = [len(data) for path, data in files(tmp_path / "out").items() if path != "metadata.jsonl"]
    assert (report.samples, report.files, report.bytes) == (40, len(sizes), sum(sizes))
    assert all((tmp_path / "out" / path).stat().st_mtime_ns == time for path, time in written.items())


PROGRAM = """
import sys, streaming
streaming.export(sys.argv[1], sys.argv[2], "webdataset", workers=2, progress_bar=False)
"""


def test_killed_and_begun_again(tmp_path: Path) -> None:
    rows = [{"i": i, "image": picture(i % 200) * 5} for i in range(2000)]
    columns = {"i": "int", "image": "bytes"}
    streaming.write(rows, tmp_path / "data", columns, size_limit="40kb", workers=0, progress_bar=False)
    export(tmp_path / "data", tmp_path / "whole", "webdataset")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "data"), str(tmp_path / "out")]
    rng = random.Random(3)
    for _ in range(repetitions("STREAMING_TEST_KILLS", 2, 20)):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        there = len(list((tmp_path / "out").glob("*.tar")))
        goal, deadline = there + rng.randint(1, 12), time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((tmp_path / "out").glob("*.tar"))) >= goal:
                break
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if (tmp_path / "out" / "_unfinished-export").exists():
            continue
        assert files(tmp_path / "out") == files(tmp_path / "whole")
        shutil.rmtree(tmp_path / "out")
    subprocess.run(command, check=True, timeout=120)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
