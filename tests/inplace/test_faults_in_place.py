"""Stores that fail and processes that are killed while files are read in place: each epoch is right, or says what failed."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.errors import ShardUnavailableError, SourceError, StorageError
from streaming.sources.kinds import lines, survey

from budget import pairings, repetitions
from servers import WebServer, web_server

EPOCHS = repetitions("STREAMING_FAULT_EPOCHS", 2, 20)
FILES, ROWS = 4, 60
KINDS = ["parquet", "tar", "jsonl.gz"]


def text_of(i: int) -> str:
    return f"{i} " * (20 + i % 7)


def write_parquet(ids: range) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"id": ids, "txt": [text_of(i) for i in ids]})
    pq.write_table(table, sink, row_group_size=20, write_page_checksum=True, use_dictionary=False)
    return sink.getvalue()


def write_tar(ids: range) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for i in ids:
            for name, data in (("id", str(i)), ("txt", text_of(i))):
                info = tarfile.TarInfo(f"{i}.{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data.encode()))
    return sink.getvalue()


def write_lines(ids: range) -> bytes:
    return gzip.compress("".join(json.dumps({"id": i, "txt": text_of(i)}) + "\n" for i in ids).encode())


WRITE: dict[str, Callable[[range], bytes]] = {"parquet": write_parquet, "tar": write_tar, "jsonl.gz": write_lines}


@pytest.fixture
def web(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A server of S3's protocol with files of a format, each of several shards."""
    for module, count in ((lines, 2000), (survey, 30_000)):
        monkeypatch.setattr(module, "_PIECE_BYTES", count)
    monkeypatch.setattr("streaming.inplace.cutting.SHARD_BYTES", 2000)
    with web_server() as server:
        for number in range(FILES):
            data = WRITE[request.param](range(number * ROWS, (number + 1) * ROWS))
            server.objects[f"bucket/data/file-{number}.{request.param}"] = data
        yield server


def slice_of(handler: Any, data: bytes) -> tuple[bytes, int, dict[str, str]]:
    """Return what a request asks for, and how the answer begins."""
    wanted = handler.headers.get("Range")
    tag = {"ETag": f'"{len(data)}"'}
    if wanted is None:
        return data, 200, tag
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    begin, end = int(first), min(int(last or len(data)) + 1, len(data))
    return data[begin:end], 206, {**tag, "Content_Range": f"bytes {begin}-{end - 1}/{len(data)}"}


def overloaded(handler: Any, data: bytes) -> None:
    handler.reply(503)


def cut(handler: Any, data: bytes) -> None:
    """Promise all, send the half, and break off."""
    body, status, headers = slice_of(handler, data)
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def short(handler: Any, data: bytes) -> None:
    body, status, headers = slice_of(handler, data)
    handler.reply(status, body[:-3], **headers)


def flipped(handler: Any, data: bytes) -> None:
    body, status, headers = slice_of(handler, data)
    damaged = bytearray(body)
    if len(body) > 100:
        damaged[len(body) // 3] ^= 1
    handler.reply(status, bytes(damaged), **headers)


def slow(handler: Any, data: bytes) -> None:
    time.sleep(0.2)
    body, status, headers = slice_of(handler, data)
    handler.reply(status, body, **headers)


class Dice:
    """Has one of the faults for a share of the requests, and counts them."""

    def __init__(self, web: WebServer, rate: float, seed: int, faults: tuple[Any, ...]) -> None:
        self.hits: Counter[str] = Counter()
        self._web, self._rate, self._faults = web, rate, faults
        self._rng = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, handler: Any, path: str) -> bool:
        with self._lock:
            is_file = handler.command == "GET" and path in self._web.objects
            if not is_file or (self.hits and self._rng.random() >= self._rate):
                return False
            fault = self._rng.choice(self._faults)
            self.hits[fault.__name__] += 1
        fault(handler, self._web.objects[path])
        return True


