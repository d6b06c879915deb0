"""Faults of every kind, at a rate: each epoch has exactly the right samples, or raises the right exception.

``STREAMING_FAULT_EPOCHS`` is the number of epochs for each rate and number of workers, 2 by default.
"""

from __future__ import annotations

import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.errors import ChecksumError, ShardUnavailableError

from budget import pairings, repetitions
from sample_data import sample, write_dataset
from servers import WebServer, partial_body, web_server

EPOCHS = repetitions("STREAMING_FAULT_EPOCHS", 2, 20)
N = 600

pytestmark = pytest.mark.timeout(60 + 40 * EPOCHS)


@pytest.fixture(params=[None, "zstd"])
def web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebServer]:
    write_dataset(str(tmp_path / "source"), N, compression=request.param, size_limit=1500)
    with web_server() as server:
        for path in (tmp_path / "source").iterdir():
            server.objects[f"bucket/data/{path.name}"] = path.read_bytes()
        yield server


def overloaded(handler: Any, data: bytes) -> None:
    handler.reply(503)


def broken(handler: Any, data: bytes) -> None:
    handler.reply(500)


def cut(handler: Any, data: bytes) -> None:
    partial_body(handler, data, len(data) // 2)


def flipped(handler: Any, data: bytes) -> None:
    damaged = bytearray(data)
    damaged[len(data) // 3] ^= 1
    handler.reply(200, bytes(damaged))


def short(handler: Any, data: bytes) -> None:
    handler.reply(200, data[:-3])


def stalled(handler: Any, data: bytes) -> None:
    partial_body(handler, data, 100, 0.8)


def slow(handler: Any, data: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    for begin in range(0, len(data), 200):
        handler.wfile.write(data[begin : begin + 200])
        time.sleep(0.02)


FAULTS = (overloaded, broken, cut, flipped, short, stalled, slow)


class Dice:
    """Has one of the faults for a share of the requests for shards, and counts them."""

    def __init__(self, web: WebServer, rate: float, seed: int) -> None:
        self.hits: Counter[str] = Counter()
        self._web, self._rate = web, rate
        self._rng = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, handler: Any, path: str) -> bool:
        with self._lock:
            if "shard" not in path or self._rng.random() >= self._rate:
                return False
            fault = self._rng.choice(FAULTS)
            self.hits[fault.__name__] += 1
        fault(handler, self._web.objects[path])
        return True


def epoch(remote: str, cache: Path, workers: int, **kwargs: Any) -> list[int]:
    arguments: dict[str, Any] = {"download_retry": 2, "download_timeout": 0.4, **kwargs}
    data = StreamingDataset(remote=remote, local=str(cache), shuffle=True, batch_size=4, **arguments)
    found: list[int] = []
    for batch in StreamingDataLoader(data, batch_size=4, num_workers=workers, timeout=200 if workers else 0):
        for i, text in zip(batch["id"].tolist(), batch["text"], strict=True):
            assert sample(i) == {"id": i, "text": text}
            found.append(i)
    return found


@pytest.mark.parametrize(("web", "workers", "rate"), pairings([None, "zstd"], [0, 2], [0.1, 0.5]), indirect=["web"])
def test_epochs_are_whole_or_raise(web: WebServer, tmp_path: Path, workers: int, rate: float) -> None:
    """Faults may come again and again for the same shard here, so that some epochs have to give up."""
    whole = epoch(f"{web.url}/bucket/data", tmp_path / "undisturbed", workers)
    outcomes: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for seed in range(EPOCHS):
        web.fault = dice = Dice(web, rate, seed)
        cache = tmp_path / f"cache{seed}"
        error = ""
        try:
            assert epoch(f"{web.url}/bucket/data", cache, workers) == whole
            outcomes["whole"] += 1
        except (ShardUnavailableError, ChecksumError) as raised:
            error = str(raised)
            outcomes[type(raised).__name__] += 1
        assert not error or "shard." in error
        hits += dice.hits
        # What it had by then is right, so the next epoch goes on from there.
        web.fault = None
        assert epoch(f"{web.url}/bucket/data", cache, workers) == whole
        assert not list(cache.glob("*.part"))
    print(f"rate {rate}, {workers} workers: {dict(outcomes)}; faults {dict(hits)}")
    assert sum(hits.values()) > 0


class Tokens:
    """A server of S3's protocol whose session tokens are good for a few requests each."""

    def __init__(self, web: WebServer, requests_each: int) -> None:
        self.refused = 0
        self.left: dict[str, int] = {}
        self._each = requests_each
        self._lock = threading.Lock()
        web.fault = self

    def __call__(self, handler: Any, path: str) -> bool:
        with self._lock:
            token = handler.headers.get("x-amz-security-token")
            if path == "token":
                answer, text = 200, f"T{len(self.left)}"
                self.left[text] = self._each
            elif self.left.get(token, 0) > 0:
                self.left[token] -= 1
                return False
            else:
                self.refused += 1
                answer = 403
                text = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        handler.reply(answer, text.encode())
        return True


def options(web: WebServer, token: str) -> dict[str, Any]:
    keys = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "example", "session_token": token}
    return {"endpoint": web.url, **keys}


def asking(web: WebServer) -> Callable[[], dict[str, Any]]:
    """The function that a user gives to have credentials renewed."""

    def ask() -> dict[str, Any]:
        with urllib.request.urlopen(f"{web.url}/token", timeout=10) as answer:
            return options(web, answer.read().decode())

    return ask


@pytest.mark.parametrize("workers", [0, 2])
def test_credentials_that_expire_are_renewed(web: WebServer, tmp_path: Path, workers: int) -> None:
    tokens = Tokens(web, 1)  # with two workers too, one of them needs more than one
    found = epoch("s3://bucket/data", tmp_path / "cache", workers, storage_options=asking(web))
    assert sorted(found) == list(range(N))
    assert len(tokens.left) > 1
    assert tokens.refused > 0


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.long)])
def test_credentials_that_expire_for_good(web: WebServer, tmp_path: Path, workers: int) -> None:
    tokens = Tokens(web, 6)
    fixed = asking(web)()
    with pytest.raises(ShardUnavailableError, match=r"shard\.\d+.*ExpiredToken") as raised:
        epoch("s3://bucket/data", tmp_path / "cache", workers, storage_options=fixed, download_retry=8)
    assert "credentials" in str(raised.value).lower()
    assert tokens.refused > 0
    assert sorted(epoch("s3://bucket/data", tmp_path / "cache", workers, storage_options=asking(web))) == list(range(N))
