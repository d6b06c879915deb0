"""``streaming.write`` of what people have: frames, tables, datasets of other libraries, tensors, and what is none of it."""

from __future__ import annotations

import datetime
import decimal
import io
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import streaming
from streaming import LocalDataset


class Later:
    """A module that is imported when a test uses it: together they are a hundred megabytes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest looks for marks of its own
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


NAMES = ("pandas", "pyarrow", "datasets", "polars")
pytestmark = pytest.mark.skipif(not all(map(find_spec, NAMES)), reason=f"not all of {', '.join(NAMES)} are installed")
pd, pa, datasets, polars = map(Later, NAMES)


def written(given: Any, out: Path, **arguments: Any) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The columns, and all samples."""
    report = streaming.write(given, str(out), **{"progress_bar": False, "workers": 0, **arguments})
    samples = LocalDataset(str(out))[:]
    assert report.samples == len(samples)
    return report.columns, samples


ROWS = [{"i": i, "f": i / 7, "s": None if i % 40 == 39 else str(i), "n": None if i > 50 else i} for i in range(100)]
COLUMNS = {"i": "int", "f": "float64", "s": "str?", "n": "int?"}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "make",
    [
        lambda: pa.Table.from_pylist(ROWS),
        lambda: pa.RecordBatch.from_pylist(ROWS),
        lambda: pa.Table.from_pylist(ROWS).to_reader(7),
        lambda: polars.DataFrame(ROWS),
        lambda: pd.DataFrame(ROWS).astype({"n": "Int64"}),
        lambda: datasets.Dataset.from_list(ROWS),
        lambda: datasets.Dataset.from_list(ROWS).with_format("torch"),
        lambda: datasets.Dataset.from_list(ROWS * 2).select(range(100)),
    ],
    ids=["arrow table", "record batch", "reader", "polars", "pandas", "hf", "hf torch", "hf selected"],
)
def test_tables(tmp_path: Path, make: Any, workers: int) -> None:
    """Where values are missing is known of all rows, not the first alone."""
    given = make()
    arguments: Any = {"columns": COLUMNS} if isinstance(given, pa.RecordBatchReader) else {}
    assert written(given, tmp_path, workers=workers, **arguments) == (COLUMNS, ROWS)


def test_a_reader_whose_values_are_missing_later(tmp_path: Path) -> None:
    reader = pa.Table.from_pylist(ROWS).to_reader(7)
    with pytest.raises(TypeError, match=r"Sample 39: Column 's' \(str\): the value is None.*'str\?'"):
        written(reader, tmp_path)


@pytest.mark.parametrize("make", ["table", "reader", "polars", "datasets"])
def test_columns_that_have_a_type_and_no_values(tmp_path: Path, make: str) -> None:
    kinds = {
        "int32": pa.int32(),
        "str": pa.string(),
        "datetime": pa.timestamp("us"),
        "bytes": pa.large_binary(),
        "list:float32": pa.list_(pa.float32()),
        "bool": pa.bool_(),
        "date": pa.date32(),
    }
    table = pa.table({"i": pa.array([7]), **{name: pa.array([None], kind) for name, kind in kinds.items()}})
    given = {
        "table": lambda: table,
        "reader": table.to_reader,
        "polars": lambda: polars.from_arrow(table),
        "datasets": lambda: datasets.Dataset(table),
    }[make]()
    columns, samples = written(given, tmp_path)
    assert columns == {"i": "int", **{name: f"{name}?" for name in kinds}}
    assert samples == [{"i": 7, **dict.fromkeys(kinds)}]
    with pytest.raises(ValueError, match=r"'x'.*NoneType.*'str\?'"):
        written(pa.table({"x": pa.nulls(3)}), tmp_path / "none")


def test_values_of_a_typed_column_may_come_later(tmp_path: Path) -> None:
    column = pa.chunked_array([[None, None], [[1.5], [], None]], pa.list_(pa.float32()))
    columns, samples = written(pa.table({"x": column}).to_reader(2), tmp_path)
    assert columns == {"x": "list:float32?"}
    assert [None if s["x"] is None else s["x"].tolist() for s in samples] == [None, None, [1.5], [], None]


