"""A Spark ``DataFrame`` as a dataset, on a local cluster of two threads."""

from __future__ import annotations

import os
import shutil
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

from streaming import StreamingDataset  # noqa: E402
from streaming.core.errors import ConfigError  # noqa: E402


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ.update(PYSPARK_PYTHON=sys.executable, PYSPARK_DRIVER_PYTHON=sys.executable)
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    # Java's second compiler, and collectors with threads of their own, pay in hours; checks of Spark's bytecode never.
    options = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
    builder = builder.config("spark.driver.extraJavaOptions", options)
    builder = builder.config("spark.sql.shuffle.partitions", "2")
    spark = (
        builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
    )
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


def test_the_original_path() -> None:
    from streaming.base.converters import dataframe_to_mds
    from streaming.converters import spark

    assert dataframe_to_mds is spark.dataframe_to_mds
