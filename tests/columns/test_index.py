"""Side columns of a dataset that is there: equal to what is read, by any number of processes, killed and continued."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streaming
from streaming import CSVWriter, JSONWriter, LocalDataset
from streaming.cli.main import main
from streaming.columns.opening import open_columns
from streaming.core.errors import ChecksumError, ConfigError, EmptyDatasetError, ObjectNotFoundError, ShardFormatError
from streaming.storage.registry import open_store
from streaming.writing.side import index as making

from columns_support import COLUMNS, index_of, sample, write
from servers import S3Server

COUNT = 1500
EVERY = (
    "age,sex,score,ok,half,text,big,price,image,n_tokens=len(tokens),len(items),len(image),len(text),len(sex),len(fixed),"
    "stored=len(pickle)"
)


def expected(i: int) -> dict[str, Any]:
    row = sample(i)
    return {
        **{name: row[name] for name in ("age", "sex", "score", "ok", "text", "big", "image")},
        "half": float(row["half"]),
        "price": str(row["price"]),
        "n_tokens": len(row["tokens"]),
        "len_items": len(row["items"]),
        "len_image": len(row["image"]),
        "len_text": None if row["text"] is None else len(row["text"]),
        "len_sex": 1,
        "len_fixed": 3,
        "stored": 5,
    }


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = str(tmp_path / "data")
    write(path, COUNT, hashes=["xxh64"])
    return path


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_PART_SAMPLES", 200)


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize(("workers", "compression"), [(0, None), (2, "zstd")])
def test_every_type_is_what_is_read(tmp_path: Path, workers: int, compression: str | None) -> None:
    path = str(tmp_path / "data")
    write(path, COUNT, compression=compression, hashes=["xxh64"])
    before = set(os.listdir(path))
    report = streaming.index_columns(path, EVERY, beside=True, workers=workers, progress_bar=False)
    assert (report.samples, report.resumed_samples, report.columns["n_tokens"]) == (COUNT, 0, "len(tokens)")
    assert set(os.listdir(path)) - before == {"columns.parquet"}
    table = pq.read_table(f"{path}/columns.parquet")
    assert table.to_pylist() == [expected(i) for i in range(COUNT)]
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    text, whole = {"sex", "text", "price"}, {"big", "n_tokens", "stored"}
    assert {name for name, kind in types.items() if kind == "string"} == text
    assert {name for name, kind in types.items() if kind == "int64"} == whole | {n for n in types if n[:4] == "len_"}
    assert [types[name] for name in ("age", "score", "ok", "half", "image")] == [
        "int32",
        "double",
        "bool",
        "float",
        "binary",
    ]
    index = index_of(path)
    columns = open_columns(f"{path}/columns.parquet", "", index.digest, index.num_samples)
    dataset = LocalDataset(path, allow_unsafe_types=True)
    kept = [i for i in range(COUNT) if (dataset[i]["age"] or 0) > 60 and len(dataset[i]["tokens"]) < 100]
    assert columns.where("age > 60 AND n_tokens < 100").nonzero()[0].tolist() == kept


@pytest.mark.parametrize("writer", [JSONWriter, CSVWriter])
def test_other_formats(tmp_path: Path, writer: Any) -> None:
    path = str(tmp_path / "data")
    encodings = {"text": "str", "age": "int?" if writer is JSONWriter else "int", "score": "float"}
    rows = [{"text": "é" * (i % 5), "age": i, "score": i / 2} for i in range(300)]
    if writer is JSONWriter:
        rows[7]["age"] = None
    with writer(columns=encodings, out=path, size_limit="2kb") as out:
        for row in rows:
            out.write(row)
    streaming.index_columns(path, "age,score,len(text)", beside=True, workers=0, progress_bar=False)
    found = pq.read_table(f"{path}/columns.parquet").to_pylist()
    assert found == [{"age": r["age"], "score": r["score"], "len_text": len(str(r["text"]))} for r in rows]


def test_a_dataset_without_samples(tmp_path: Path) -> None:
    write(str(tmp_path / "data"), 0)
    with pytest.raises(EmptyDatasetError, match="no samples"):
        streaming.index_columns(tmp_path / "data", ["age"], out=tmp_path / "o", workers=0)
    assert not (tmp_path / "o").exists()


def test_nothing_is_written_where_nobody_said(data: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"--out PLACE .*--beside .*Nothing is written"):
        streaming.index_columns(data, "age", workers=0)
    with pytest.raises(ConfigError, match="not both"):
        streaming.index_columns(data, "age", out=tmp_path / "o", beside=True, workers=0)
    assert sorted(tmp_path.rglob("*")) == before
    streaming.index_columns(data, "age", out=tmp_path / "o", workers=0, progress_bar=False)
    streaming.index_columns(f"{data}/index.json", "age", out=tmp_path / "p" / "ages.parquet", workers=0)
    assert {str(p.relative_to(tmp_path)) for p in set(tmp_path.rglob("*")) - set(before)} == {
        "o",
        "o/columns.parquet",
        "p",
        "p/ages.parquet",
    }


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ("agee", "no column 'agee'; it has 'age', .*Did you mean 'age'"),
        ("len(nothing)", "no column 'nothing'"),
        ("tokens", r"'ndarray:uint16'.*len\(tokens\)"),
        ("pickle", r"'pkl'.*len\(pickle\)"),
        ("price,len(price)", "numbers have no length"),
        ("len(score)", "numbers have no length"),
        ("len(n", "such as"),
        ("age+1", "no column"),
        ("", "such as"),
        ([], "No side columns"),
        ([3], "such as"),
        ("age,AGE=n", "have the name 'AGE'"),
        ("file_row_number=n", "DuckDB adds itself"),
    ],
)
def test_what_cannot_be_a_side_column_is_told(data: str, columns: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){text}"):
        streaming.index_columns(data, columns, beside=True, workers=0)
    assert "columns.parquet" not in os.listdir(data)


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFoundError, match="no dataset at"):
        streaming.index_columns(tmp_path, "age", out=tmp_path / "o", workers=0)


def test_files_of_others_are_not_replaced_and_ours_are(data: str) -> None:
    path = f"{data}/columns.parquet"
    pq.write_table(pa.table({"mine": [1]}), path)
    with pytest.raises(FileExistsError, match="was not written by this package"):
        streaming.index_columns(data, "age", beside=True, workers=0)
    assert pq.read_table(path).column_names == ["mine"]
    os.unlink(path)
    for columns in ("age", "age,sex"):
        streaming.index_columns(data, columns, beside=True, workers=0, progress_bar=False)
        assert ",".join(pq.read_table(path).column_names) == columns


def test_damage_is_told(data: str) -> None:
    shard = sorted(Path(data).glob("shard.*"))[2]
    damaged = bytearray(shard.read_bytes())
    damaged[-30] ^= 255
    shard.write_bytes(damaged)
    with pytest.raises((ChecksumError, ShardFormatError), match=shard.name):
        streaming.index_columns(data, "age", beside=True, workers=0, progress_bar=False)
    assert "columns.parquet" not in os.listdir(data)


@pytest.mark.parametrize("place", range(40))
def test_foreign_bytes_are_refused_or_read(tmp_path: Path, place: int) -> None:
    """A shard without hashes may hold anything: it is an error of ours, or rows."""
    path = str(tmp_path / "data")
    write(path, 20, columns=("age", "sex", "text", "tokens", "items"), size_limit=None)
    (shard,) = Path(path).glob("shard.*")
    changed = bytearray(shard.read_bytes())
    begin = len(changed) - 1500
    changed[begin + 37 * place : begin + 37 * place + 5] = b"\xff\x00\xff\xff\xfe"
    shard.write_bytes(changed)
    with suppress(ShardFormatError):
        report = streaming.index_columns(path, "age,sex,len(text),len(tokens),len(items)", beside=True, workers=0)
        assert report.samples == pq.read_table(f"{path}/columns.parquet").num_rows == 20


def test_between_stores(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    write(f"{bucket}/data", COUNT, compression="zstd", hashes=["xxh64"])
    report = streaming.index_columns(f"{bucket}/data", "age,len(tokens)", out=f"{bucket}/index", workers=1)
    assert report.out == f"{bucket}/index/columns.parquet"
    assert [info.path for info in open_store(bucket).list("index")] == ["index/columns.parquet"]
    write(str(tmp_path / "same"), COUNT, compression="zstd", hashes=["xxh64"])
    columns = open_columns(report.out, str(tmp_path / "cache"), index_of(tmp_path / "same").digest, COUNT)
    assert columns.values("age").to_pylist() == [sample(i)["age"] for i in range(COUNT)]
    assert columns.values("len_tokens").to_pylist() == [len(sample(i)["tokens"]) for i in range(COUNT)]


PROGRAM = """
import sys, time
from streaming.writing.side import index as making
making._PART_SAMPLES = 200
plain = making.read_shard
def slow(*args):
    time.sleep(0.15)
    return plain(*args)
