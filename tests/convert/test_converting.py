"""What other programs have written, converted: every value, whatever the workers, however often it is killed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from PIL import Image

import streaming
from streaming import LocalDataset
from streaming.converting.convert import preview
from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError, StreamingError
from streaming.storage.registry import open_store

from budget import repetitions
from copies import Later
from servers import S3Server

datasets = Later("datasets")
pd = Later("pandas")
pl = Later("polars")

KILLS = repetitions("STREAMING_TEST_KILLS", 3, 20)


def rows_of(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "id": i,
            "ratio": i / 4,
            "text": f"text {i} é" * (i % 4),
            "ok": i % 3 == 0,
            "maybe": None if i % 5 == 0 else i,
            "words": [f"w{k}" for k in range(i % 3)],
            "numbers": [i, i + 1, i + 2],
            "blob": bytes([i % 256]) * (i % 7),
            "when": datetime(2024, 1, 1, 0, 0, i % 60, tzinfo=timezone.utc),
            "day": date(2024, 1, 1 + i % 28),
            "price": Decimal(i) / 100,
            "nested": {"a": i, "b": [{"c": str(i)}]},
        }
        for i in range(first, first + count)
    ]


def plain(value: Any) -> Any:
    """A value as JSON and tables have it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def converted(source: Any, out: Path, **more: Any) -> list[dict[str, Any]]:
    given: dict[str, Any] = {"workers": 0, "progress_bar": False, **more}
    streaming.convert(source, out, **given)
    return [{name: plain(value) for name, value in row.items()} for row in LocalDataset(out)[:]]


def write_pandas(rows: list[dict[str, Any]], path: Path) -> None:
    pd.DataFrame(rows).drop(columns=["maybe"]).to_parquet(path / "table.parquet", row_group_size=7)


def write_polars(rows: list[dict[str, Any]], path: Path) -> None:
    pl.DataFrame(rows).write_parquet(path / "table.parquet", row_group_size=7)


def write_arrow(rows: list[dict[str, Any]], path: Path) -> None:
    table = pa.Table.from_pylist(rows)
    for number, part in enumerate((table[:17], table[17:])):
        pq.write_table(part, path / f"part-{number}.parquet", row_group_size=7)
    (path / "_SUCCESS").touch()


def write_saved(rows: list[dict[str, Any]], path: Path) -> None:
    datasets.Dataset.from_list(rows).save_to_disk(path / "saved", num_shards=2)


@pytest.mark.parametrize("write", [write_pandas, write_polars, write_arrow, write_saved], ids=lambda f: f.__name__)
@pytest.mark.parametrize("workers", [0, 2])
def test_tables_of_their_own_writers(tmp_path: Path, write: Callable[..., None], workers: int) -> None:
    rows = rows_of(40)
    write(rows, tmp_path)
    source = tmp_path / "saved" if (tmp_path / "saved").exists() else tmp_path
    found = converted(source if write is write_saved else f"{tmp_path}/*.parquet", tmp_path / "out", workers=workers)
    names = [name for name in rows[0] if not (write is write_pandas and name == "maybe")]
    assert len(found) == len(rows)
    for name in names:
        assert [row[name] for row in found] == [row[name] for row in rows], name


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".json"])
def test_json(tmp_path: Path, suffix: str) -> None:
    rows: list[dict[str, Any]] = [
        {"id": i, "text": f"a\n{i}", "tags": ["x"] * (i % 3), "n": {"k": i}} for i in range(50)
    ]
    rows[3]["late"] = 1.5  # the others lack it
    text = json.dumps(rows) if suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    data = text.encode()
    data = gzip.compress(data) if suffix.endswith("gz") else data
    data = zstandard.compress(data) if suffix.endswith("zst") else data
    (tmp_path / f"rows{suffix}").write_bytes(data)
    assert converted(tmp_path / f"rows{suffix}", tmp_path / "out") == [{"late": None, **row} for row in rows]


