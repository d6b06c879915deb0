"""Processes killed at any moment: whoever comes next starts at once, and goes on with the bytes that are there.

``STREAMING_CRASHES`` is the number of kills for each case, 3 by default: one of each kind.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streaming import MDSWriter
from streaming.core.process.lock import remove_part

from budget import repetitions
from servers import WebServer, web_server

KILLS = repetitions("STREAMING_CRASHES", 3, 25)
N, ROW = 400, 10_000
# What processes that are killed leave in a temporary directory, and is not ours: PyTorch's sockets, the files by which it
# finds out why a worker died, its compiler's directory, and Python's trial of whether it can write there.
OTHERS = re.compile("pymp-|tmp|torch|[a-z0-9_]{8}$")
PROGRAM = Path(__file__).with_name("crash_program.py")

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers by Linux's /proc"),
    pytest.mark.timeout(120 + 20 * KILLS),
]


def value(i: int) -> bytes:
    return np.random.default_rng(i).bytes(ROW // 2) * 2


@pytest.fixture
def web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebServer]:
    """A server so slow that most moments are in the middle of something."""
    source = tmp_path / "source"
    columns = {"id": "int", "x": "bytes"}
    with MDSWriter(
        out=str(source), columns=columns, size_limit=20 * ROW, hashes=["xxh64"], compression=request.param
    ) as writer:
        for i in range(N):
            writer.write({"id": i, "x": value(i)})

    def slowly(handler: Any, path: str) -> bool:
        data = server.objects[path]
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        if handler.command == "HEAD":
            return True
        for begin in range(start, len(data), 16384):
            handler.wfile.write(data[begin : begin + 16384])
            time.sleep(0.008)
        return True

    with web_server() as server:
        server.objects.update({f"data/{path.name}": path.read_bytes() for path in source.iterdir()})
        server.fault = slowly
        yield server


class Jobs:
    """What the program does in one directory, and what that left behind."""

    def __init__(
        self, process: subprocess.Popen[str], web: WebServer, local: Path, limit: int, seed: int, remote: str = "data"
    ) -> None:
        self.process, self.rng = process, random.Random(seed)
        self.scratch, self.out, self.said = (
            local.with_name(f"{local.name}.{name}") for name in ("tmp", "json", "said")
        )
        self.scratch.mkdir()
        self.command = {"data": [f"{web.url}/{remote}", str(local), limit or None], "scratch": str(self.scratch)}
        self.command.update(out=str(self.out), said=str(self.said))

    def run(self, who: str | None, after: float) -> list[Any] | None:
        self.out.unlink(missing_ok=True)
        command = {**self.command, "who": who, "after": after, "seed": self.rng.random()}
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ended":
            pytest.fail(f"The program {answer or 'has ended'}.\n{self.errors()[-20000:]}")
        return json.loads(self.out.read_text()) if self.out.exists() else None

    def errors(self) -> str:
        return self.said.read_text()


def shm() -> set[str]:
    """What is there, but for what PyTorch, Python and Ray make and remove, and tests that run beside this one keep there.

    glibc's ``sem_open`` makes a semaphore, here one of a DataLoader's queues, under a name of six letters first, which stays
    when the process is killed before it has the name that it was asked for.
    """
    others = re.compile("sem\\.(mp-|[A-Za-z0-9]{6}$)|torch_|pymp-|plasma|ray|test-|streaming-test-|t[a-z0-9_]{8}$")
    return {name for name in os.listdir("/dev/shm") if not others.match(name)}


def requested(web: WebServer, since: int) -> dict[str, list[int]]:
    """Where each request for a shard began."""
    found: dict[str, list[int]] = {}
    for method, path, headers in web.requests[since:]:
        if method == "GET" and "shard" in path:
            by_name = {name.lower(): value for name, value in headers.items()}
            start = by_name.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
            found.setdefault(path.rpartition("/")[2], []).append(int(start))
    return found


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    """The program."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, str(PROGRAM)], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("web", "share"),
    [
        (None, 0),
        ("zstd:1", 0.5),
        pytest.param("zstd:1", 0, marks=pytest.mark.long),
        pytest.param(None, 0.5, marks=pytest.mark.long),
    ],
    indirect=["web"],
)
def test_killed_and_started_again(web: WebServer, process: subprocess.Popen[str], tmp_path: Path, share: float) -> None:
    total = N * ROW
    before = shm()
    undisturbed = Jobs(process, web, tmp_path / "whole", 0, 0)
    expected = undisturbed.run(None, 0)
    assert expected is not None
    assert sorted(i for i, _ in expected) == list(range(N))
    assert all(edge == (value(i)[:8] + value(i)[-8:]).hex() for i, edge in expected)
    assert undisturbed.errors() == ""

    seed = int(share * 10)
    rng = random.Random(seed)
    local = tmp_path / "cache"
    jobs = Jobs(process, web, local, int(total * share), seed)
    killed = 0
    while killed < KILLS:
        parts = sizes_of_parts(local)
        whole = {name for name in expected_files(web) if (local / name.removesuffix(".zstd")).exists()}
        since = len(web.requests)
        found = jobs.run(("worker", "rank", "all")[killed % 3], rng.uniform(0.05, 0.9))
        asked = requested(web, since)
        if found is None:
            killed += 1
        else:  # it was done before it could be killed
            assert found == expected
        if not share:
            assert not whole & set(asked), "fetched again"
            for name, size in parts.items():
                if name.endswith((".mds", ".zstd")):
                    assert all(start >= size for start in asked.get(name, [])), (name, size, asked[name])
        if found is not None:
            for path in local.glob("shard*"):
                path.unlink()
    time.sleep(0.1)
    assert jobs.run(None, 0) == expected
    assert "hangs" not in jobs.errors()
    wait_for_orphans(local)
    left = [path.name for path in local.glob("*.part*")]
    assert left == []
    for path in local.glob("*.mds"):
        assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
    if share:
        assert sum(path.stat().st_size for path in local.glob("shard*")) <= total * share
    assert shm() <= before
    assert [path.name for path in jobs.scratch.iterdir() if not OTHERS.match(path.name)] == []


