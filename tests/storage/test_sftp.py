"""SFTP: who gets in, which servers are trusted, what breaks, and what is kept of a connection."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    MissingDependencyError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    UnavailableError,
)
from streaming.storage.providers import pool
from streaming.storage.registry import open_store
from streaming.storage.store import Store

from clouds import Clouds, clear_credentials
from sftp import SftpServer, sftp_server

SECRET = "hunter2SECRET"
BIG = 6 << 20


@pytest.fixture
def server(clouds: Clouds, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SftpServer]:
    clear_credentials(monkeypatch, tmp_path)
    yield clouds.server(sftp_server)
    pool._close_all()


def options(server: SftpServer, **changes: Any) -> dict[str, Any]:
    found = {"key_file": server.file("key"), "known_hosts_file": server.file("known_hosts"), **changes}
    return {name: value for name, value in found.items() if value is not None}


def at(server: SftpServer, path: str = "data", **changes: Any) -> Store:
    return open_store(server.url(path), options(server, **changes))


def serve(server: SftpServer, name: str, data: bytes) -> None:
    path = Path(server.root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"key_file": None, "password": SECRET},
        {"key_file": "key.locked", "passphrase": SECRET},
        {"key_file": "key.other", "password": SECRET},
    ],
    ids=["key", "password", "locked key", "either"],
)
def test_ways_in(server: SftpServer, changes: dict[str, Any]) -> None:
    if changes.get("key_file"):
        changes = {**changes, "key_file": server.file(changes["key_file"])}
    store = at(server, **changes)
    store.put("a", b"1")
    assert store.get("a") == b"1"


def test_what_the_configuration_of_ssh_says(server: SftpServer, tmp_path: Path) -> None:
    login = f"HostName 127.0.0.1\nPort {server.port}\nUser user\nIdentityFile {server.file('key')}\n"
    known = f"UserKnownHostsFile {server.file('known_hosts')}\n"
    folder = Path(os.environ["HOME"], ".ssh")
    folder.mkdir()
    (folder / "config").write_text(f"Host data\n{login}ProxyJump gate\nHost gate\n{login}{known}")
    store = open_store("sftp://data/jumped", {"known_hosts_file": server.file("known_hosts")})
    store.put("a", b"1")
    assert store.get("a") == b"1"
    assert Path(server.root, "jumped/a").read_bytes() == b"1"
    # What turns the check of keys off there does not here.
    (folder / "config").write_text(f"Host data\n{login}UserKnownHostsFile none\nStrictHostKeyChecking no\n")
    with pytest.raises(AccessDeniedError, match="not in ~/.ssh/known_hosts"):
        open_store("sftp://data/unchecked", {"username": "user"}).get("a")
    with pytest.raises(AccessDeniedError, match="has another key"):
        open_store("sftp://data/x", {"known_hosts_file": server.file("known_hosts.other")}).get("a")


def test_password_in_the_url(server: SftpServer) -> None:
    url = server.url("data", f"user:{SECRET}")
    store = open_store(url, options(server, key_file=None))
    store.put("a", b"1")
    assert store.get("a") == b"1"
    assert SECRET not in repr(store)
    with pytest.raises(ConfigError, match="different") as raised:
        open_store(url, {"password": "other"})
    assert SECRET not in str(raised.value)


def test_options_stay_out_of_sight(server: SftpServer) -> None:
    store = at(server, key_file=None, password=SECRET)
    store.put("a", b"1")
    assert SECRET.encode() not in pickle.dumps(store)
    assert SECRET not in repr(vars(store))
    assert pickle.loads(pickle.dumps(store)).get("a") == b"1"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"key_file": "key.other"}, "no access as user .*Credentials came from the key .*key.other"),
        ({"key_file": None, "password": "wrong" + SECRET}, "no access as user .*Credentials came from a password"),
        ({"key_file": "key.locked"}, "is encrypted. Give the storage option key_passphrase"),
        ({"key_file": "key.locked", "key_passphrase": "wrong" + SECRET}, "no access as user"),
        ({"key_file": "authorized"}, "no access as user"),
        ({"key_file": "key.none"}, "there is no private key .*COMPOSER_SFTP_KEY_FILE"),
        ({"known_hosts_file": "none"}, "Cannot read .*COMPOSER_SFTP_KNOWN_HOSTS_FILE"),
        ({"known_hosts_file": None}, r"not in ~/.ssh/known_hosts .*ssh-keyscan -p \d+ 127.0.0.1 >>"),
        ({"known_hosts_file": "known_hosts.other"}, "has another key .* than the one in .*known_hosts.other"),
    ],
)
def test_denied(server: SftpServer, changes: dict[str, Any], text: str) -> None:
    files = {name: server.file(value) for name, value in changes.items() if name.endswith("_file") and value}
    store = at(server, **{**changes, **files})
    for _ in range(2):
        with pytest.raises(AccessDeniedError, match=text) as raised:
            store.get("a")
        assert SECRET not in str(raised.value)


def test_denied_places(server: SftpServer) -> None:
    serve(server, "data/forbidden/a", b"1")
    store = at(server)
    for call in (lambda: store.get("forbidden/a"), lambda: store.put("forbidden/b", b""), lambda: [*store.list()]):
        with pytest.raises(AccessDeniedError, match=r"No permission for sftp://127\.0\.0\.1:\d+/data/forbidden"):
            call()
    with pytest.raises(AccessDeniedError, match="No permission for"):
        at(server, "forbidden").check_writable()
    os.unlink(os.path.join(server.root, "data/forbidden/a"))
    os.rmdir(os.path.join(server.root, "data/forbidden"))


def test_missing(server: SftpServer) -> None:
    store = at(server, "none/such")
    assert not store.exists_root()
    assert list(store.list()) == []
    with pytest.raises(ObjectNotFoundError, match="none/such/index.json"):
        store.get("index.json")
    store.check_writable()
    assert store.exists_root()
    assert list(store.list()) == []
    serve(server, "dirs/sub/file", b"1")
    with pytest.raises(ObjectNotFoundError, match="sub"):
        at(server, "dirs").get("sub")
    with pytest.raises(ObjectNotFoundError):
        at(server, "dirs").get("sub/file/x")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sftp:///path", "names no"),
        ("sftp://user@/path", "names no host"),
        ("sftp://host:nan/path", "not a URL"),
        ("sftp://host/path?x=1", "a query or a fragment"),
        ("sftp://host/path#x", "a query or a fragment"),
    ],
)
def test_bad_urls(url: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        open_store(url)
    with pytest.raises(ConfigError, match="Known: key_file, .*username"):
        open_store("sftp://host/path", {"keyfile": "x"})


def test_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("")
    for host in ("127.0.0.1:1", "no-such-host.invalid"):
        store = open_store(f"sftp://{host}/x", {"known_hosts_file": str(tmp_path / "hosts"), "password": SECRET})
        with pytest.raises(UnavailableError, match="cannot connect") as raised:
            store.get("a")
        assert SECRET not in str(raised.value)


def pools_in_use() -> list[Any]:
    """The pools of SFTP connections that are open; other stores have theirs in the same place."""
    return [p for p in pool._pools.values() if any(hasattr(each, "lost") for each in p._all.values())]


def test_breaks_off_and_goes_on(server: SftpServer, tmp_path: Path) -> None:
    data = os.urandom(BIG)
    serve(server, "data/drop", data)
    store, target, seen = at(server), str(tmp_path / "t"), bytearray()
    with pytest.raises(UnavailableError, match="data/drop: the connection broke off"):
        store.download("drop", target, sink=seen.extend)
    assert Path(target).read_bytes() == seen == data[: len(seen)]
    assert 0 < len(seen) < len(data)
    Path(server.file("calm")).touch()
    try:
        assert store.download("drop", target, offset=len(seen), sink=seen.extend) == len(data)
    finally:
        os.unlink(server.file("calm"))
    assert Path(target).read_bytes() == seen == data


def test_broken_off_before_more_is_asked_for(server: SftpServer, tmp_path: Path) -> None:
    serve(server, "data/drop", os.urandom(BIG))

    def wait_for_the_end(chunk: bytes | memoryview) -> None:
        for found in pools_in_use():
            for connection in found._all.values():
                connection.lost.wait(20)

    with pytest.raises(UnavailableError, match="data/drop: the connection broke off"):
        at(server).download("drop", str(tmp_path / "t"), sink=wait_for_the_end)


def test_silence(server: SftpServer, tmp_path: Path) -> None:
    serve(server, "data/stall", bytes(BIG))
    store = at(server)
    with pytest.raises(StalledError, match="data/stall: the server has been silent"):
        store.download("stall", str(tmp_path / "t"), stall_timeout=0.5)
    assert (tmp_path / "t").stat().st_size == 4 << 20
    serve(server, "data/other", b"1")
    assert store.get("other") == b"1"
    with pytest.raises(StalledError, match="total timeout"):
        store.download("other", str(tmp_path / "o"), total_timeout=0.0)
    with pytest.raises(StorageError, match="has 1 bytes, fewer than the 4194304"):
        store.download("other", str(tmp_path / "t"), offset=4 << 20)


def test_a_connection_that_the_server_ended_is_replaced(server: SftpServer) -> None:
    store = at(server)
    serve(server, "data/last", b"1")
    assert store.get("last") == b"1"
    (found,) = pools_in_use()
    (first,) = found._all.values()
    first.lost.wait(20)
    assert not first.is_alive()
    assert store.head("last").bytes == 1
    (second,) = found._all.values()
    assert second is not first


def test_one_connection_serves_many_operations_and_stores(server: SftpServer) -> None:
    for i in range(5):
        store = at(server, f"data{i}")
        store.put("a", b"1")
        assert store.get("a") == b"1"
        with pytest.raises(FileNotFoundError):
            store.get("b")
    (found,) = pools_in_use()
    assert len(found._all) == 1


def test_a_server_that_does_not_replace_in_one_step(server: SftpServer) -> None:
    store = at(server, "old-server")
    for data in (b"first", b"second"):
        store.put("a", data)
        assert store.get("a") == data
    assert [info.path for info in store.list()] == ["a"]


def test_links_are_followed(server: SftpServer) -> None:
    serve(server, "linked/real/a", b"12")
    root = Path(server.root, "linked")
    (root / "link").symlink_to("real")
    (root / "b").symlink_to("real/a")
    (root / "broken").symlink_to("nowhere")
    assert [(i.path, i.bytes) for i in at(server, "linked").list()] == [("b", 2), ("link/a", 2), ("real/a", 2)]


def _read(store: Store, times: int) -> None:
    signal.alarm(60)
    for _ in range(times):
        assert store.get("a") == b"1"


def test_forks_have_connections_of_their_own(server: SftpServer) -> None:
    store = at(server)
    store.put("a", b"1")
    children = [get_context("fork").Process(target=_read, args=(store, 20)) for _ in range(3)]
    for child in children:
        child.start()
    for _ in range(20):
        assert store.get("a") == b"1"
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert store.get("a") == b"1"


def test_asyncssh_is_optional(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    monkeypatch.setattr(pool, "_pools", {})  # a connection of another test needs none
    store = at(server)
    with pytest.raises(MissingDependencyError, match=r"pip install 'streaming-dataset\[sftp\]'"):
        store.get("a")
