"""fsspec: which URLs it serves, what its file systems raise, and how it fares with processes."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    MissingDependencyError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    ThrottledError,
    UnavailableError,
    UnknownNameError,
)
from streaming.storage.registry import open_store
from streaming.storage.store import Store

from sample_data import write_dataset
from servers import WebServer

SECRET = "hunter2SECRET"


class Ours(LocalFileSystem):
    """A file system that wants a token, and fails when it is told to."""

    protocol = "ours"
    fails: Exception | None = None
    waits: threading.Event | None = None

    def __init__(self, token: str = "", **kwargs: Any) -> None:
        if token not in ("", SECRET):
            raise PermissionError("wrong token")
        super().__init__(**kwargs)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("ours://"))

    def info(self, path: str, **kwargs: Any) -> Any:
        if Ours.fails is not None:
            raise Ours.fails
        if Ours.waits is not None:
            Ours.waits.wait(30)
        return super().info(path, **kwargs)


@pytest.fixture(autouse=True)
def _register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ours, "fails", None)
    monkeypatch.setattr(Ours, "waits", None)
    fsspec.register_implementation("ours", Ours, clobber=True)


def at(folder: Path, **options: Any) -> Store:
    return open_store(f"ours://{folder}/store", options)


def test_options_are_passed_on_and_stay_out_of_sight(tmp_path: Path) -> None:
    store = at(tmp_path, token=SECRET, max_concurrency=2)
    store.put("a", b"1")
    assert store.get("a") == b"1"
    assert SECRET not in repr(vars(store))
    assert SECRET.encode() not in pickle.dumps(store)
    with pytest.raises(AccessDeniedError, match="wrong token.*storage_options"):
        at(tmp_path, token="x").get("a")
    with pytest.raises(ConfigError, match="max_concurrency"):
        at(tmp_path, max_concurrency=0)


def test_options_by_a_function(tmp_path: Path) -> None:
    calls: list[int] = []

    def credentials() -> dict[str, Any]:
        calls.append(1)
        return {"token": SECRET if len(calls) > 1 else "expired"}

    store = open_store(f"ours://{tmp_path}/store", credentials)
    with pytest.raises(AccessDeniedError):
        store.put("a", b"1")
    store.put("a", b"1")
    assert len(calls) == 2


def test_options_that_it_does_not_take() -> None:
    class Strict(fsspec.AbstractFileSystem):
        protocol = "strict"

        def __init__(self, one: int) -> None:
            super().__init__()

    fsspec.register_implementation("strict", Strict, clobber=True)
    with pytest.raises(ConfigError, match="does not take this URL with the storage options password") as raised:
        open_store("strict://x/y", {"password": SECRET}).get("a")
    assert SECRET not in str(raised.value)


class HttpError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status} for https://user:{SECRET}@host/x?sig={SECRET}")
        self.status = status


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("x"), ObjectNotFoundError),
        (PermissionError("x"), AccessDeniedError),
        (TimeoutError("x"), StalledError),
        (ConnectionResetError("x"), UnavailableError),
        (OSError("x"), StorageError),
        (RuntimeError("x"), StorageError),
        (HttpError(404), ObjectNotFoundError),
        (HttpError(403), AccessDeniedError),
        (HttpError(429), ThrottledError),
        (HttpError(500), StorageError),
    ],
    ids=repr,
)
def test_failures_are_translated(
    error: Exception, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = at(tmp_path)
    store.put("a", b"1")
    monkeypatch.setattr(Ours, "fails", error)
    with pytest.raises(kind, match="store/a") as raised:
        store.head("a")
    assert type(raised.value) is kind
    assert SECRET not in str(raised.value)


def test_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = at(tmp_path)
    store.put("a", b"1")
    waits = threading.Event()
    monkeypatch.setattr(Ours, "waits", waits)
    with pytest.raises(StalledError, match="store/a: nothing came for 0.3 s"):
        store.download("a", str(tmp_path / "t"), stall_timeout=0.3)
    waits.set()
    assert store.download("a", str(tmp_path / "t")) == 1


def test_denied_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(tmp_path).put("sub/a", b"1")

    def ls(self: Any, path: str, detail: bool = True, **kwargs: Any) -> Any:
        if path.endswith("sub"):
            raise PermissionError(path)
        return LocalFileSystem.ls(self, path, detail, **kwargs)

    monkeypatch.setattr(Ours, "ls", ls, raising=False)
    with pytest.raises(AccessDeniedError):
        list(at(tmp_path).list())


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("s4://bucket/x", r"No store serves the scheme 's4'. Did you mean s3://\? Known: .*sftp"),
        ("alipan:///data", "No store serves the scheme 'alipan'.*install the package that brings one"),
        ("fsspec+nosuch://x", "fsspec has no file system for nosuch://"),
    ],
)
def test_unknown_schemes(url: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        open_store(url)


def test_a_package_that_a_file_system_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"class": "no_such_package.FileSystem", "err": "Install no-such-package"}
    monkeypatch.setitem(known_implementations, "lacking", entry)
    with pytest.raises(MissingDependencyError, match="lacking://: Install no-such-package"):
        open_store("lacking://x")


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fsspec", "fsspec.registry"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnknownNameError, match=r"pip install 'streaming-dataset\[fsspec\]'"):
        open_store("memory://x")
    with pytest.raises(MissingDependencyError, match=r"pip install 'streaming-dataset\[fsspec\]'"):
        open_store("fsspec+s3://x")


def test_stores_of_the_package_go_first(tmp_path: Path) -> None:
    assert type(open_store(f"file://{tmp_path}")).__name__ == "LocalStore"
    assert type(open_store("s3://bucket/x")).__name__ == "RemoteStore"
    assert type(open_store(f"local://{tmp_path}")).__name__ == "FsspecStore"


def test_a_listing_is_never_an_old_one(tmp_path: Path) -> None:
    store, other = open_store(f"memory://{tmp_path}"), open_store(f"memory://{tmp_path}/x")
    assert list(store.list()) == []
    other.put("y", b"1")
    assert [info.path for info in store.list()] == ["x/y"]


def test_a_dataset_in_memory(tmp_path: Path) -> None:
    url = f"memory://{tmp_path}/data"
    write_dataset(url, 300)
    dataset = StreamingDataset(remote=url, local=str(tmp_path / "cache"), shuffle=True, batch_size=4)
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context="fork", timeout=200)
    assert sorted(i for batch in loader for i in batch["id"].tolist()) == list(range(300))


def _get(store: Store, times: int) -> None:
    signal.alarm(60)
    for _ in range(times):
        assert store.get("a") == b"1"


def _fork_and_get(store: Store) -> None:
    children = [get_context("fork").Process(target=_get, args=(store, 5)) for _ in range(2)]
    for child in children:
        child.start()
    _get(store, 5)
    signal.alarm(0)
    for child in children:
        child.join(60)
        assert child.exitcode == 0


@pytest.fixture
def alone() -> Callable[..., None]:
    """Run a function in a process of its own, which may fork."""

    def call(function: Callable[..., None], *args: Any) -> None:
        process = get_context("spawn").Process(target=function, args=args)
        process.start()
        process.join(60)
        assert process.exitcode == 0

    return call


def _read_by_asyncio(url: str) -> None:
    store = open_store(url)
    _get(store, 1)
    _fork_and_get(store)


def test_file_systems_with_an_event_loop_survive_a_fork(web: WebServer, alone: Callable[..., None]) -> None:
    pytest.importorskip("aiohttp")
    web.objects["data/a"] = b"1"
    alone(_read_by_asyncio, f"fsspec+{web.url}/data")
    with pytest.raises(ObjectNotFoundError, match="data/b"):
        open_store(f"fsspec+{web.url}/data").get("b")


def test_forks_of_a_plain_one(tmp_path: Path) -> None:
    store = open_store(f"local://{tmp_path}/store")
    store.put("a", b"1")
    _fork_and_get(store)
    assert os.listdir(tmp_path / "store") == ["a"]