def test_rows_whose_values_are_missing(tmp_path: Path) -> None:
    assert written(ROWS[30:], tmp_path / "a") == (COLUMNS, ROWS[30:])
    with pytest.raises(TypeError, match=r"Sample 39: Column 's' \(str\): the value is None.*'str\?'"):
        written(iter(ROWS), tmp_path / "b")
    with pytest.raises(ValueError, match=r"'x'.*NoneType.*'str\?'"):
        written([{"x": None}] * 3, tmp_path / "c")
    nested = [{"x": None}, {"x": [1, None]}, {"x": {"a": None}}, {"x": True}]
    assert written(nested, tmp_path / "d") == ({"x": "json"}, nested)


@pytest.mark.parametrize(
    "kind", ["int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64", "float16", "float32"]
)
def test_numbers_keep_their_types(tmp_path: Path, kind: str) -> None:
    array = np.arange(5).astype(kind)
    for number, given in enumerate((pa.table({"x": array}), pd.DataFrame({"x": array}))):
        columns, samples = written(given, tmp_path / str(number))
        assert columns == {"x": kind}
        assert [(type(sample["x"]), sample["x"]) for sample in samples] == [(type(value), value) for value in array]
    columns, samples = written(pa.table({"x": pa.array([None, *array])}), tmp_path / "nulls")
    assert columns == {"x": f"{kind}?"}
    assert [sample["x"] for sample in samples] == [None, *array]
    assert type(samples[1]["x"]) is type(array[0])


def test_lists_of_numbers(tmp_path: Path) -> None:
    lists = [[1.5, 2.5], None, [3.5]]
    table = pa.table(
        {"x": pa.array(lists, pa.list_(pa.float32())), "y": pa.array([[1, 2]] * 3, pa.list_(pa.int16(), 2))}
    )
    columns, samples = written(table.slice(0, 3), tmp_path / "a")
    assert columns == {"x": "ndarray:float32?", "y": "ndarray:int16"}
    assert [None if s["x"] is None else s["x"].tolist() for s in samples] == lists
    assert samples[0]["x"].dtype == np.float32
    # An array cannot be empty, nor have numbers that are missing: lists stay lists then.
    for number, values in enumerate(([[1], []], [[1, None]], [["a"]])):
        given = pa.table({"x": values})
        assert written(given, tmp_path / str(number)) == ({"x": "json"}, given.to_pylist())
    sliced = pa.table({"x": pa.array([[0], [1, 2], [3]], pa.list_(pa.int64()))}).slice(1)
    assert [s["x"].tolist() for s in written(sliced, tmp_path / "b")[1]] == [[1, 2], [3]]


def test_other_columns_of_tables(tmp_path: Path) -> None:
    table = pa.table(
        {
            "b": [True, None],
            "bytes": [b"a", b""],
            "category": pa.array(["a", "b"]).dictionary_encode(),
            "struct": [{"a": 1}, {"a": None}],
            "decimal": [decimal.Decimal("1.5"), decimal.Decimal("2.5")],
        }
    )
    columns, samples = written(table, tmp_path / "a")
    assert columns == {"b": "json", "bytes": "bytes", "category": "str", "struct": "json", "decimal": "str_decimal"}
    assert samples == table.to_pylist()
    when = pa.table({"when": [datetime.date(2020, 1, 1)]})
    assert written(when, tmp_path / "b") == ({"when": "date"}, when.to_pylist())
    frame = pd.DataFrame(
        {"x": [1.0, float("nan")], "y": ["a", None], "z": [[1], {"a": 2}], "c": pd.Categorical(["u", "v"])}
    )
    columns, samples = written(frame, tmp_path / "c")
    assert columns == {"x": "float64", "y": "str?", "z": "json", "c": "str"}
    np.testing.assert_equal(samples[1], {"x": float("nan"), "y": None, "z": {"a": 2}, "c": "v"})


