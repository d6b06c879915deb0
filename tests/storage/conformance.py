"""What every store must do: one function a promise, given an empty store and a scratch directory.

A new family of stores is tested by adding it to ``test_conformance``.
"""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from streaming.core.errors import ConfigError, ObjectChangedError, ObjectNotFoundError
from streaming.storage import versions
from streaming.storage.helper.runtime import declare_worker
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store

CHECKS: dict[str, Callable[[Store, str], None]] = {}
BIG = "big_objects_are_put_in_parts"
NEED_LIST = {"list_is_recursive_and_sorted", "list_of_a_prefix", "list_many", BIG}


def check(function: Callable[[Store, str], None]) -> Callable[[Store, str], None]:
    CHECKS[function.__name__] = function
    return function


def _bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@check
def put_then_get(store: Store, scratch: str) -> None:
    for name, data in [("a", b"one"), ("deep/er/b.bin", _bytes(100_000)), ("empty", b""), ("a b+c%20é.txt", b"x")]:
        store.put(name, data)
        assert store.get(name) == data


@check
def put_replaces(store: Store, scratch: str) -> None:
    store.put("a", b"first, longer")
    store.put("a", b"second")
    assert store.get("a") == b"second"


@check
def put_of_a_file(store: Store, scratch: str) -> None:
    data = _bytes(300_000)
    path = os.path.join(scratch, "source")
    with open(path, "wb") as file:
        file.write(data)
    store.put("x/from-file", path)
    assert store.get("x/from-file") == data
    with pytest.raises(FileNotFoundError):
        store.put("x/none", os.path.join(scratch, "missing"))


@check
def big_objects_are_put_in_parts(store: Store, scratch: str) -> None:
    data = _bytes(17 << 20)  # of three parts
    path = os.path.join(scratch, "source")
    with open(path, "wb") as file:
        file.write(data)
    store.put("big", path)
    assert [(info.path, info.bytes) for info in store.list()] == [("big", len(data))]
    assert store.get("big") == data


@check
def ranges(store: Store, scratch: str) -> None:
    data = _bytes(10_000)
    store.put("a", data)
    for start, end in [
        (0, 1),
        (0, 10_000),
        (9_999, 10_000),
        (5_000, 20_000),
        (5, 5),
        (10_000, 10_001),
        (20_000, 30_000),
    ]:
        assert store.get_range("a", start, end) == data[start:end]


@check
def head_tells_the_size(store: Store, scratch: str) -> None:
    store.put("d/a", b"12345")
    info = store.head("d/a")
    assert isinstance(info, ObjectInfo)
    assert (info.path, info.bytes) == ("d/a", 5)


@check
def missing_objects(store: Store, scratch: str) -> None:
    store.put("there", b"x")
    target = os.path.join(scratch, "t")
    calls: list[Callable[[], object]] = [
        lambda: store.get("nope/x.txt"),
        lambda: store.head("nope/x.txt"),
        lambda: store.get_range("nope/x.txt", 0, 3),
        lambda: store.download("nope/x.txt", target, stall_timeout=30),
    ]
    for call in calls:
        with pytest.raises(ObjectNotFoundError, match=r"nope/x\.txt"):
            call()
    store.delete("nope/x.txt")


@check
def delete(store: Store, scratch: str) -> None:
    store.put("a/b", b"x")
    store.delete("a/b")
    with pytest.raises(FileNotFoundError):
        store.get("a/b")


@check
def list_is_recursive_and_sorted(store: Store, scratch: str) -> None:
    names = ["b", "a/z", "a/b/c", "a.txt", "a-1", "ab", "a/b.txt", "Z"]
    for name in names:
        store.put(name, name.encode())
    found = list(store.list())
    assert [info.path for info in found] == sorted(names)
    assert [info.bytes for info in found] == [len(name) for name in sorted(names)]


@check
def list_of_a_prefix(store: Store, scratch: str) -> None:
    for name in ["a/1", "a/b/2", "ab/3", "c"]:
        store.put(name, b"")
    assert [info.path for info in store.list("a")] == ["a/1", "a/b/2"]
    assert [info.path for info in store.list("a/")] == ["a/1", "a/b/2"]
    assert list(store.list("none")) == []


@check
def list_many(store: Store, scratch: str) -> None:
    names = [f"d{i % 7}/{i:04d}" for i in range(24)]
    for name in names:
        store.put(name, b"")
    assert [info.path for info in store.list()] == sorted(names)


