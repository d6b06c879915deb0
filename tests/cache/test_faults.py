"""A web server that misbehaves: an epoch has exactly the right samples, or raises the right exception."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.core.errors import StalledError

from sample_data import write_dataset
from servers import WebServer, partial_body, web_server

N = 600


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    source = tmp_path / "source"
    write_dataset(str(source), N, compression="zstd")
    with web_server() as server:
        server.objects.update({f"data/{path.name}": path.read_bytes() for path in source.iterdir()})
        yield server


def epoch(web: WebServer, cache: Path, workers: int, **kwargs: Any) -> list[int]:
    arguments: dict[str, Any] = {"download_retry": 8, "download_timeout": 1.0, **kwargs}
    data = StreamingDataset(remote=f"{web.url}/data", local=str(cache), shuffle=True, batch_size=4, **arguments)
    loader = StreamingDataLoader(data, batch_size=4, num_workers=workers, timeout=200 if workers else 0)
    return [i for batch in loader for i in batch["id"].tolist()]


def sometimes(rate: float, fault: Callable[[Any, str, bytes], None], web: WebServer) -> Callable[[Any, str], bool]:
    """Have a fault for some of the requests for shards, never twice in a row for the same one."""
    rng = random.Random(7)
    lock = threading.Lock()
    last: set[str] = set()

    def decide(handler: Any, path: str) -> bool:
        with lock:
            hit = "shard" in path and path not in last and rng.random() < rate
            last.discard(path)
            if hit:
                last.add(path)
        if hit:
            fault(handler, path, web.objects[path])
        return hit

    return decide


@pytest.mark.parametrize("prefix", ["", "fsspec+"])
def test_a_silent_index_is_waited_for_as_long_as_a_shard(web: WebServer, tmp_path: Path, prefix: str) -> None:
    released = threading.Event()

    def silent(handler: Any, path: str) -> bool:
        partial_body(handler, web.objects[path], 20)
        released.wait(50)
        return True

    web.fault = silent
    with pytest.raises(StalledError, match=r"data/index.json: nothing came for 0.4 s"):
        StreamingDataset(
            remote=f"{prefix}{web.url}/data", local=str(tmp_path), download_timeout=0.4, download_retry=0, batch_size=4
        )
    released.set()


def overloaded(handler: Any, path: str, data: bytes) -> None:
    handler.reply(503)


def throttled(handler: Any, path: str, data: bytes) -> None:
    handler.reply(429)


def cut(handler: Any, path: str, data: bytes) -> None:
    partial_body(handler, data, len(data) // 2)


def flipped(handler: Any, path: str, data: bytes) -> None:
    damaged = bytearray(data)
    damaged[len(data) // 3] ^= 1
    handler.reply(200, bytes(damaged))


def short(handler: Any, path: str, data: bytes) -> None:
    handler.reply(200, data[:-3])


def stalled(handler: Any, path: str, data: bytes) -> None:
    partial_body(handler, data, 100, 2.5)


def slow(handler: Any, path: str, data: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    for begin in range(0, len(data), 200):
        handler.wfile.write(data[begin : begin + 200])
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("fault", "workers"),
    [(overloaded, 2), (throttled, 0), (cut, 0), (cut, 2), (flipped, 0), (short, 0), (stalled, 2), (slow, 0)],
)
def test_faults_that_pass(web: WebServer, tmp_path: Path, fault: Any, workers: int) -> None:
    web.fault = sometimes(0.2, fault, web)
    assert sorted(epoch(web, tmp_path / "cache", workers)) == list(range(N))
    web.fault = None
    before = len(web.requests)
    assert sorted(epoch(web, tmp_path / "cache", workers)) == list(range(N))
    assert not any("shard" in path for _, path, _ in web.requests[before:])


STAYING: list[tuple[Any, type[Exception], str]] = [
    (overloaded, RuntimeError, "503"),
    (cut, RuntimeError, "shard"),
    (flipped, ValueError, "Checksum"),
    (short, ValueError, "Checksum"),
    (lambda handler, path, data: handler.reply(404), RuntimeError, "404"),
    (lambda handler, path, data: handler.reply(403), RuntimeError, "403"),
]


@pytest.mark.parametrize(
    ("fault", "error", "text", "workers"),
    [
        *((*fault, 0) for fault in STAYING),
        *(pytest.param(*fault, 2, marks=() if fault[0] in (cut, flipped) else pytest.mark.long) for fault in STAYING),
    ],
)
def test_faults_that_stay(
    web: WebServer, tmp_path: Path, fault: Any, error: type[Exception], text: str, workers: int
) -> None:
    victim = "data/shard.00003.mds.zstd"

    def decide(handler: Any, path: str) -> bool:
        if path == victim:
            fault(handler, path, web.objects[path])
        return path == victim

    web.fault = decide
    # How long a 503 is borne follows from the timeout. The other shards must come, however busy the machine is.
    patience = {"download_timeout": 0.5} if fault is overloaded else {"download_timeout": 10, "download_retry": 1}
    with pytest.raises(error, match=text) as raised:
        epoch(web, tmp_path / "cache", workers, **patience)
    assert "shard.00003" in str(raised.value)
    assert not (tmp_path / "cache" / "shard.00003.mds").exists()
    web.fault = None
    assert sorted(epoch(web, tmp_path / "cache", workers)) == list(range(N))


def test_credentials_that_expire(web: WebServer, tmp_path: Path) -> None:
    served = []

    def decide(handler: Any, path: str) -> bool:
        served.append(path)
        if len(served) > 5:
            handler.reply(401)
        return len(served) > 5

    web.fault = decide
    with pytest.raises(RuntimeError, match="401"):
        epoch(web, tmp_path / "cache", 2)
    web.fault = None
    assert sorted(epoch(web, tmp_path / "cache", 2)) == list(range(N))


def test_each_shard_is_fetched_once(web: WebServer, tmp_path: Path) -> None:
    assert sorted(epoch(web, tmp_path / "cache", 4)) == list(range(N))
    fetched = [path for method, path, _ in web.requests if method == "GET" and "shard" in path]
    assert len(fetched) == len(set(fetched))


def test_what_came_before_a_break_is_not_fetched_again(tmp_path: Path) -> None:
    source, name, kept = tmp_path / "source", "data/shard.00000.mds", 5 << 20
    with MDSWriter(columns={"x": "bytes"}, out=str(source), hashes=["xxh64"]) as writer:
        for i in range(6):
            writer.write({"x": bytes([i]) * (1 << 20)})
    broken: list[int] = []
    with web_server() as web:
        web.objects.update({f"data/{path.name}": path.read_bytes() for path in source.iterdir()})

        def decide(handler: Any, path: str) -> bool:
            if path != name or broken:
                return False
            broken.append(1)
            partial_body(handler, web.objects[name], kept)
            return True

        web.fault = decide
        dataset = StreamingDataset(remote=f"{web.url}/data", local=str(tmp_path / "cache"))
        assert dataset[5]["x"] == bytes([5]) * (1 << 20)
        ranges = [
            headers.get("Range", headers.get("range")) for _, path, headers in web.requests if path.endswith(name)
        ]
    first = int(str(ranges[-1]).removeprefix("bytes=").partition("-")[0])
    assert 0 < first <= kept
