"""The benchmark suite starts: it lists its cases, and measures a small one of this library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def python(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=100, check=False)


def child(folder: Path, operations: list[str], **options: object) -> dict[str, dict[str, float]]:
    job = {"system": "ours", "kind": "tokens", "folder": str(folder), "seconds": 0.05}
    done = python(str(BENCHMARKS / "child.py"), json.dumps({**job, "operations": operations, "options": options}))
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["operation"] for line in lines] == operations, done.stderr
    return {line.pop("operation"): line for line in lines}


def test_the_cases_are_listed() -> None:
    done = python(str(BENCHMARKS / "run.py"), "--list", "--only", "read-tokens")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("read-tokens ")
    assert {"get", "iterate", "ours", "limit", "original", "litdata", "webdataset"} <= set(done.stdout.split())


def test_an_unknown_case_is_an_error() -> None:
    done = python(str(BENCHMARKS / "run.py"), "--only", "reading")
    assert done.returncode != 0
    assert "--list" in done.stderr


def test_memory_is_the_process_own() -> None:
    program = "from measure import peak_mb; print(peak_mb())"
    started = (
        "import os, subprocess, sys; held = bytearray(os.urandom(1) * 300_000_000);"
        f"print(subprocess.check_output([sys.executable, '-c', {program!r}], cwd={str(BENCHMARKS)!r}, text=True))"
    )
    done = python("-c", started)
    assert 1 < float(done.stdout) < 100, done.stderr


def test_reading_is_measured(tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    child(folder, ["prepare"], samples=600, shard_bytes=1 << 20)
    figures = child(folder, ["get", "get_many", "iterate", "loader0"])
    assert all(line["cpu"] > 0 and line["wall"] > 0 for line in figures.values())


def test_the_table_says_what_failed_and_what_is_met(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import report

    runs = {"ours": [{"cpu": 2.0}, {"cpu": 1.0}, {"cpu": 3.0}], "limit": [{"cpu": 1.0}], "original": [{"cpu": 30.0}]}
    results = {"read-tokens": {system: {"get": given} for system, given in runs.items()}}
    results["read-tokens"]["litdata"] = {"get": [{"error": "no such thing"}]}
    row = report.table(results).splitlines()[2]
    figures, ratios = ["2.00 µs", "1.00 µs", "30.0 µs", "FAILED 1 of 1"], ["2.0x", "15.0x", ""]
    assert row.split(" | ")[1:] == [*figures, *ratios, "9x", "yes |"]
    assert report.failures(results) == ["FAILED read-tokens get litdata, 1 of 1: no such thing"]