UTC = datetime.timezone.utc
TIMES = {
    "date": [datetime.date(2020, 1, 1), None],
    "time": [datetime.time(1, 2, 3, 4), datetime.time(0)],
    "datetime": [datetime.datetime(2020, 1, 1, 2, 3, 4, 5), datetime.datetime(1960, 1, 1)],
    "datetime:UTC": [datetime.datetime(2020, 1, 1, tzinfo=UTC), None],
    "timedelta": [datetime.timedelta(days=-1, microseconds=3), datetime.timedelta(0)],
}


def test_an_index_that_holds_data_is_not_left_out_in_silence(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": list("xyz")})
    streaming.write(frame[frame.a > 1], tmp_path / "numbers", workers=0)
    for number, indexed in enumerate((frame.set_index("b"), frame.set_index("b").rename_axis(None))):
        with pytest.warns(UserWarning, match=r"index.* is not stored\. Give frame\.reset_index\(\)"):
            streaming.write(indexed, tmp_path / str(number), workers=0)


@pytest.mark.parametrize("make", ["rows", "arrow", "polars", "pandas", "hf"])
def test_dates_and_times(tmp_path: Path, make: str) -> None:
    rows = [{name.replace(":", "_"): values[i] for name, values in TIMES.items()} for i in range(2)]
    if make in ("pandas", "hf"):  # has no type of its own for these, and none that is missing
        rows = [{name: row[name] for name in ("datetime", "timedelta")} for row in rows]
    given: Any = {
        "rows": lambda: rows,
        "arrow": lambda: pa.Table.from_pylist(rows),
        "polars": lambda: polars.DataFrame(rows),
        "pandas": lambda: pd.DataFrame(rows),
        "hf": lambda: datasets.Dataset.from_list(rows),
    }[make]()
    columns, samples = written(given, tmp_path, workers=1)
    missing = {"date", "datetime_UTC"}
    wanted = {name.replace(":", "_"): name for name in TIMES}
    assert columns == {name: wanted[name] + "?" * (name in missing) for name in rows[0]}
    assert samples == rows


def test_zones_of_moments(tmp_path: Path) -> None:
    from zoneinfo import ZoneInfo

    def columns_of(*zones: datetime.tzinfo) -> str:
        rows = [{"x": datetime.datetime(2020, 1, 1, tzinfo=zone)} for zone in zones]
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        columns, samples = written(rows, out)
        assert samples == rows
        return columns["x"]

    berlin = ZoneInfo("Europe/Berlin")
    assert columns_of(berlin) == "datetime:Europe/Berlin"
    assert columns_of(berlin, UTC) == "datetime:UTC"
    assert columns_of(datetime.timezone(datetime.timedelta(hours=5, minutes=30))) == "datetime:+05:30"
    assert columns_of(datetime.timezone(datetime.timedelta(hours=2), "summer")) == "datetime:UTC"


def jpeg(seed: int, kind: str = "JPEG") -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (9, 9, 3), np.uint8)).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("streamed", [False, True])
def test_images_of_hugging_face_stay_the_same_files(tmp_path: Path, streamed: bool) -> None:
    def write(files: list[Any], out: Path) -> tuple[dict[str, str], list[bytes]]:
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
        given = datasets.Dataset.from_dict({"image": files, "label": [1] * len(files)}, features=features)
        report = streaming.write(given.to_iterable_dataset() if streamed else given, str(out), workers=1)
        assert [sample["label"] for sample in LocalDataset(str(out))] == [1] * len(files)
        (shard,) = out.glob("*.mds")
        return report.columns, shard.read_bytes()

    files = [jpeg(i) for i in range(5)]
    (tmp_path / "on disk.jpg").write_bytes(jpeg(9))
    columns, shard = write(
        [{"bytes": file, "path": None} for file in files] + [str(tmp_path / "on disk.jpg")], tmp_path / "a"
    )
    assert columns == {"image": "jpeg", "label": "int"}
    assert all(file in shard for file in [*files, jpeg(9)])
    assert LocalDataset(str(tmp_path / "a"))[0]["image"].format == "JPEG"
    # A column of several kinds of files reads back as each is.
    columns, shard = write(
        [{"bytes": file, "path": None} for file in (files[0], jpeg(1, "PNG"), jpeg(2, "GIF"))], tmp_path / "b"
    )
    assert columns["image"] == "png"
    assert files[0] in shard
    assert [sample["image"].format for sample in LocalDataset(str(tmp_path / "b"))] == ["JPEG", "PNG", "GIF"]
    columns, _ = write([None, {"bytes": files[0], "path": None}], tmp_path / "c")
    assert columns["image"] == "jpeg?"
    assert LocalDataset(str(tmp_path / "c"))[0]["image"] is None