making.read_shard = slow
making.index_columns(sys.argv[1], "age,len(tokens)", out=sys.argv[2], workers=2, progress_bar=False)
"""


def _parts(out: Path) -> list[Path]:
    return sorted(out.glob(".streaming-columns-*/part.*.parquet"))


@pytest.mark.usefixtures("_small_parts")
def test_killed_and_continued(data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, data, str(out)], start_new_session=True)
    deadline = time.monotonic() + 120
    while len(_parts(out)) < 2:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _wait_for_end_of_group(process.pid)
    kept = {path: path.stat().st_ino for path in _parts(out)}
    assert kept
    assert not (out / "columns.parquet").exists()
    # A part that a crash of the machine left half written is made again.
    torn = next(iter(kept))
    torn.write_bytes(torn.read_bytes()[:-20])
    report = streaming.index_columns(data, "age,len(tokens)", out=out, workers=1, progress_bar=False)
    rows = sum(200 for _ in kept)
    assert 0 < report.resumed_samples < COUNT
    assert report.resumed_samples >= rows - 200 or len(kept) == 1
    assert os.listdir(out) == ["columns.parquet"]
    found = pq.read_table(out / "columns.parquet")
    assert found["age"].to_pylist() == [sample(i)["age"] for i in range(COUNT)]
    assert found["len_tokens"].to_pylist() == [len(sample(i)["tokens"]) for i in range(COUNT)]


def _wait_for_end_of_group(group: int) -> None:
    """Workers end when their parent does; until then they might finish a part."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("workers outlive their parent")


