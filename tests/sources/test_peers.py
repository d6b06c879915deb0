"""Files that other programs have written, value for value: by those programs here, or kept in ``goldens/sources``."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from PIL import Image

import streaming
from streaming import LocalDataset

from copies import Later

datasets = Later("datasets")
pd = Later("pandas")
pl = Later("polars")

GOLDENS = Path(__file__).parents[1] / "goldens" / "sources"
Row = dict[str, Any]


def picture(i: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (i, 0, 0)).save(file, kind)
    return file.getvalue()


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., tuple[dict[str, str], list[Row]]]:
    """Convert, and return the columns and the samples, images as the bytes of their files."""

    def convert(source: Path | str, **options: Any) -> tuple[dict[str, str], list[Row]]:
        out = tmp_path / "converted"
        report = streaming.convert(source, out, workers=0, progress_bar=False, exist_ok=True, **options)
        assert not report.skipped
        return report.columns, [plain(row) for row in LocalDataset(out)[:]]

    return convert


def plain(row: Row) -> Row:
    def value(given: Any) -> Any:
        if isinstance(given, Image.Image):
            return given.fp.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
        return given.tolist() if isinstance(given, (np.ndarray, np.generic)) else given

    return {name: value(given) for name, given in row.items()}


def frame(n: int = 60) -> pa.Table:
    zone = datetime.timezone.utc
    return pa.table(
        {
            "small": pa.array([i % 100 for i in range(n)], pa.int8()),
            "ratio": pa.array([i / 4 for i in range(n)], pa.float32()),
            "maybe": [None if i % 3 == 0 else i for i in range(n)],
            "text": [f"é {i}" * (i % 4) for i in range(n)],
            "perhaps": [None if i % 4 == 0 else f"x{i}" for i in range(n)],
            "odd": [i % 2 == 1 for i in range(n)],
            "blob": [bytes([i]) * i for i in range(n)],
            "when": pa.array(
                [datetime.datetime(2026, 1, 1, 0, i, tzinfo=zone) for i in range(n)], pa.timestamp("ns", "UTC")
            ),
            "day": [datetime.date(2026, 1, 1 + i % 28) for i in range(n)],
            "vector": [[float(j) for j in range(i % 5 + 1)] for i in range(n)],
            "gaps": [None if i % 7 == 0 else list(range(i % 3)) for i in range(n)],
            "fixed": pa.array([[i, i + 1] for i in range(n)], pa.list_(pa.int16(), 2)),
            "words": [["a", None] * (i % 2) for i in range(n)],
            "nested": [{"a": i, "b": [str(i)]} for i in range(n)],
            "label": pa.array([("cat", "dog")[i % 2] for i in range(n)]).dictionary_encode(),
            "price": pa.array([Decimal(i) / 100 for i in range(n)], pa.decimal128(9, 2)),
        }
    )


def test_parquet_as_an_engine_leaves_it(tmp_path: Path, converted: Any) -> None:
    lake = tmp_path / "lake"
    for number, at in enumerate((0, 25, 50)):
        (lake / f"day={number}").mkdir(parents=True)
        pq.write_table(frame().slice(at, 25), lake / f"day={number}" / "part-0.snappy.parquet", row_group_size=10)
    (lake / "_SUCCESS").touch()
    (lake / ".part-0.crc").write_bytes(b"crc")
    columns, rows = converted(lake)
    assert rows == frame().to_pylist()
    assert columns["small"] == "int8"
    assert columns["vector"] == "ndarray:float64"
    assert columns["fixed"] in ("ndarray:int16:2", "ndarray:int16")
    assert columns["gaps"] == "list:int64?"
    assert columns["when"] == "datetime:UTC"
    assert {columns["maybe"], columns["perhaps"]} == {"int?", "str?"}


def test_pandas_and_polars_and_feather(tmp_path: Path, converted: Any) -> None:
    known = frame().select(["small", "ratio", "maybe", "text", "perhaps", "odd", "blob", "day", "vector"])
    wanted = known.to_pylist()
    known.to_pandas().astype({"maybe": "Int64"}).to_parquet(tmp_path / "pandas.parquet")
    assert converted(tmp_path / "pandas.parquet")[1] == wanted
    pl.from_arrow(known).write_parquet(tmp_path / "polars.parquet")  # pyright: ignore[reportAttributeAccessIssue]
    assert converted(tmp_path / "polars.parquet")[1] == wanted
    pl.from_arrow(known).write_ipc(tmp_path / "polars.arrow")  # pyright: ignore[reportAttributeAccessIssue]
    assert converted(tmp_path / "polars.arrow")[1] == wanted
    feather.write_feather(known, tmp_path / "table.feather", compression="zstd")
    assert converted(tmp_path / "table.feather")[1] == wanted
    lines = known.drop(["blob", "day", "ratio"]).to_pylist()
    (tmp_path / "polars.ndjson").write_text(pl.DataFrame(lines).write_ndjson())
    assert converted(tmp_path / "polars.ndjson")[1] == lines


def hugging_face() -> datasets.Dataset:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "vector": datasets.Sequence(datasets.Value("float32")),
            "grid": datasets.Array2D((2, 2), "int16"),
            "audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "text": datasets.Value("string"),
        }
    )
    rows = [
        {
            "image": {"bytes": picture(i), "path": None},
            "label": i % 2,
            "vector": [i / 2] * (i + 1),
            "grid": [[i, 1], [2, 3]],
            "audio": {"bytes": b"RIFF" + bytes([i]), "path": None},
            "text": f"t{i}",
        }
        for i in range(30)
    ]
    given = datasets.Dataset.from_list(rows, features=features)
    return given.cast_column("audio", datasets.Audio(sampling_rate=16000, decode=False))


@pytest.mark.parametrize("how", ["parquet", "saved", "splits", "selected"])
def test_datasets_of_hugging_face(tmp_path: Path, converted: Any, how: str) -> None:
    given, source, options = hugging_face(), tmp_path / "given", {}
    if how == "parquet":
        source = tmp_path / "given.parquet"
        given.to_parquet(source, batch_size=8)
    elif how == "splits":
        datasets.DatasetDict({"train": given, "test": given.select([0])}).save_to_disk(source)
        options = {"split": "train"}
    else:
        (given if how == "saved" else given.select(range(30))).save_to_disk(source, num_shards=2)
    columns, rows = converted(source, **options)
    assert columns == {
        "audio": "audio",
        "grid": "ndarray:int16:2,2",
        "image": "jpeg",
        "label": "int",
        "text": "str",
        "vector": "ndarray:float32",
    }
    for i, row in enumerate(rows):
        assert row.pop("audio") == b"RIFF" + bytes([i])
        assert row == {
            "image": picture(i),
            "label": i % 2,
            "vector": [i / 2] * (i + 1),
            "grid": [[i, 1], [2, 3]],
            "text": f"t{i}",
        }
    known = LocalDataset(tmp_path / "converted").metadata["columns"]
    assert known["label"] == {"names": ["cat", "dog"]}
    assert known["audio"]["sampling_rate"] == 16000


@pytest.mark.parametrize("name", ["litdata-plain", "litdata-framed"])
def test_chunks_of_litdata(converted: Any, name: str) -> None:
    columns, rows = converted(GOLDENS / name)
    assert columns["grid"] == "ndarray:int16"
    assert rows == [
        {
            "even": i % 2 == 0,
            "f": i / 2,
            "grid": np.arange(2 * (i + 1)).reshape(2, -1).tolist(),
            "i": i,
            "jpg": picture(i),
            "raw": bytes([i]) * 3,
            "text": f"text {i} é",
            "vector": list(range(i + 1)),
        }
        for i in range(10)
    ]


def test_tars_of_webdataset(tmp_path: Path, converted: Any) -> None:
    wanted = [
        {
            "__key__": f"a/{i:03}",
            "cls": i % 3,
            "grid.npy": np.full((2, i + 1), i).tolist(),
            "jpg": picture(i),
            "json": {"i": [i]},
            "txt": f"text {i} é",
        }
        for i in range(10)
    ]
    columns, rows = converted(GOLDENS / "webdataset.tar")
    assert columns["jpg"] == "jpeg"
    assert rows == wanted
    import gzip

    (tmp_path / "web.tar.gz").write_bytes(gzip.compress((GOLDENS / "webdataset.tar").read_bytes()))
    assert converted(tmp_path / "web.tar.gz")[1] == wanted


def test_records_of_tensorflow(converted: Any) -> None:
    columns, rows = converted(GOLDENS / "records.tfrecord")
    assert columns == {"f": "float64", "i": "int", "jpg": "jpeg", "many": "ndarray:int64", "text": "str"}
    assert rows == [
        {"f": i / 2, "i": i - 5, "jpg": picture(i), "many": [j * 1000 for j in range(i + 1)], "text": f"text {i} é"}
        for i in range(10)
    ]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".bz2", ".xz"])
def test_lines_and_separated_values_compressed_or_not(tmp_path: Path, converted: Any, suffix: str) -> None:
    import bz2
    import gzip
    import lzma

    import zstandard

    pack: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": zstandard.ZstdCompressor().compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
    }
    rows = [{"a": i, "t": f'say "{i}",\nand more', "x": None if i % 3 else i / 2} for i in range(50)]
    lines = "\n".join(json.dumps(row) for row in rows)  # the last has no end
    (tmp_path / f"rows.jsonl{suffix}").write_bytes(pack[suffix](lines.encode()))
    assert converted(tmp_path / f"rows.jsonl{suffix}")[1] == rows
    for kind, separator in (("csv", ","), ("tsv", "\t")):
        text = pd.DataFrame(rows).to_csv(index=False, sep=separator)
        (tmp_path / f"rows.{kind}{suffix}").write_bytes(pack[suffix](text.encode()))
        columns, found = converted(tmp_path / f"rows.{kind}{suffix}")
        assert columns == {"a": "int", "t": "str", "x": "float64?"}
        assert found == rows
    (tmp_path / f"rows.txt{suffix}").write_bytes(pack[suffix]("eins\r\n\nzwei é\n".encode()))
    assert converted(tmp_path / f"rows.txt{suffix}")[1] == [{"text": "eins"}, {"text": ""}, {"text": "zwei é"}]


def test_an_array_of_json_and_files_of_numpy(tmp_path: Path, converted: Any) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{"a": 1}, {"a": 2, "b": "x"}]))
    assert converted(tmp_path / "rows.json")[1] == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    np.save(tmp_path / "grid.npy", np.arange(12, dtype=np.int16).reshape(3, 4))
    assert converted(tmp_path / "grid.npy")[1] == [{"x": [4 * i + j for j in range(4)]} for i in range(3)]
    np.savez(tmp_path / "both.npz", a=np.arange(3.0), b=np.array(["x", "yy", "z"]))
    assert converted(tmp_path / "both.npz")[1] == [{"a": float(i), "b": ("x", "yy", "z")[i]} for i in range(3)]


def test_folders_of_images(tmp_path: Path, converted: Any) -> None:
    photos = tmp_path / "photos"
    for name in ("dog", "cat"):
        (photos / name).mkdir(parents=True)
        for i in range(3):
            (photos / name / f"{i}.jpg").write_bytes(picture(i))
    (photos / "README.md").write_text("photos")
    columns, rows = converted(photos)
    assert columns == {"image": "jpeg", "label": "int", "path": "str"}
    wanted = [(label, i) for label in range(2) for i in range(3)]
    assert [(row["label"], row["image"]) for row in rows] == [(label, picture(i)) for label, i in wanted]
    assert rows[3]["path"] == "dog/0.jpg"
    metadata = LocalDataset(tmp_path / "converted").metadata
    assert metadata == {"columns": {"label": {"names": ["cat", "dog"]}}}
    assert datasets.load_dataset("imagefolder", data_dir=str(photos), split="train").features["label"].names == [
        "cat",
        "dog",
    ]
    (photos / "labels.csv").write_text(
        "file,age,note\n" + "".join(f'{n}/{i}.jpg,{i},"a,b"\n' for n in ("cat", "dog") for i in range(3))
    )
    columns, rows = converted(photos, labels="labels.csv")
    assert rows[4] == {"age": 1, "image": picture(1), "label": 1, "note": "a,b", "path": "dog/1.jpg"}
    (photos / "cat" / "3.png").write_bytes(picture(9, "PNG"))
    columns, rows = converted(f"{photos}/**/*.*g")
    assert columns["image"] == "image"
    assert rows[3]["image"] == picture(9, "PNG")
