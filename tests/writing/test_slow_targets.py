"""Writers whose disk or store is slower than the samples come, or fails behind their back."""

from __future__ import annotations

import os
import threading
import time
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from streaming import MDSWriter
from streaming.core.errors import UploadError

from servers import web_server

SHARDS = 16
CORES = 3
# Of one sample each: those that are built at once, one that waits for that, and one that is begun.
MOST = CORES + 3


@pytest.fixture(autouse=True)
def _cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: CORES)


def start(writer: MDSWriter) -> tuple[threading.Thread, list[int]]:
    """Write in a thread until it stands still; return it and the samples that it was rid of."""
    taken: list[int] = []

    def produce() -> None:
        for i in range(SHARDS):
            writer.write({"x": b"x" * 1000})
            taken.append(i)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    before = -1
    while len(taken) != before:  # one that does not wait is through by then
        before = len(taken)
        time.sleep(0.2)
    return thread, taken


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_samples_wait_for_a_disk_that_stands_still(
    tmp_path: Path, compression: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What else lies at such a name is removed; these stand for a disk.
    monkeypatch.setattr("streaming.writing.publish.target.open_new", lambda path: FileIO(path, "w"))
    writer = MDSWriter(
        columns={"x": "bytes"}, out=str(tmp_path), size_limit=1500, compression=compression, hashes=["sha1"]
    )
    suffix = "mds" if compression is None else f"mds.{compression}"
    parts = [tmp_path / f"shard.{i:05}.{suffix}.part" for i in range(SHARDS)]
    for part in parts:
        os.mkfifo(part)  # opening it to write waits until somebody reads
    producer, taken = start(writer)
    assert len(taken) <= MOST
    stored: list[int] = []
    reader = threading.Thread(target=lambda: stored.extend(len(part.read_bytes()) for part in parts), daemon=True)
    reader.start()
    producer.join(30)
    with pytest.raises(UploadError, match=f"{SHARDS} of {SHARDS} files"):
        writer.finish()  # no index of shards that went down a pipe
    reader.join(30)
    assert [entry["samples"] for entry in writer.shards] == [1] * SHARDS
    assert stored == [(entry["zip_data"] or entry["raw_data"])["bytes"] for entry in writer.shards]


def test_samples_wait_for_uploads_that_stand_still(tmp_path: Path) -> None:
    go_on = threading.Event()

    def stand_still(handler: Any, _path: str) -> bool:
        if handler.command == "PUT":
            go_on.wait(20)
        return False

    with web_server() as server:
        server.objects["data"] = b""
        out = (str(tmp_path / "local"), f"{server.url}/data")
        writer = MDSWriter(columns={"x": "bytes"}, out=out, size_limit=1500, max_workers=2)
        server.fault = stand_still
        producer, taken = start(writer)
        # Two shards are being uploaded, besides those that are built.
        assert len(taken) <= MOST + 2
        assert len(os.listdir(tmp_path / "local")) <= 3 + MOST
        go_on.set()
        producer.join(30)
        writer.finish()
        assert len([name for name in server.objects if name.endswith(".mds")]) == SHARDS
        assert "data/index.json" in server.objects


def write_until_refused(writer: MDSWriter) -> None:
    for _ in range(10_000):
        writer.write({"x": b"x" * 1000})
        time.sleep(0.001)


def test_a_disk_that_fails_is_told_at_the_next_sample(tmp_path: Path) -> None:
    writer = MDSWriter(columns={"x": "bytes"}, out=str(tmp_path), size_limit=1500)
    (tmp_path / "shard.00001.mds.part").mkdir()  # where the second shard is to be written
    with pytest.raises(RuntimeError, match="Could not write shard 1 of"):
        write_until_refused(writer)
    for again in (writer.finish, lambda: writer.write({"x": b""})):
        with pytest.raises(RuntimeError, match="Could not write shard 1 of"):
            again()
    assert not (tmp_path / "index.json").exists()


def test_any_other_error_of_the_background_is_told_too(tmp_path: Path) -> None:
    writer = MDSWriter(columns={"x": "bytes"}, out=str(tmp_path), size_limit=1500)
    broken: Any = 5
    writer.new_samples.append(broken)
    with pytest.raises(TypeError):
        write_until_refused(writer)
    with pytest.raises(TypeError):
        writer.finish()
    assert not (tmp_path / "index.json").exists()
