"""Several ranges in one errand: each is right or left out, and no more requests are under way than may be."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from streaming.storage.helper.gate import Gate
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.registry import open_store

from servers import WebServer

Wanted = list[tuple[str, int, int, "str | None"]]


@pytest.fixture
def store(web: WebServer) -> RemoteStore:
    """A bucket of 40 objects of 100 bytes, of which 5 requests may be under way."""
    for i in range(40):
        web.objects[f"b/d/{i}"] = bytes([i]) * 50 + bytes(range(50))
    options = {"endpoint": web.url, "access_key_id": "a", "secret_access_key": "b", "max_concurrency": 5}
    opened = open_store("s3://b/d", options)
    assert isinstance(opened, RemoteStore)
    return opened


def wanted(web: WebServer) -> Wanted:
    return [(f"{i}", 40 + i, 90, web.etag(web.objects[f"b/d/{i}"]) if i % 2 else None) for i in range(40)]


def test_each_comes_once_and_so_many_at_a_time(web: WebServer, store: RemoteStore) -> None:
    lock, counts = threading.Lock(), [0, 0]

    def fault(handler: Any, path: str) -> bool:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        threading.Event().wait(0.005)
        with lock:
            counts[0] -= 1
        return False

    web.fault = fault
    found = list(store.read_several(wanted(web)))
    assert sorted(number for number, _ in found) == list(range(40))
    for number, data in found:
        assert bytes(data) == web.objects[f"b/d/{number}"][40 + number : 90]
    assert len(web.requests) == 40
    assert counts[1] <= 5
    assert store.read("3", 0, 10)[0] == bytes([3]) * 10  # those that were under way have given back their turns


def test_what_changed_is_left_out(web: WebServer, store: RemoteStore) -> None:
    asked = wanted(web)
    web.objects["b/d/7"] += b"more"
    found = dict(store.read_several(asked))
    assert 7 not in found
    assert len(found) == 39


@pytest.mark.parametrize("status", [404, 503])
def test_after_a_failure_no_other_is_begun(web: WebServer, store: RemoteStore, status: int) -> None:
    def fault(handler: Any, path: str) -> bool:
        if path == "b/d/3":
            handler.reply(status)
        return path == "b/d/3"

    web.fault = fault
    asked = wanted(web)
    # Whichever requests overtake it, what came is right, and nothing is raised.
    for number, data in store.read_several(asked[:4]):
        assert number < 3
        assert bytes(data) == web.objects[f"b/d/{number}"][40 + number : 90]
    web.requests.clear()
    assert list(store.read_several([asked[3]] * 5 + asked[10:])) == []
    assert {path.rpartition("/")[2] for _, path, _ in web.requests} == {"3"}


def test_who_leaves_early_leaves_the_rest(web: WebServer, store: RemoteStore) -> None:
    items = store.read_several(wanted(web))
    next(items)
    del items
    assert dict(store.read_several([("1", 0, 50, None)])) == {0: bytes([1]) * 50}


def test_several_turns() -> None:
    gate = Gate(8)
    with gate.turn("x", 5) as first, gate.turn("x", 5) as second:
        assert (first, second) == (5, 3)
    with gate.turn("x", 100) as every:
        assert every == 8
