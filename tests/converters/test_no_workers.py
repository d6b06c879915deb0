"""A cluster that has no worker, or workers without this package: what it was given waits, or fails, and that is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import streaming
from streaming import LocalDataset
from streaming.writing.parts import engines


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == engines.__name__]


@pytest.mark.skipif(find_spec("distributed") is None, reason="the extra `dask` is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["files", "frame"])
def test_dask_without_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    import dask.dataframe as dd
    import distributed
    import pandas as pd

    from streaming.converters.dask import dataframe_to_mds

    (tmp_path / "rows.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
    monkeypatch.setattr(engines, "_PATIENCE_S", 0.2)
    frame = dd.from_pandas(pd.DataFrame({"x": [1, 2]}), npartitions=1)
    out = tmp_path / "out"
    calls: dict[str, Callable[[], Any]] = {
        "files": lambda: streaming.convert(tmp_path / "rows.jsonl", out, engine="dask", progress_bar=False),
        "frame": lambda: dataframe_to_mds(frame, out, {"x": "int"}, progress_bar=False),
    }
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        distributed.Client(cluster),
    ):
        thread = Thread(target=calls[kind])
        thread.start()
        while not (told := said(caplog)) and thread.is_alive():
            time.sleep(0.02)
        assert "Dask has no worker" in told[0]
        assert thread.is_alive()
        waiting: Any = cluster
        waiting.scale(1)
        thread.join(120)
        assert not thread.is_alive()
    assert [row["x"] for row in LocalDataset(str(out))] == [1, 2]
    assert len(said(caplog)) == 1


def test_workers_without_this_package() -> None:
    told = str(engines.failed("Spark", ModuleNotFoundError("Task failed\nNo module named 'streaming'")))
    assert told.startswith("Spark could not run a task: No module named 'streaming'. Its workers run a Python without")
    assert "PYSPARK_PYTHON" in told
    assert "PYSPARK_PYTHON" not in str(engines.failed("Ray", ModuleNotFoundError("No module named 'streaming'")))