FILES = 20


def write_parquet(path: Path, ids: range) -> None:
    table = pa.table({"id": ids, "x": [value(i) for i in ids]})
    pq.write_table(table, path, row_group_size=25, use_dictionary=False, compression="none")


def write_tar(path: Path, ids: range) -> None:
    with tarfile.open(path, "w") as archive:
        for i in ids:
            for name, data in (("id", str(i).encode()), ("x", value(i))):
                info = tarfile.TarInfo(f"{i}.{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("parquet", 0.5),
        ("tar", 0),
        pytest.param("parquet", 0, marks=pytest.mark.long),
        pytest.param("tar", 0.5, marks=pytest.mark.long),
    ],
)
def test_killed_while_files_are_read_in_place(
    process: subprocess.Popen[str], tmp_path: Path, kind: str, share: float
) -> None:
    before = shm()
    with web_server() as web:
        for number in range(FILES):
            path = tmp_path / f"{number}.{kind}"
            {"parquet": write_parquet, "tar": write_tar}[kind](
                path, range(N * number // FILES, N * (number + 1) // FILES)
            )
            web.objects[f"data/{path.name}"] = path.read_bytes()
        remote = f"data/{{0..{FILES - 1}}}.{kind}"
        expected = Jobs(process, web, tmp_path / "whole", 0, 0, remote).run(None, 0)
        assert expected is not None
        assert sorted(i for i, _ in expected) == list(range(N))
        assert all(edge == (value(i)[:8] + value(i)[-8:]).hex() for i, edge in expected)

        def slowly(handler: Any, path: str) -> bool:
            del handler, path
            time.sleep(0.03)
            return False

        web.fault = slowly
        seed = int(share * 10)
        rng = random.Random(seed)
        local = tmp_path / "cache"
        jobs = Jobs(process, web, local, int(N * ROW * share), seed, remote)
        killed = 0
        while killed < KILLS:
            found = jobs.run(("worker", "rank", "all")[killed % 3], rng.uniform(0.05, 0.9))
            killed += found is None
            if found is not None:  # it was done before it could be killed
                assert found == expected
                for path in local.glob("*.mds"):
                    path.unlink()
        time.sleep(0.1)
        assert jobs.run(None, 0) == expected
        assert "hangs" not in jobs.errors()
        wait_for_orphans(local)
    assert [path.name for path in local.glob("*.part*")] == []
    for path in local.glob("*.mds"):
        assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
    if share:
        assert sum(path.stat().st_size for path in local.glob("*.mds")) <= N * ROW * share
    assert shm() <= before
    assert [path.name for path in jobs.scratch.iterdir() if not OTHERS.match(path.name)] == []


def sizes_of_parts(local: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in local.glob("shard*.part"):
        with suppress(FileNotFoundError):  # a worker of a killed rank is about to end
            found[path.name.rpartition(".")[0].rpartition(".")[0]] = path.stat().st_size
    return found


def expected_files(web: WebServer) -> set[str]:
    return {path.rpartition("/")[2] for path in web.objects if "shard" in path}


def wait_for_orphans(local: Path) -> None:
    """Workers of a killed rank notice within seconds, and may be in the middle of a download."""
    deadline = time.monotonic() + 20
    while list(local.glob("*.part")) and time.monotonic() < deadline:
        for path in local.glob("*.part"):
            if path.stat().st_size == 0:
                remove_part(str(path))
        time.sleep(0.2)