def test_lists_of_files_of_hugging_face(tmp_path: Path) -> None:
    files = [{"bytes": jpeg(i), "path": None} for i in range(3)]
    for number, feature in enumerate((datasets.Sequence(datasets.Image()), [datasets.Image()])):
        lists = [files[:2], [], None, files[2:]]
        given = datasets.Dataset.from_dict({"images": lists}, features=datasets.Features({"images": feature}))
        for streamed in (False, True):
            out = tmp_path / f"{number}-{streamed}"
            columns, samples = written(given.to_iterable_dataset() if streamed else given, out)
            assert columns == {"images": "list:image?"}
            (shard,) = out.glob("*.mds")
            assert all(file["bytes"] in shard.read_bytes() for file in files)
            assert [None if row["images"] is None else len(row["images"]) for row in samples] == [2, 0, None, 1]


def test_other_features_of_hugging_face(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "grid": datasets.Array2D((2, 3), "float32"),
            "ids": datasets.Sequence(datasets.Value("int32")),
            "words": datasets.Sequence(datasets.Value("string")),
        }
    )
    row = {"grid": [[1, 2, 3], [4, 5, 6]], "ids": [1, 2], "words": ["a"]}
    given = datasets.Dataset.from_list([row] * 3, features=features)
    columns, samples = written(given, tmp_path / "a")
    assert columns == {"grid": "ndarray:float32", "ids": "ndarray:int32", "words": "json"}
    np.testing.assert_equal(
        samples[2], {"grid": np.array(row["grid"], np.float32), "ids": np.array([1, 2], np.int32), "words": ["a"]}
    )
    with_transform = given.with_transform(lambda batch: {"n": [len(words) for words in batch["words"]]})
    assert written(with_transform, tmp_path / "b") == ({"n": "int"}, [{"n": 1}] * 3)
    chosen = given.with_format("numpy", columns=["words"])
    assert written(chosen, tmp_path / "c") == ({"words": "json"}, [{"words": ["a"]}] * 3)
    missing = datasets.Dataset.from_dict({"image": [str(tmp_path / "gone.jpg")]}).cast_column("image", datasets.Image())
    with pytest.raises(ValueError, match=r"'image'.*gone\.jpg.*not on this machine"):
        written(missing, tmp_path / "d")


