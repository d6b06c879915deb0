from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from streaming.core.errors import ConfigError, ThrottledError, UnavailableError
from streaming.storage.helper.gate import Gate
from streaming.storage.registry import open_store

from servers import WebServer


def throttle(gate: Gate) -> None:
    with pytest.raises(ThrottledError), gate.turn("x"):
        raise ThrottledError("slow down")


def test_so_many_and_no_more() -> None:
    gate, lock, counts = Gate(3), threading.Lock(), [0, 0]
    together = threading.Barrier(3)

    def work(_: int) -> None:
        with gate.turn("x"):
            with lock:
                counts[0] += 1
                counts[1] = max(counts)
            together.wait(10)
            with lock:
                counts[0] -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    assert counts == [0, 3]


def test_halves_when_throttled_and_recovers() -> None:
    gate = Gate(16)
    throttle(gate)
    assert gate.limit == 8
    for _ in range(10):
        throttle(gate)
    assert gate.limit == 1
    with pytest.raises(UnavailableError), gate.turn("x"):
        raise UnavailableError("something else")
    assert gate.limit == 1
    for _ in range(200):
        with gate.turn("x"):
            pass
    assert gate.limit == 16


def test_requests_under_way_together_count_once() -> None:
    gate, together = Gate(8), threading.Barrier(8)

    def work(_: int) -> None:
        with pytest.raises(ThrottledError), gate.turn("x"):
            together.wait(10)
            raise ThrottledError("slow down")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert gate.limit == 4


def test_waiting_ends() -> None:
    gate = Gate(1, wait_s=0.05)
    with gate.turn("s3://b/x"), pytest.raises(ThrottledError, match=r"s3://b/y.*max_concurrency"):
        with gate.turn("s3://b/y"):
            pass
    with gate.turn("s3://b/z"):
        pass


def test_a_store_keeps_to_it(web: WebServer) -> None:
    lock, counts = threading.Lock(), [0, 0]
    web.objects["d/a"] = b"1"

    def fault(handler: Any, path: str) -> bool:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        threading.Event().wait(0.02)
        with lock:
            counts[0] -= 1
        return False

    web.fault = fault
    store = open_store(f"{web.url}/d", {"max_concurrency": 2})
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: store.get("a"), range(16))) == [b"1"] * 16
    assert counts[1] <= 2
    with pytest.raises(ConfigError, match="max_concurrency is 0"):
        open_store(f"{web.url}/d", {"max_concurrency": 0})