def epoch(web: WebServer, kind: str, local: Path, workers: int = 0, **more: Any) -> list[int]:
    keys = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "example"}
    arguments: dict[str, Any] = {"download_retry": 3, "download_timeout": 5, "batch_size": 4, "shuffle": True, **more}
    remote = f"s3://bucket/data/file-{{0..{FILES - 1}}}.{kind}"
    dataset = StreamingDataset(
        remote=remote, local=local, storage_options={"endpoint": web.url, **keys}, columns=["id", "txt"], **arguments
    )
    assert len(dataset.samples_per_shard) >= FILES
    found: list[int] = []
    for batch in StreamingDataLoader(dataset, batch_size=4, num_workers=workers, timeout=200 if workers else 0):
        for i, text in zip(batch["id"].tolist(), batch["txt"], strict=True):
            assert text == text_of(i)
            found.append(i)
    return found


@pytest.mark.parametrize(("web", "workers", "rate"), pairings(KINDS, [0, 2], [0.1, 0.4]), indirect=["web"])
def test_epochs_are_whole_or_raise(
    request: pytest.FixtureRequest, web: WebServer, tmp_path: Path, workers: int, rate: float
) -> None:
    kind = request.node.callspec.params["web"]
    whole = epoch(web, kind, tmp_path / "undisturbed", workers)
    assert sorted(whole) == list(range(FILES * ROWS))
    # Nothing in a tar tells whether the contents of a member are right.
    faults = (overloaded, cut, short, slow, *(() if kind == "tar" else (flipped,)))
    hits: Counter[str] = Counter()
    for seed in range(EPOCHS):
        web.fault = dice = Dice(web, rate, seed, faults)
        local = tmp_path / f"cache{seed}"
        error = ""
        try:
            assert epoch(web, kind, local, workers) == whole
        except (ShardUnavailableError, SourceError, StorageError) as raised:
            error = str(raised)
        assert not error or "file-" in error
        hits += dice.hits
        # What it had by then is right, so the next epoch goes on from there.
        web.fault = None
        assert epoch(web, kind, local, workers) == whole
        assert not list(local.rglob("*.part"))
    assert sum(hits.values()) >= EPOCHS


@pytest.mark.parametrize("web", KINDS, indirect=True)
def test_from_a_web_server(request: pytest.FixtureRequest, web: WebServer, tmp_path: Path) -> None:
    """Which lists nothing; indexes of tars are found all the same."""
    kind = request.node.callspec.params["web"]
    remote = f"{web.url}/bucket/data/file-{{0..{FILES - 1}}}.{kind}"
    if kind == "tar":
        places = [512 * begin for begin in range(0, 4 * ROWS + 1, 4)]  # a header and a block, twice a row
        web.objects["bucket/data/file-1.tar.idx"] = np.array(places, "<u8").tobytes()
    dataset = StreamingDataset(remote=remote, local=tmp_path, columns=["id"], batch_size=1)
    assert [row["id"] for row in dataset[:]] == list(range(FILES * ROWS))
    asked = [path for method, path, _ in web.requests if method == "GET" and path.endswith(".idx")]
    assert len(asked) == (2 * FILES - 1 if kind == "tar" else 0)
    with pytest.raises(StorageError, match=r"web server cannot be listed. Name them"):
        StreamingDataset(remote=f"{web.url}/bucket/data/file-*.{kind}", local=tmp_path / "all", batch_size=1)


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_what_a_damaged_file_says_of_places_is_not_followed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"file.{kind}"
    table = pa.table({"long_name": ["abc"] * 50})
    if kind == "arrow":
        with pa.ipc.new_file(path, table.schema) as out:
            out.write_table(table)
    else:
        pq.write_table(table, path)
    whole = path.read_bytes()
    offsets = (np.arange(51, dtype=np.int32) * 3).tobytes()
    at = whole.index(offsets) + 100 if kind == "arrow" else whole.index(b"long_name")
    path.write_bytes(whole[:at] + b"\xa9\xa9\xa9" + whole[at + 3 :])
    with pytest.raises((SourceError, ShardUnavailableError), match=f"{path.name} cannot be read"):
        list(StreamingDataset(remote=str(path), local=str(tmp_path / "local"), batch_size=2))