def test_tensors(tmp_path: Path) -> None:
    rows = [{"t": torch.arange(3) + i, "n": torch.tensor(i / 2), "flag": torch.tensor(True)} for i in range(4)]
    columns, samples = written(rows, tmp_path / "a", workers=1)
    assert columns == {"t": "ndarray:int64", "n": "float32", "flag": "json"}
    np.testing.assert_equal(samples[1], {"t": np.array([1, 2, 3]), "n": np.float32(0.5), "flag": True})
    bools = [{"x": np.bool_(True), "m": np.array([[True, False]])}]
    columns, samples = written(bools, tmp_path / "b")
    assert columns == {"x": "json", "m": "ndarray:bool"}
    np.testing.assert_equal(samples, [{"x": True, "m": np.array([[True, False]])}])
    columns, samples = written([{"t": torch.ones(1, dtype=torch.bfloat16)}], tmp_path / "c", workers=1)
    assert columns == {"t": "tensor:bfloat16"}
    assert torch.equal(samples[0]["t"], torch.ones(1, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match=r"'t'.*float8_e4m3fnuz.*\.float\(\)"):
        written([{"t": torch.ones(2).to(torch.float8_e4m3fnuz)}], tmp_path / "d")


class RayLike:
    def __len__(self) -> int:
        raise AttributeError("Use `ds.count()`")

    def __iter__(self) -> Iterator[dict[str, int]]:
        return iter([{"a": 1}] * 3)


def test_a_frame_of_dask(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(ROWS).astype({"n": "Int64"})
    given = dask.from_pandas(frame, npartitions=3)
    with pytest.raises(TypeError, match=r"'s' .str.: the value is None"):
        written(given, tmp_path / "a")  # what is missing later is not known of the first partition
    assert written(given, tmp_path / "b", columns=COLUMNS, workers=1) == (COLUMNS, ROWS)


class MapStyle(torch.utils.data.Dataset[dict[str, int]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"square": index * index}  # of any index: nothing ends an iteration


def test_datasets_of_other_libraries(tmp_path: Path) -> None:
    assert len(written(RayLike(), tmp_path / "a")[1]) == 3
    assert written(MapStyle(), tmp_path / "b")[1] == [{"square": i * i} for i in range(4)]
    again = LocalDataset(str(tmp_path / "b"))
    assert written(again, tmp_path / "c")[1] == again[:]
    assert (tmp_path / "c" / "shard.00000.mds").read_bytes() == (tmp_path / "b" / "shard.00000.mds").read_bytes()


def test_a_table_is_continued(tmp_path: Path) -> None:
    good = pa.table({"x": pa.array([[i] for i in range(500)], pa.list_(pa.int64()))})
    bad = [{"x": np.array([i])} if i < 400 else {"x": "no array"} for i in range(500)]
    with pytest.raises(TypeError, match="Sample 400"):
        written(bad, tmp_path, size_limit=1000, columns={"x": "ndarray:int64"})
    report = streaming.write(good, str(tmp_path), workers=0, size_limit=1000)
    assert report.resumed_samples > 200
    assert [sample["x"].tolist() for sample in LocalDataset(str(tmp_path))] == [[i] for i in range(500)]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("corpus.txt", "is text or a path.*line in"),
        (Path("corpus.txt"), "is text or a path.*written by streaming.convert"),
        ({"a": [1, 2]}, r"dict of columns.*zip.*pyarrow\.table"),
        (np.zeros((3, 3)), "no names of columns.*for row in array"),
        (torch.zeros(3), "no names of columns"),
        (3, "int holds no rows"),
        ([[1, 2]], "must be a mapping.*got list.*Name what it holds"),
        (["a"], "must be a mapping.*got str"),
        (lambda: pa.chunked_array([[1]]), "no table"),
        (lambda: pa.table([[1], [2]], names=["a", "a"]), "Two columns have the same name"),
        (lambda: pd.DataFrame({0: [1]}), "Names of columns are text, got 0"),
        ([{"a": {1: 2}}], "key that is no text"),
        ([{"a": [[b"x"]]}], "hold bytes, which JSON cannot"),
        ([{"a": {"b": {"c": (1, 2)}}}], "hold tuple"),
        ([{"a": (1, 2)}], "hold tuple.*list"),
        ([{"a": datetime.datetime(2020, 1, 1)}, {"a": datetime.date(2020, 1, 1)}], "datetime, date"),
        ([{"a": bytearray(b"x")}], r"bytes\(value\)"),
        ([{"a": np.array(["x"])}], "ndarray of <U1"),
        ([{"a": np.zeros(0)}], "without elements.*Arrays that may be empty are lists: pass .*'a': 'list:float64'"),
        ([{"a": np.zeros((2, 0))}], "without elements.*with at least one element"),
        ([{"a": 1}, {"a": "x"}], "int, str"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_holds_no_rows(tmp_path: Path, given: Any, text: str) -> None:
    if callable(given):
        given = given()
    with pytest.raises(ValueError, match=text):
        streaming.write(given, str(tmp_path / "out"), workers=0)
    assert not (tmp_path / "out").exists()