def test_separated_values_and_text(tmp_path: Path) -> None:
    with open(tmp_path / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b"], [1, 'x, "y"\nz'], [2, ""]])
    assert converted(tmp_path / "t.csv", tmp_path / "c") == [{"a": 1, "b": 'x, "y"\nz'}, {"a": 2, "b": ""}]
    (tmp_path / "t.txt").write_text("one\ntwo\n\nlast")
    assert [row["text"] for row in converted(tmp_path / "t.txt", tmp_path / "t")] == ["one", "two", "", "last"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images in two directories; the bytes of each are its own."""
    place = tmp_path / "photos"
    for number in range(12):
        directory = place / ("cat", "dog")[number % 2]
        directory.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (number, 0, 0)).save(directory / f"{number:02}.jpg")
    return place


def test_folders(photos: Path, tmp_path: Path) -> None:
    streaming.convert(photos, tmp_path / "out", workers=0, progress_bar=False)
    dataset = LocalDataset(tmp_path / "out")
    assert [row["label"] for row in dataset[:]] == [0] * 6 + [1] * 6
    assert dataset.metadata["columns"]["label"]["names"] == ["cat", "dog"]
    files = [(photos / row["path"]).read_bytes() for row in dataset[:]]
    assert [row["image"].size for row in dataset[:]] == [(8, 6)] * 12
    stored = (tmp_path / "out" / "shard.00000.mds").read_bytes()
    assert all(data in stored for data in files)


def test_archives(photos: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "w.tar", "w") as archive:
        for number, path in enumerate(sorted(photos.rglob("*.jpg"))):
            members = {
                "jpg": path.read_bytes(),
                "cls": str(number % 3).encode(),
                "json": b'{"a": [1]}',
                "txt": "é".encode(),
            }
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"dir/{number:04}.{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    found = converted(tmp_path / "w.tar", tmp_path / "out")
    assert [row["__key__"] for row in found] == [f"dir/{i:04}" for i in range(12)]
    assert [(row["cls"], row["json"], row["txt"]) for row in found] == [(i % 3, {"a": [1]}, "é") for i in range(12)]
    assert found[0]["jpg"].size == (8, 6)


def test_shards_cut_and_compressed_anew(tmp_path: Path, make_dataset: Callable[..., str]) -> None:
    remote = make_dataset(300)
    columns = list(LocalDataset(remote)[0])[:1]
    whole = LocalDataset(remote)[:]
    found = converted(remote, tmp_path / "a", size_limit="4kb", compression="zstd", hashes=["xxh64"])
    assert [str(row) for row in found] == [str({k: plain(v) for k, v in row.items()}) for row in whole]
    some = converted(remote, tmp_path / "b", columns=columns)
    assert [list(row) for row in some] == [columns] * 300


def upper(row: dict[str, Any]) -> Any:
    return None if row["id"] % 2 else [{"id": row["id"], "text": row["text"].upper()}] * 2


def test_a_function(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"id": i, "text": f"t{i}"}) + "\n" for i in range(20)))
    for workers in (0, 2):
        found = converted(tmp_path / "a.jsonl", tmp_path / f"{workers}", fn=upper, workers=workers)
        assert found == [{"id": i, "text": f"T{i}"} for i in range(0, 20, 2) for _ in range(2)]


def points(text: str) -> list[int]:
    return list(map(ord, text))


def test_tokens(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    texts = [f"some words, number {i}" for i in range(700)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"id": i, "body": t}) + "\n" for i, t in enumerate(texts)))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()  # pyright: ignore
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        more: dict[str, Any] = {
            "tokenizer": place,
            "text": "body",
            "exist_ok": True,
            "workers": 2,
            "progress_bar": False,
        }
        streaming.convert(tmp_path / "a.jsonl", tmp_path / "out", **more)
        dataset = LocalDataset(tmp_path / "out")
        assert [row["input_ids"].tolist() for row in dataset[:]] == [tokenizer.encode(text).ids for text in texts]
        assert dataset[0]["input_ids"].dtype == np.uint16
        assert len(dataset.metadata["tokenizer"]["xxh3_128"]) == 32
    found = converted(tmp_path / "a.jsonl", tmp_path / "b", tokenizer=points, text="body")
    assert found[5]["input_ids"] == list(map(ord, texts[5]))
    with pytest.raises(StreamingError, match="no text in the column 'text' .it has id, body.: give `text`"):
        converted(tmp_path / "a.jsonl", tmp_path / "c", tokenizer=tmp_path)
    with pytest.raises(ConfigError, match="is no tokenizer"):
        converted(tmp_path / "a.jsonl", tmp_path / "d", tokenizer=tmp_path / "a.jsonl", text="body")


def test_from_a_store(s3: S3Server, tmp_path: Path) -> None:
    root = s3.create_bucket()
    for number in range(3):
        pq.write_table(pa.table({"id": range(number * 10, number * 10 + 10)}), tmp_path / "t.parquet")
        open_store(root).put(f"lake/{number}.parquet", str(tmp_path / "t.parquet"))
    streaming.convert(f"{root}/lake/{{0..2}}.parquet", f"{root}/out", workers=0, progress_bar=False)
    found = streaming.StreamingDataset(remote=f"{root}/out", local=str(tmp_path / "cache"))[:]
    assert [row["id"] for row in found] == list(range(30))


def test_told_beforehand(tmp_path: Path) -> None:
    write_arrow(rows_of(40), tmp_path)
    found = preview(f"{tmp_path}/*.parquet", columns=["id", "text"])
    assert (found.files, found.samples, found.columns) == (2, 40, {"id": "int", "text": "str"})
    assert [row["id"] for row in found.first] == [0, 1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_SUCCESS", "part-0.parquet", "part-1.parquet"]


# -- what is wrong -------------------------------------------------------------------------------


def test_what_is_damaged_is_named_or_left_out(photos: Path, tmp_path: Path) -> None:
    (photos / "cat" / "05.jpg").write_bytes(b"junk")
    with pytest.raises(SourceError, match=r"cat/05\.jpg.*no image"):
        converted(photos, tmp_path / "a")
    report = streaming.convert(photos, tmp_path / "b", on_error="skip", workers=0, progress_bar=False)
    assert report.samples == 12
    assert "cat/05.jpg" in report.skipped[0].reason
    write_arrow(rows_of(40), tmp_path)
    whole = (tmp_path / "part-1.parquet").read_bytes()
    (tmp_path / "part-1.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"part-1\.parquet"):
        converted(f"{tmp_path}/*.parquet", tmp_path / "c")
    report = streaming.convert(f"{tmp_path}/*.parquet", tmp_path / "d", on_error="skip", workers=0, progress_bar=False)
    assert report.samples == 17
    assert "part-1.parquet" in report.skipped[0].reason


def test_what_does_not_go_together(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "1.parquet")
    with pytest.raises(SourceError, match=r"1\.parquet has 'b'"):
        converted(tmp_path, tmp_path / "out")
    assert converted(tmp_path, tmp_path / "out", schema="union") == [{"a": 1, "b": None}, {"a": 1, "b": "x"}]
    (tmp_path / "j.jsonl").write_text('{"a": 1}\n{"a": "text"}\n')
    with pytest.raises(StreamingError, match="'a' cannot be inferred: the first rows hold int, str"):
        converted(tmp_path / "j.jsonl", tmp_path / "o2")
    (tmp_path / "k.jsonl").write_text('{"a": 1}\n[2]\n')
    with pytest.raises(SourceError, match=r"k\.jsonl, line 2: a row is a JSON object"):
        converted(tmp_path / "k.jsonl", tmp_path / "o3")


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "notes.xyz").write_text("x")
    for source, words in (
        (tmp_path / "none", "nothing at"),
        (tmp_path, "Nothing tells the format"),
        (tmp_path / "notes.xyz", "format"),
    ):
        with pytest.raises((ConfigError, OSError), match=words):
            converted(source, tmp_path / "out")
    (tmp_path / "e.jsonl").write_text("")
    with pytest.raises((EmptyDatasetError, ConfigError)):
        converted(tmp_path / "e.jsonl", tmp_path / "out")
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(ConfigError, match="no column 'b'; it has a"):
        converted(tmp_path / "a.jsonl", tmp_path / "out", columns=["b"])
    with pytest.raises(ConfigError, match="Unknown source format 'jsonn'"):
        converted(tmp_path / "a.jsonl", tmp_path / "out", format="jsonn")


# -- killed --------------------------------------------------------------------------------------

PROGRAM = """
import sys, streaming
streaming.convert(sys.argv[1], sys.argv[2], workers=2, size_limit=4000, progress_bar=False, compression='zstd')
"""


def test_killed_and_begun_again(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    for number in range(6):
        pq.write_table(pa.Table.from_pylist(rows_of(150, number * 150)), lake / f"{number}.parquet", row_group_size=40)
    streaming.convert(lake, tmp_path / "whole", workers=0, size_limit=4000, progress_bar=False, compression="zstd")
    rng = random.Random(0)
    command = [sys.executable, "-c", PROGRAM, str(lake), str(tmp_path / "out")]
    for _ in range(KILLS):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(rng.uniform(0.5, 4))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if (tmp_path / "out" / "index.json").exists():
            break
    if not (tmp_path / "out" / "index.json").exists():
        subprocess.run(command, check=True, timeout=120)
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "out")]
    assert files[0] == files[1]
