from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import conformance
from clouds import Clouds
from conformance import BIG, NAMES
from servers import WebServer

CHECKS = sorted(conformance.CHECKS)


@pytest.mark.parametrize("name", NAMES)
def test_local(name: str, tmp_path: Path) -> None:
    conformance.run(name, str(tmp_path / "store"), str(tmp_path))


@pytest.mark.parametrize("name", NAMES)
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


# Families whose client is that of S3 need not do again what its own tests do.
SAME_CLIENT = ["list_is_recursive_and_sorted", "missing_objects", "put_then_get", "the_root"]
CASES = [
    (family, name)
    for family in ("gs", "azure", "hf", "volumes", "dbfs", "oci-native", "sftp", "fsspec")
    for name in CHECKS
]
CASES += [(family, name) for family in ("gs-hmac", "azure-dl", "oci") for name in SAME_CLIENT]
# The bytes go through the client: the same in a worker where it is of Python, and that of `sftp` where fsspec reaches it.
IN_A_WORKER = [BIG, "download_continues", "many_threads", "put_then_get"]


@pytest.mark.parametrize(("family", "name"), CASES)
def test_cloud_by_helper(family: str, name: str, clouds: Clouds, tmp_path: Path) -> None:
    place = clouds.place(family)
    conformance.run(name, place.url, str(tmp_path), place.options)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        pytest.param(family, name, marks=pytest.mark.long if name == BIG and family not in ("gs", "azure") else ())
        for family in ("gs", "azure", "hf", "volumes", "dbfs", "oci-native", "sftp", "fsspec")
        for name in IN_A_WORKER
    ],
)
def test_cloud_in_a_worker(family: str, name: str, clouds: Clouds, tmp_path: Path, worker: ProcessPoolExecutor) -> None:
    place = clouds.place(family)
    worker.submit(conformance.run, name, place.url, str(tmp_path), place.options).result(60)


@pytest.mark.parametrize("name", NAMES)
def test_fsspec_in_memory(name: str, tmp_path: Path) -> None:
    conformance.run(name, f"memory://{tmp_path}/store", str(tmp_path))


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long if name == BIG else ()) for name in CHECKS])
def test_fsspec_over_a_network(name: str, clouds: Clouds, tmp_path: Path) -> None:
    place = clouds.place("sftp")
    options = {"key_filename": place.options["key_file"]}
    conformance.run(name, f"fsspec+{place.url}", str(tmp_path), options)
