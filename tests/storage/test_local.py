from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from streaming.core.errors import AccessDeniedError, ObjectNotFoundError, StalledError, StorageError
from streaming.storage.providers.local import LocalStore
from streaming.storage.registry import open_store


def test_spellings_of_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "x").write_bytes(b"1")
    monkeypatch.setenv("HOME", str(tmp_path))
    quoted = str(tmp_path).replace(" ", "%20")
    for url in [f"{tmp_path}/a b", f"file://{quoted}/a%20b", f"file://localhost{quoted}/a%20b", "~/a b"]:
        store = open_store(url)
        assert store.get("x") == b"1"
        assert repr(store) == f"{tmp_path}/a b"


def test_readers_see_whole_objects_only(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    contents = [bytes([i]) * 300_000 for i in range(20)]
    store.put("x", contents[0])
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(store.get("x"))

    reader = threading.Thread(target=read)
    reader.start()
    for data in contents:
        store.put("x", data)
    done.set()
    reader.join(30)
    assert seen <= set(contents)
    assert os.listdir(tmp_path) == ["x"]


def test_a_failed_put_leaves_nothing(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "store"))
    (tmp_path / "store" / "x").mkdir(parents=True)
    with pytest.raises(StorageError):
        store.put("x", b"1")
    assert os.listdir(tmp_path / "store") == ["x"]


def test_parts_of_a_killed_writer_are_not_listed(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.put("x", b"1")
    (tmp_path / ".y.0123abcd.part").write_bytes(b"half")
    assert [info.path for info in store.list()] == ["x"]


def test_directories_are_no_objects(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.put("d/x", b"1")
    for call in (store.get, store.head):
        with pytest.raises(ObjectNotFoundError):
            call("d")
        with pytest.raises(ObjectNotFoundError):
            call("d/x/y")


def test_a_missing_root(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "later"))
    assert not store.exists_root()
    assert list(store.list()) == []
    store.check_writable()
    assert store.exists_root()


def test_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(AccessDeniedError, match="check its permissions"):
        store.check_writable()


def test_total_timeout(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.put("x", bytes(3 << 20))
    target = str(tmp_path / "t")
    with pytest.raises(StalledError):
        store.download("x", target, stall_timeout=9, total_timeout=-1)
    assert os.path.getsize(target) == 1 << 20


def test_a_full_disk_at_the_target_is_the_callers(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.put("x", bytes(100))
    with pytest.raises(OSError) as raised:  # noqa: PT011
        store.download("x", "/dev/full" if os.path.exists("/dev/full") else "/nowhere/x", stall_timeout=9)
    assert not isinstance(raised.value, StorageError)
