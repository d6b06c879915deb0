"""Side columns that are written with the samples: the same as those made afterwards, and of the very version."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streaming
from streaming import CSVWriter, JSONWriter, MDSWriter
from streaming.columns.opening import open_columns
from streaming.core.errors import ConfigError, UploadError
from streaming.storage.registry import open_store
from streaming.writing.publish.base import Base

from columns_support import index_of, sample, write
from servers import S3Server

SIDE = ["age", "sex", "half", "price", "n_tokens=len(tokens)", "len(image)", "len(pickle)"]


def check(directory: str, count: int) -> None:
    index = index_of(directory)
    columns = open_columns(f"{directory}/columns.parquet", "", index.digest, count)
    assert columns.values("age").to_pylist() == [sample(i)["age"] for i in range(count)]
    assert columns.values("n_tokens").to_pylist() == [len(sample(i)["tokens"]) for i in range(count)]


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_the_same_as_made_afterwards(tmp_path: Path, compression: str | None) -> None:
    path = str(tmp_path / "data")
    write(path, 1000, compression=compression, side_columns=SIDE)
    check(path, 1000)
    streaming.index_columns(path, SIDE, out=tmp_path / "o", workers=0, progress_bar=False)
    assert pq.read_table(f"{path}/columns.parquet").equals(pq.read_table(tmp_path / "o" / "columns.parquet"))


@pytest.mark.parametrize("writer", [JSONWriter, CSVWriter])
def test_other_formats(tmp_path: Path, writer: Any) -> None:
    path = str(tmp_path / "data")
    with writer(columns={"text": "str", "age": "int"}, out=path, size_limit="1kb", side_columns="age,len(text)") as out:
        for i in range(300):
            out.write({"text": "é" * (i % 4), "age": i})
    found = pq.read_table(f"{path}/columns.parquet")
    assert found.to_pylist() == [{"age": i, "len_text": i % 4} for i in range(300)]


def test_the_files_of_the_dataset_are_the_same(tmp_path: Path) -> None:
    write(str(tmp_path / "plain"), 300)
    write(str(tmp_path / "side"), 300, side_columns=SIDE)
    plain = {p.name: p.read_bytes() for p in (tmp_path / "plain").iterdir()}
    side = {p.name: p.read_bytes() for p in (tmp_path / "side").iterdir()}
    assert side.pop("columns.parquet")
    assert plain == side


def test_append_extends_them(tmp_path: Path) -> None:
    path = str(tmp_path / "data")
    for begin in (0, 300, 600):
        write(path, 300, begin, append=True, side_columns=SIDE)
        check(path, begin + 300)


def test_append_refuses_what_is_not_of_this_version(tmp_path: Path) -> None:
    path = str(tmp_path / "data")
    write(path, 100)
    with pytest.raises(ConfigError, match="no columns.parquet at .* to append to"):
        write(path, 100, 100, append=True, side_columns=SIDE)
    streaming.index_columns(path, SIDE, beside=True, workers=0, progress_bar=False)
    with pytest.raises(ConfigError, match="has the side columns .* Give the same"):
        write(path, 100, 100, append=True, side_columns=["age"])
    write(path, 100, 100, append=True)
    with pytest.raises(ConfigError, match="another version of the dataset"):
        write(path, 100, 200, append=True, side_columns=SIDE)
    index = index_of(path)
    with pytest.raises(ConfigError, match="another version of the dataset"):
        open_columns(f"{path}/columns.parquet", "", index.digest, index.num_samples)
    streaming.index_columns(path, SIDE, beside=True, workers=0, progress_bar=False)
    write(path, 100, 200, append=True, side_columns=SIDE)
    check(path, 300)


def test_to_a_store_and_appended(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    for begin in (0, 200):
        write((str(tmp_path / "local"), f"{bucket}/data"), 200, begin, append=True, side_columns=SIDE)
        assert not (tmp_path / "local").exists() or not os.listdir(tmp_path / "local")
    open_store(f"{bucket}/data").download("index.json", str(tmp_path / "index.json"))
    columns = open_columns(f"{bucket}/data/columns.parquet", str(tmp_path), index_of(tmp_path).digest, 400)
    assert columns.values("n_tokens").to_pylist() == [len(sample(i)["tokens"]) for i in range(400)]


def test_a_writer_that_ends_between_the_two_files_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "data")
    write(path, 100, side_columns=SIDE)
    plain = Base.publish

    def broken(self: Base, target: Any, entries: Any, before: Any) -> None:
        def then_fail(index: bytes) -> None:
            before(index)
            raise UploadError("gone")

        plain(self, target, entries, then_fail)

    monkeypatch.setattr(Base, "publish", broken)
    with pytest.raises(UploadError, match="gone"):
        write(path, 100, 100, append=True, side_columns=SIDE)
    monkeypatch.undo()
    index = index_of(path)
    assert index.num_samples == 100
    with pytest.raises(ConfigError, match="another version of the dataset"):
        open_columns(f"{path}/columns.parquet", "", index.digest, 100)


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    pq.write_table(pa.table({"mine": [1]}), path / "columns.parquet")
    with pytest.raises(FileExistsError, match="was not written by this package"):
        write(str(path), 10, exist_ok=True, side_columns=SIDE)
    assert pq.read_table(path / "columns.parquet").column_names == ["mine"]
    write(str(path), 10, exist_ok=True)  # who makes no side columns does not touch it
    assert pq.read_table(path / "columns.parquet").column_names == ["mine"]


@pytest.mark.parametrize(
    ("side", "text"),
    [("agee", "Did you mean 'age'"), ("tokens", r"len\(tokens\)"), ([], "No side columns"), ("len(n)", "no length")],
)
def test_wrong_side_columns_are_told_at_once(tmp_path: Path, side: Any, text: str) -> None:
    encodings = {"tokens": "ndarray:uint16", "age": "int", "n": "int"}
    with pytest.raises(ConfigError, match=text):
        MDSWriter(columns=encodings, out=str(tmp_path / "data"), side_columns=side)


def test_a_merge_says_that_it_joins_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for part in range(2):
        write(str(tmp_path / "all" / str(part)), 50, 50 * part, side_columns=SIDE)
    with caplog.at_level(logging.WARNING):
        streaming.merge_index(str(tmp_path / "all"))
    assert "the merged dataset has not" in caplog.text
    streaming.index_columns(tmp_path / "all", SIDE, beside=True, workers=0, progress_bar=False)
    check(str(tmp_path / "all"), 100)
