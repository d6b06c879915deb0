"""Conversion by Ray and Dask, on clusters of several processes of which one is lost on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from streaming import LocalDataset
from streaming.cli.main import main
from streaming.core.errors import ColumnTypeError, ConfigError, SampleError

import cluster_program
from cluster_program import convert

ROWS = [{"id": i, "maybe": None if i % 5 == 3 else i, "text": "x" * (i % 40)} for i in range(600)]
PROGRAM = Path(cluster_program.__file__)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Six files of a hundred rows."""
    (tmp_path / "rows").mkdir()
    for number in range(6):
        lines = (json.dumps(row) + "\n" for row in ROWS[100 * number : 100 * number + 100])
        (tmp_path / "rows" / f"{number}.jsonl").write_text("".join(lines))
    return str(tmp_path / "rows")


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def rows_in(root: Path) -> list[dict[str, Any]]:
    return [dict(row) for row in LocalDataset(root)[:]]


@pytest.mark.skipif(find_spec("distributed") is None, reason="the extra `dask` is not installed")
@pytest.mark.filterwarnings("ignore")
def test_dask(tmp_path: Path, source: str) -> None:
    import dask.dataframe as dd
    import distributed
    import pandas as pd

    from streaming.converters.dask import dataframe_to_mds

    frame = dd.from_pandas(pd.DataFrame(ROWS).drop(columns="maybe"), npartitions=4)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster):
            report = convert("dask", source, str(tmp_path / "a"), str(tmp_path / "mark"))
            assert main(["convert", source, str(tmp_path / "shell"), "--engine", "dask", "--json"]) == 0
            assert dataframe_to_mds(frame, tmp_path / "frame", size_limit=2000, progress_bar=False).samples == 600
            with pytest.raises(SampleError, match="text"):
                dataframe_to_mds(frame, tmp_path / "refused", {"id": "int", "text": "int"}, progress_bar=False)
    assert (tmp_path / "mark").exists()
    assert report.samples == len(ROWS)
    found = files(tmp_path / "a")
    assert {name.split("/")[0] for name in found} == {"index.json", *(f"part-{n:05}" for n in range(6))}
    assert rows_in(tmp_path / "a") == ROWS
    assert rows_in(tmp_path / "shell") == ROWS
    assert [row["id"] for row in rows_in(tmp_path / "frame")] == list(range(600))
    dataframe_to_mds(frame, tmp_path / "alone", size_limit=2000, progress_bar=False)  # without a client
    assert rows_in(tmp_path / "alone") == rows_in(tmp_path / "frame")


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")
def test_ray(tmp_path: Path, source: str) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), os.environ.get("PYTHONPATH", "")]),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",  # processes begin when there is something for them
        "RAY_worker_niceness": "0",
        "RAY_health_check_timeout_ms": "120000",
        "RAY_raylet_start_wait_time_s": "120",
        "OMP_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as short:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), source, str(tmp_path), str(tmp_path / "mark"), short],
            capture_output=True, text=True, timeout=280, check=False, env=environment,
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    assert (tmp_path / "mark").exists()
    samples, unfit, there = done.stdout.splitlines()[-3:]
    assert samples == "600"
    assert unfit.startswith(ColumnTypeError.__name__), unfit
    assert "'maybe'" in unfit
    assert there.startswith("FileExistsError"), there
    assert rows_in(tmp_path / "converted") == ROWS
    assert rows_in(tmp_path / "shell") == ROWS
    assert rows_in(tmp_path / "sink") == ROWS
    tensors = LocalDataset(str(tmp_path / "sink-tensors"))
    assert [row["data"].tolist() for row in tensors[:]] == [[[i] * 3] * 2 for i in range(4)]


def test_what_engines_do_not_take(tmp_path: Path, source: str) -> None:
    from streaming import convert as convert_any

    with pytest.raises(ConfigError, match="'rey' is not known. Use one of 'local', 'ray', 'dask', 'spark'"):
        convert("rey", source, str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="append"):
        convert_any(source, tmp_path / "out", engine="ray", append=True)
    assert not (tmp_path / "out").exists()