@check
def download_from_the_start(store: Store, scratch: str) -> None:
    data = _bytes(3_000_000)
    store.put("s/big", data)
    target, seen = os.path.join(scratch, "t"), bytearray()
    assert store.download("s/big", target, sink=seen.extend, stall_timeout=30) == len(data)
    assert _read(target) == data
    assert seen == data


@check
def download_continues(store: Store, scratch: str) -> None:
    data = _bytes(200_000)
    store.put("a", data)
    target = os.path.join(scratch, "t")
    for offset in [1, 123_456, 199_999, 200_000]:
        with open(target, "wb") as file:
            file.write(data[:offset] + b"stale tail" * (offset % 2))
        seen = bytearray()
        assert store.download("a", target, offset=offset, sink=seen.extend, stall_timeout=30) == len(data)
        assert _read(target) == data
        assert seen == data[offset:]


@check
def download_of_nothing(store: Store, scratch: str) -> None:
    store.put("empty", b"")
    target = os.path.join(scratch, "t")
    assert store.download("empty", target, stall_timeout=30) == 0
    assert _read(target) == b""


@check
def download_needs_the_bytes_before(store: Store, scratch: str) -> None:
    store.put("a", b"12345")
    with pytest.raises(ConfigError, match="it has 0 bytes"):
        store.download("a", os.path.join(scratch, "t"), offset=3, stall_timeout=30)


@check
def versions_are_told(store: Store, scratch: str) -> None:
    """Reading says which version was read, and refuses another one than is asked for."""
    first, second = _bytes(150_000, 1), _bytes(150_001, 2)
    store.put("v", first)
    seen: list[ObjectInfo] = []
    target = os.path.join(scratch, "t")
    versions.download(store, "v", target, on_info=seen.append, stall_timeout=30)
    etag = seen[0].etag
    assert seen[0].bytes == len(first)
    assert etag == store.head("v").etag == versions.read(store, "v", 5, 10)[1].etag
    assert versions.read(store, "v", version=etag) == (first, seen[0])
    assert versions.read(store, "v", 5, 10, version=etag)[0] == first[5:10]
    assert versions.download(store, "v", target, offset=7, version=etag, stall_timeout=30) == len(first)
    assert _read(target) == first
    store.put("v", second)
    if etag is None:
        return  # a store of somebody's own that knows none
    calls: list[Callable[[], object]] = [
        lambda: versions.read(store, "v", version=etag),
        lambda: versions.read(store, "v", 5, 10, version=etag),
        lambda: versions.download(store, "v", target, offset=7, version=etag, stall_timeout=30),
    ]
    for call in calls:
        with pytest.raises(ObjectChangedError):
            call()
    assert versions.read(store, "v")[0] == second


@check
def what_the_sink_raises_passes(store: Store, scratch: str) -> None:
    store.put("a", _bytes(3_000_000))

    def sink(chunk: object) -> None:
        raise KeyError("mine")

    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            store.download("a", os.path.join(scratch, "t"), sink=sink, stall_timeout=30)
    assert len(store.get("a")) == 3_000_000


@check
def paths_stay_below_the_root(store: Store, scratch: str) -> None:
    for path in ["../x", "a/../../x", "/etc/passwd", "", ".", "a//b", "a/./b", "a/", "x\0y"]:
        for call in (store.get, store.head, store.delete, lambda p: store.put(p, b"")):
            with pytest.raises(ConfigError, match="below a store's root"):
                call(path)


@check
def survives_pickling(store: Store, scratch: str) -> None:
    store.put("a", b"1")
    other = pickle.loads(pickle.dumps(store))
    assert other.get("a") == b"1"
    assert repr(other) == repr(store)


@check
def the_root(store: Store, scratch: str) -> None:
    store.check_writable()
    assert store.exists_root()


@check
def many_threads(store: Store, scratch: str) -> None:
    data = {f"t/{i}": _bytes(20_000 + i, i) for i in range(16)}

    def work(name: str) -> bool:
        store.put(name, data[name])
        target = os.path.join(scratch, name.replace("/", "-"))
        size = store.download(name, target, stall_timeout=60)
        return size == len(data[name]) and _read(target) == store.get(name) == data[name]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, data))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def begin_worker(env: dict[str, str]) -> None:
    """Make this process a worker."""
    os.environ.update(env)
    declare_worker()


#: The name of each; one takes much memory.
NAMES = [pytest.param(name, marks=pytest.mark.apart if name == BIG else ()) for name in sorted(CHECKS)]


def run(name: str, url: str, scratch: str, options: Any = None) -> None:
    """Run one check, in whatever process this is."""
    CHECKS[name](open_store(url, options), scratch)
