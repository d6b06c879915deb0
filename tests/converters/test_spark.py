"""A Spark ``DataFrame`` as a dataset, on a local cluster of two threads, and on one of processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyspark", reason="the extra `spark` is not installed")
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
    pytest.mark.filterwarnings("ignore"),
]

import spark_program  # noqa: E402

from streaming import LocalDataset, StreamingDataset  # noqa: E402
from streaming.cli.main import main  # noqa: E402
from streaming.core.errors import ConfigError, SampleError, WorkerError  # noqa: E402


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    spark = spark_program.begin("local[2,2]")
    yield spark
    spark.stop()


def rows(count: int) -> list[Any]:
    from pyspark.sql import Row

    return [
        Row(
            id=i,
            name=f"row {i}",
            price=Decimal(f"{i}.25"),
            vector=[i / 2, i / 4],
            blob=bytearray(bytes([i % 256])),
            flag=bool(i % 2),
            small=-i % 100 - 100,
            meta=Row(key="k", items=[i]),
        )
        for i in range(count)
    ]


SCHEMA = (
    "id long, name string, price decimal(10,2), vector array<float>, blob binary, flag boolean, small tinyint,"
    "meta struct<key: string, items: array<long>>"
)
JSON = {"meta": "json"}


def frame(session: Any, count: int = 60) -> Any:
    return session.createDataFrame(rows(count), SCHEMA).repartition(3)


def check(out: str, count: int = 60) -> None:
    samples = sorted(StreamingDataset(local=out, batch_size=1), key=lambda s: s["id"])
    assert [s["id"] for s in samples] == list(range(count))
    for i, sample in enumerate(samples):
        assert (sample["name"], sample["price"], sample["blob"]) == (f"row {i}", Decimal(f"{i}.25"), bytes([i % 256]))
        assert sample["vector"].dtype == np.float32
        assert sample["vector"].tolist() == [i / 2, i / 4]
        assert (int(sample["flag"]), int(sample["small"])) == (i % 2, -i % 100 - 100)


def test_columns_by_the_schema(session: Any, tmp_path: Path) -> None:
    from streaming.converters.spark import dataframe_to_mds

    given = {"out": str(tmp_path / "out")}
    assert dataframe_to_mds(frame(session).drop("meta"), mds_kwargs=given) == (given["out"], "")
    assert list(given) == ["out"]
    check(given["out"])
    assert list((tmp_path / "out").glob("*/shard*.zstd"))


def test_given_columns_and_a_remote(session: Any, tmp_path: Path) -> None:
    from streaming.converters.spark import dataframe_to_mds

    remote = f"file://{tmp_path}/remote"
    columns = {"id": "int64", "meta": "json", "vector": "ndarray:float32:2"}
    out = (str(tmp_path / "local"), remote)
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "notes.txt").write_text("mine")
    result = dataframe_to_mds(frame(session), mds_kwargs={"out": out, "columns": columns, "compression": None})
    assert result == ("", remote)
    assert os.listdir(tmp_path / "local") == ["notes.txt"]
    data = StreamingDataset(remote=remote, local=str(tmp_path / "cache"), batch_size=1)
    assert {s["id"]: s["meta"] for s in data} == {i: {"key": "k", "items": [i]} for i in range(60)}


def test_samples_by_a_function_without_a_merged_index(session: Any, tmp_path: Path) -> None:
    from streaming.converters.spark import dataframe_to_mds

    def doubled(pandas: Any, times: int) -> Iterator[dict[str, Any]]:
        for number in pandas["id"]:
            for _ in range(times):
                yield {"number": int(number)}

    out = str(tmp_path / "out")
    arguments: Any = {"mds_kwargs": {"out": out, "columns": {"number": "int"}}, "udf_iterable": doubled}
    dataframe_to_mds(frame(session), merge_index=False, udf_kwargs={"times": 2}, **arguments)
    assert not os.path.exists(f"{out}/index.json")
    parts = [StreamingDataset(local=str(path.parent), batch_size=1) for path in Path(out).glob("*/index.json")]
    assert len(parts) == 3
    assert sorted(s["number"] for part in parts for s in part) == sorted([*range(60), *range(60)])


def test_what_does_not_fit(session: Any, tmp_path: Path) -> None:
    from streaming.converters.spark import dataframe_to_mds, infer_dataframe_schema

    data = frame(session, 3)
    out = str(tmp_path / "out")
    for frame_, kwargs, text in [
        (None, {"out": out}, "empty"),
        (data.limit(0), {"out": out}, "empty"),
        (data, {}, "`out`"),
        (data, {"out": (out, f"file://{out}"), "columns": {"id": "int64"}}, "are one directory"),
        (data, {"out": out}, "json"),
        (data, {"out": out, "columns": {"absent": "int"}}, "no column 'absent'"),
        (data, {"out": out, "columns": {"id": "int8"}}, "int64"),
        (data, {"out": out, "columns": {"name": "jpeg"}}, "jpeg"),
    ]:
        with pytest.raises(ConfigError, match=text):
            dataframe_to_mds(frame_, mds_kwargs=kwargs)
    with pytest.raises(ConfigError, match="columns"):
        dataframe_to_mds(data, mds_kwargs={"out": out}, udf_iterable=lambda frame: frame)
    with pytest.raises(ConfigError, match="Cast"):
        infer_dataframe_schema(session.sql("select current_timestamp() as at"))
    assert not os.path.exists(out)


def test_lists_are_given_the_encoding_that_the_error_names(session: Any, tmp_path: Path) -> None:
    from datetime import date

    from streaming.converters.spark import dataframe_to_mds

    row = (["a", None], [True], [date(2024, 1, 2)], [bytearray(b"x")], [Decimal("1.5")])
    data = session.createDataFrame(
        [row], "s array<string>, b array<boolean>, d array<date>, x array<binary>, n array<decimal(3,1)>"
    )
    encodings: dict[str, str] = {}
    for name in data.columns:
        with pytest.raises(ConfigError, match=f"Column '{name}' .* give it the encoding 'list:") as error:
            dataframe_to_mds(data, mds_kwargs={"out": str(tmp_path)}, encodings=encodings)
        encodings[name] = str(error.value).split("'")[3]
    assert list(encodings.values()) == ["list:str", "list:bool", "list:date", "list:bytes", "list:str_decimal"]
    encodings["s"] = "list:str?"
    dataframe_to_mds(data, mds_kwargs={"out": str(tmp_path)}, encodings=encodings)
    assert tuple(LocalDataset(tmp_path)[0][name] for name in data.columns) == row


def shards_of(out: Path) -> list[dict[str, Any]]:
    """What the index lists, when there is nothing beside it that it does not."""
    shards = json.loads((out / "index.json").read_text())["shards"]
    listed = {shard["raw_data"]["basename"].split("/")[0] for shard in shards}
    assert {path.name for path in out.iterdir()} - {"notes"} == {"index.json", *listed}
    return shards


def test_values_that_are_missing(session: Any, tmp_path: Path) -> None:
    from streaming.converters.spark import dataframe_to_mds

    rows = [(i, None if i in (17, 50) else f"t{i}", None if i == 40 else [1.5 * i], i % 2 == 0) for i in range(60)]
    data = session.createDataFrame(rows, "id long, text string, vector array<double>, flag boolean").repartition(3)
    out = str(tmp_path / "out")
    dataframe_to_mds(data, mds_kwargs={"out": out}, encodings={"flag": "bool"})
    columns = {"id": "int64", "text": "str?", "vector": "ndarray:float64?", "flag": "bool"}
    for shard in shards_of(tmp_path / "out"):  # with nothing left of the first attempt
        assert dict(zip(shard["column_names"], shard["column_encodings"], strict=True)) == columns
    found = [
        (s["id"], s["text"], None if s["vector"] is None else s["vector"].tolist(), s["flag"])
        for s in LocalDataset(out)[:]
    ]
    assert sorted(found, key=lambda row: row[0]) == rows
    with pytest.raises(SampleError, match="'text'"):
        dataframe_to_mds(data, mds_kwargs={"out": f"{out}-refused"}, encodings={"text": "str"})
    with pytest.raises(ConfigError, match="'id' has Spark type bigint.*'int64'"):
        dataframe_to_mds(data, mds_kwargs={"out": f"{out}-refused"}, encodings={"id": "int8"})


def test_the_command(session: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del session  # which the command finds
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"id": f"{name}{i}"}) + "\n" for i in range(50)))
    command = ["convert", f"{tmp_path}/*.jsonl", str(tmp_path / "out"), "--engine", "spark", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 100
    assert [row["id"] for row in LocalDataset(tmp_path / "out")[:]] == [f"{n}{i}" for n in "ab" for i in range(50)]
    assert main(command) == 2  # it is there
    assert "--force" in capsys.readouterr().err


def test_names_of_columns_and_places_that_are_taken(session: Any, tmp_path: Path) -> None:
    from streaming.converters.spark import dataframe_to_mds

    out = {"out": str(tmp_path / "out")}
    odd = session.createDataFrame([(1, 2, "x")], ["a.b", "sh ape", "é"])
    dataframe_to_mds(odd, mds_kwargs=out, encodings={"a.b": "int64?"})
    assert LocalDataset(tmp_path / "out")[0] == {"a.b": 1, "sh ape": 2, "é": "x"}
    with pytest.raises(FileExistsError, match="There is a dataset at .*exist_ok=True"):
        dataframe_to_mds(odd, mds_kwargs=out)
    dataframe_to_mds(odd, mds_kwargs={**out, "exist_ok": True})
    with pytest.raises(ConfigError, match="two columns 'é'"):
        dataframe_to_mds(odd.select("é", "é"), mds_kwargs={"out": str(tmp_path / "twice")})
    with pytest.raises(ConfigError, match="must be one of Spark, got a list"):
        dataframe_to_mds([{"a": 1}], mds_kwargs=out)  # pyright: ignore[reportArgumentType]


def test_a_task_is_tried_again(session: Any, tmp_path: Path) -> None:
    from streaming.converters.spark import dataframe_to_mds

    out, mark = tmp_path / "out", tmp_path / "mark"
    (out / "notes").mkdir(parents=True)

    def failing(frame: Any) -> Iterator[dict[str, Any]]:
        raise ValueError(f"no row of {len(frame)} is good")

    arguments: Any = {"out": str(out), "columns": {"id": "int", "text": "str"}, "size_limit": 2000}
    make = spark_program.Losing(str(mark), 70, executor=False)
    dataframe_to_mds(session.range(0, 100, 1, 2), True, arguments, make)
    assert mark.exists()
    shards_of(out)
    assert sorted(sample["id"] for sample in LocalDataset(out)[:]) == list(range(100))
    with pytest.raises(WorkerError, match="could not run a task: ValueError: no row of 50 is good. The same call"):
        dataframe_to_mds(session.range(0, 100, 1, 2), True, {**arguments, "out": f"{out}-refused"}, failing)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_an_executor_is_lost(tmp_path: Path) -> None:
    (tmp_path / "out" / "notes").mkdir(parents=True)
    program = spark_program.__file__
    path = os.pathsep.join([os.path.dirname(program), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, program, str(tmp_path / "out"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=True, timeout=380,
    )  # fmt: skip
    assert (tmp_path / "mark").exists()
    shards_of(tmp_path / "out")
    assert sorted(sample["id"] for sample in LocalDataset(tmp_path / "out")[:]) == list(range(600))


def test_the_original_path() -> None:
    from streaming.base.converters import dataframe_to_mds
    from streaming.converters import spark

    assert dataframe_to_mds is spark.dataframe_to_mds
