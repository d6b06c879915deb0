"""Processes killed at any moment of a conversion: what is written is what it would have been."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import streaming
from streaming import LocalDataset

from budget import repetitions

ROWS = [{"id": i, "maybe": None if i % 5 == 3 else i, "text": "x" * (i % 40)} for i in range(600)]
PROGRAM = Path(__file__).with_name("kills_program.py")
HAS = {
    "local": True,
    "ray": find_spec("ray") is not None,
    "dask": find_spec("distributed") is not None,
    "spark": find_spec("pyspark") is not None and shutil.which("java") is not None,
}


def run(engine: str, source: Path, out: Path, kills: int) -> str:
    environment = {
        **os.environ,
        "HOME": str(out),
        "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), os.environ.get("PYTHONPATH", "")]),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_health_check_timeout_ms": "120000",
        "RAY_raylet_start_wait_time_s": "120",
        "OMP_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as short:
        command = [sys.executable, str(PROGRAM), engine, str(source), str(out), short, str(kills), "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=environment)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.timeout(1000)
@pytest.mark.parametrize("engine", ["local", *(pytest.param(name, marks=pytest.mark.long) for name in list(HAS)[1:])])
def test_processes_are_killed(tmp_path: Path, engine: Any) -> None:
    if not HAS[engine]:
        pytest.skip(f"the extra `{engine}` is not installed, or has no Java")
    source, out = tmp_path / "rows", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    for number in range(6):
        lines = (json.dumps(row) + "\n" for row in ROWS[100 * number : 100 * number + 100])
        (source / f"{number}.jsonl").write_text("".join(lines))
    kills = repetitions("STREAMING_TEST_KILLS", 2, 20)
    said = run(engine, source, out, kills)
    print(said)
    assert f"{engine}: {kills} kills" in said
    options: Any = {"size_limit": 2000, "compression": "zstd", "hashes": ["xxh64"], "progress_bar": False}
    streaming.convert(source, tmp_path / "undisturbed", workers=0, **options)
    wanted = files(tmp_path / "undisturbed")
    for made in sorted(out.glob("[0-9]*")):
        if engine == "local":
            assert files(made) == wanted, made
        assert [dict(row) for row in LocalDataset(made)[:]] == ROWS, made
