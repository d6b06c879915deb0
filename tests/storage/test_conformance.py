from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import conformance
from servers import WebServer

CHECKS = sorted(conformance.CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_local(name: str, tmp_path: Path) -> None:
    conformance.run(name, str(tmp_path / "store"), str(tmp_path))


@pytest.mark.parametrize("name", CHECKS)
def test_s3_by_helper(name: str, bucket: str, tmp_path: Path) -> None:
    conformance.run(name, f"{bucket}/some/prefix", str(tmp_path))


@pytest.mark.parametrize("name", CHECKS)
def test_s3_in_a_worker(name: str, bucket: str, tmp_path: Path, worker: ProcessPoolExecutor) -> None:
    worker.submit(conformance.run, name, f"{bucket}/some/prefix", str(tmp_path)).result(60)


@pytest.mark.parametrize("name", sorted(set(CHECKS) - conformance.NEED_LIST))
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no_ranges"])
def test_http_by_helper(name: str, web: WebServer, ranges: bool, tmp_path: Path) -> None:
    web.ranges = ranges
    web.objects["data/train"] = b""
    conformance.run(name, f"{web.url}/data/train", str(tmp_path))


@pytest.mark.parametrize("name", sorted(set(CHECKS) - conformance.NEED_LIST))
def test_http_in_a_worker(name: str, web: WebServer, tmp_path: Path, worker: ProcessPoolExecutor) -> None:
    web.objects["data/train"] = b""
    worker.submit(conformance.run, name, f"{web.url}/data/train", str(tmp_path)).result(60)
