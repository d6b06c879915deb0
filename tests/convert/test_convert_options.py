"""What a conversion can be told: columns, functions, an order; MDS made anew; what is known of columns; what is damaged."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streaming
from streaming import LocalDataset
from streaming.converting.convert import preview
from streaming.core.errors import ConfigError, InputError, SourceError

Row = dict[str, Any]


def convert(source: Any, out: Path, **options: Any) -> Any:
    return streaming.convert(source, out, **{"workers": 0, "progress_bar": False, **options})


def digest(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(directory.iterdir()) if p.is_file()}


def table(count: int) -> Any:
    return pa.table(
        {
            "id": range(count),
            "text": [f"text {i}" * (i % 4) for i in range(count)],
            "maybe": [None if i % 5 == 0 else i / 2 for i in range(count)],
            "vector": [[float(i)] * (i % 3 + 1) for i in range(count)],
        }
    )


def test_the_same_bytes_as_rows_that_are_written(tmp_path: Path) -> None:
    pq.write_table(table(500), tmp_path / "x.parquet", row_group_size=70)
    options: Any = {"compression": "zstd", "hashes": ["xxh64"], "size_limit": "4kb"}
    report = convert(tmp_path / "x.parquet", tmp_path / "a", **options)
    rows = [{**row, "vector": np.array(row["vector"])} for row in table(500).to_pylist()]
    streaming.write(rows, tmp_path / "b", report.columns, workers=0, progress_bar=False, **options)
    convert(tmp_path / "x.parquet", tmp_path / "c", fn=dict, workers=2, **options)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") == digest(tmp_path / "c")
    # Cut and compressed anew, and back.
    convert(tmp_path / "a", tmp_path / "d", size_limit=None)
    convert(tmp_path / "d", tmp_path / "e", workers=1, **options)
    assert digest(tmp_path / "a") == digest(tmp_path / "e")


def test_columns_are_chosen_and_given_encodings(tmp_path: Path) -> None:
    pq.write_table(table(20), tmp_path / "x.parquet")
    found = convert(tmp_path / "x.parquet", tmp_path / "b", columns={"id": "int32", "maybe": None})
    assert found.columns == {"id": "int32", "maybe": "float64?"}
    for given in (["idd"], {"idd": "int"}):
        with pytest.raises(ConfigError, match="no column 'idd'; it has id"):
            convert(tmp_path / "x.parquet", tmp_path / "d", columns=given)


def test_a_function_changes_types(tmp_path: Path) -> None:
    """What it leaves as it is keeps its encoding; what it changes gets that of its values."""
    pq.write_table(table(9), tmp_path / "x.parquet")
    report = convert(tmp_path / "x.parquet", tmp_path / "b", fn=lambda row: {**row, "id": str(row["id"])})
    assert report.columns == {"id": "str", "maybe": "float64?", "text": "str", "vector": "ndarray:float64"}


def test_a_dataset_is_sorted(tmp_path: Path) -> None:
    rows = [{"key": f"{i * 37 % 100:03}", "n": i} for i in range(300)]
    streaming.write(rows, tmp_path / "a", size_limit="1kb", compression="zstd", workers=0, progress_bar=False)
    convert(tmp_path / "a", tmp_path / "b", sort="key", workers=1)
    assert LocalDataset(tmp_path / "b")[:] == sorted(rows, key=lambda row: row["key"])
    convert(tmp_path / "b", tmp_path / "c", sort="n", fn=lambda row: {"n": row["n"]})
    assert [row["n"] for row in LocalDataset(tmp_path / "c")[:]] == list(range(300))
    with pytest.raises(ConfigError, match="no column 'x' to sort by"):
        convert(tmp_path / "a", tmp_path / "d", sort="x")
    streaming.write([{"f": 2.0}, {"f": float("nan")}, {"f": 1.0}], tmp_path / "e", workers=0, progress_bar=False)
    with pytest.raises(ConfigError, match="'f' have no order: NaN"):
        convert(tmp_path / "e", tmp_path / "f", sort="f")
    (tmp_path / "x.jsonl").write_text('{"a": 1}')
    with pytest.raises(ConfigError, match="cannot be sorted"):
        convert(tmp_path / "x.jsonl", tmp_path / "d", sort="a")


def test_what_is_known_of_columns_goes_along(tmp_path: Path) -> None:
    known = {"license": "MIT", "columns": {"label": {"names": ["a", "b"]}, "n": {"unit": "m"}}}
    streaming.write([{"label": 1, "n": 2}], tmp_path / "a", workers=0, progress_bar=False, metadata=known)
    convert(tmp_path / "a", tmp_path / "b", compression="zstd", metadata={"columns": {"n": {"by": "hand"}}})
    assert LocalDataset(tmp_path / "b").metadata == {
        "license": "MIT",
        "columns": {"label": {"names": ["a", "b"]}, "n": {"unit": "m", "by": "hand"}},
    }
    convert(tmp_path / "b", tmp_path / "c", columns=["label"])
    assert LocalDataset(tmp_path / "c").metadata["columns"] == {"label": {"names": ["a", "b"]}}


def test_only_the_row_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    pq.write_table(table(100), tmp_path / "x.parquet")
    report = convert(tmp_path / "x.parquet", tmp_path / "a", columns={"id": "int8", "text": None}, on_error="skip")
    assert report.samples == 100
    big = pa.table({"id": [1, 2, 300, 4]})
    pq.write_table(big, tmp_path / "y.parquet")
    report = convert(tmp_path / "y.parquet", tmp_path / "b", columns={"id": "int8"}, on_error="skip")
    assert (report.samples, len(report.skipped)) == (3, 1)


def slowly(row: Row) -> list[Row]:
    time.sleep(0.005)
    return [row, row]


def test_size_and_time_are_told_beforehand(tmp_path: Path) -> None:
    pq.write_table(table(2000), tmp_path / "x.parquet", row_group_size=100)
    found = preview(tmp_path / "x.parquet")
    report = convert(tmp_path / "x.parquet", tmp_path / "a")
    assert (found.format, found.samples, found.is_exact) == ("parquet", 2000, True)
    assert found.raw_bytes is not None
    assert 0.8 < found.raw_bytes / report.raw_bytes < 1.2
    # Of a little that was read: twice the rows, of ten seconds.
    found = preview(tmp_path / "x.parquet", fn=slowly)
    assert found.samples is not None
    assert found.seconds is not None
    assert not found.is_exact
    assert 3900 < found.samples < 4100
    assert 9 < found.seconds < 60
    lines = "".join(json.dumps({"i": i, "text": "x" * 500}) + "\n" for i in range(4000))
    (tmp_path / "x.jsonl").write_text(lines)
    found = preview(tmp_path / "x.jsonl", fn=slowly)
    assert found.samples is not None
    assert 3000 < found.samples < 10_000  # 8,000: files that do not say how many rows they have are read ahead


def test_tars_that_are_damaged(tmp_path: Path) -> None:
    def tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
        with tarfile.open(path, "w") as archive:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    twice = tar(tmp_path / "twice.tar", [("a.cls", b"1"), ("b.cls", b"2"), ("b.cls", b"3")])
    with pytest.raises(SourceError, match=r"twice\.tar, b\.cls: 'b' has two members 'cls'"):
        convert(twice, tmp_path / "a")
    apart = tar(tmp_path / "apart.tar", [("a.txt", b"1"), ("b.txt", b"2"), ("a.cls", b"3"), ("b.cls", b"4")])
    with pytest.raises(SourceError, match=r"apart\.tar: the members of 'a' lie apart: txt here, cls there.*tar --sort"):
        convert(apart, tmp_path / "d")
    odd = tar(tmp_path / "odd.tar", [("a.cls", b"1"), ("b.cls", b"one"), ("c.cls", b"3")])
    with pytest.raises(SourceError, match=r"odd\.tar, b\.cls, column 'cls': invalid literal"):
        convert(odd, tmp_path / "b")
    whole = tar(tmp_path / "whole.tar", [("a.txt", b"x" * 600), ("b.txt", b"y" * 600)]).read_bytes()
    for cut in (1800, 1100):  # within what a member holds, and within a header
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        with pytest.raises(SourceError, match=r"cut\.tar cannot be read as a tar"):
            convert(tmp_path / "cut.tar", tmp_path / "c")


def late(row: Row) -> Row:
    return {"x": 1 // (row["id"] - 7)}


@pytest.mark.parametrize("workers", [0, 1])
def test_where_a_function_failed(tmp_path: Path, workers: int) -> None:
    for name in ("a", "b"):
        pq.write_table(table(10 if name == "b" else 5), tmp_path / f"{name}.parquet")
    line = late.__code__.co_firstlineno + 1
    where = (
        rf"b\.parquet, row 7: .*'id': 7.*: fn \(late\) failed: ZeroDivisionError: .*\(.*options\.py:{line}, in late\)"
    )
    with pytest.raises(InputError, match=where) as caught:
        convert(tmp_path / "*.parquet", tmp_path / "out", fn=late, workers=workers)
    assert isinstance(caught.value.__cause__, ZeroDivisionError) or "in late" in str(caught.value.__cause__)
    report = convert(tmp_path / "*.parquet", tmp_path / "out", fn=late, workers=workers, on_error="skip")
    assert report.samples == 14
    assert [skip.item for skip in report.skipped] == ["b.parquet"]