@pytest.mark.usefixtures("_small_parts")
def test_another_version_of_the_dataset_begins_anew(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"

    def fail(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(making, "_put", fail)
    with pytest.raises(OSError, match="no room"):
        streaming.index_columns(data, "age", out=out, workers=0, progress_bar=False)
    monkeypatch.undo()
    shutil.rmtree(data)
    write(data, 400)
    report = streaming.index_columns(data, "age", out=out, workers=0, progress_bar=False)
    assert (report.samples, report.resumed_samples) == (400, 0)


def test_the_command(data: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run: Callable[..., int] = lambda *args: main(["index", *map(str, args)])  # noqa: E731
    assert run(data, "--columns", "age") == 2
    assert "--out PLACE" in capsys.readouterr().err
    assert run(data, "--columns", "agee", "--beside") == 2
    assert "Did you mean 'age'" in capsys.readouterr().err
    assert run(data, "--columns", "age,n=len(tokens)", "--out", tmp_path / "o", "-j", 1, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["samples"], facts["columns"]) == (COUNT, {"age": "age", "n": "len(tokens)"})
    assert run(data, "--columns", "sex", "--beside", "-j", 1) == 0
    assert f"{data}/columns.parquet: {COUNT:,} rows of sex" in capsys.readouterr().out
    assert main(["info", data]) == 0
    assert "side columns  sex" in capsys.readouterr().out
    write(data, 10, begin=COUNT, append=True)
    assert main(["info", data]) == 0
    assert "another version" in capsys.readouterr().out


def test_columns_is_what_the_support_writes() -> None:
    assert set(COLUMNS) == set(sample(0))
