from __future__ import annotations

import os
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from streaming.core.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.store import Store

from servers import S3Server, WebServer, partial_body

SECRET = "hunter2SECRET"
QUICK = {"retry_config": {"max_retries": 0}}


def s3_at(endpoint: str, **options: Any) -> Store:
    """A store of an S3 endpoint that is no S3 at all, which is how it fails on demand."""
    keys = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": SECRET}
    return open_store("s3://bucket/data", {"endpoint": endpoint, **keys, **QUICK, **options})


def answering(status: int, code: str = "", message: str = "") -> Callable[[Any, str], bool]:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><Key>{SECRET}</Key></Error>" if code else ""

    def fault(handler: Any, path: str) -> bool:
        handler.reply(status, body.encode())
        return True

    return fault


@pytest.mark.parametrize(
    ("status", "code", "kind", "text"),
    [
        (404, "NoSuchKey", ObjectNotFoundError, "Check the path"),
        (404, "NoSuchBucket", ObjectNotFoundError, "Check the bucket's name and S3_ENDPOINT_URL"),
        (404, "", ObjectNotFoundError, "404"),
        (403, "AccessDenied", AccessDeniedError, "Credentials came from the storage options"),
        (403, "InvalidAccessKeyId", AccessDeniedError, "AWS_ACCESS_KEY_ID"),
        (400, "ExpiredToken", AccessDeniedError, "current"),
        (401, "", AccessDeniedError, "401"),
        (429, "", ThrottledError, "fewer workers"),
        (503, "SlowDown", ThrottledError, "SlowDown"),
        (500, "InternalError", UnavailableError, "500"),
        (502, "", UnavailableError, "502"),
        (400, "Odd", StorageError, "400 .Odd"),
    ],
)
@pytest.mark.parametrize("operation", ["get", "put", "list"])
def test_replies(
    web: WebServer, status: int, code: str, kind: type[StorageError], text: str, operation: str, tmp_path: Path
) -> None:
    web.fault = answering(status, code, "Some message")
    store = s3_at(web.url)
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: store.get("x"),
        "put": lambda: store.put("x", b"1"),
        "list": lambda: list(store.list()),
    }
    with pytest.raises(StorageError, match=text) as raised:
        calls[operation]()
    assert type(raised.value) is kind
    assert "s3://bucket/data" in str(raised.value)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_builtin_classes(web: WebServer) -> None:
    web.fault = answering(404)
    with pytest.raises(FileNotFoundError):
        s3_at(web.url).get("x")
    web.fault = answering(403)
    with pytest.raises(PermissionError):
        s3_at(web.url).get("x")


def test_a_missing_bucket(s3: S3Server) -> None:
    store = open_store("s3://no-such-bucket/data")
    assert not store.exists_root()
    for call in (store.check_writable, lambda: list(store.list()), lambda: store.put("x", b"1")):
        with pytest.raises(ObjectNotFoundError, match=r"s3://no-such-bucket/data.*NoSuchBucket.*bucket's name"):
            call()


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


def test_refused(closed_port: str) -> None:
    with pytest.raises(UnavailableError, match=r"refused.*The endpoint is 127\.0\.0\.1"):
        s3_at(closed_port).get("x")
    with pytest.raises(ConnectionError, match="refused"):
        open_store(closed_port, QUICK).get("x")
    with pytest.raises(UnavailableError):
        s3_at(closed_port).check_writable()


def test_unknown_host() -> None:
    with pytest.raises(UnavailableError, match="not known"):
        open_store("http://no-such-host.invalid/x", QUICK).get("x")


def test_plain_http_has_to_be_meant(web: WebServer) -> None:
    with pytest.raises(StorageError, match="allow_http"):
        s3_at(web.url, client_options={"allow_http": False}).get("x")


@pytest.mark.parametrize("sent", [0, 1_000, 700_000])
def test_silence_is_noticed_and_the_bytes_are_kept(web: WebServer, tmp_path: Path, sent: int) -> None:
    data = os.urandom(1_000_000)
    released = threading.Event()
    web.objects["x"] = data

    def stall(handler: Any, path: str) -> bool:
        partial_body(handler, data, sent)
        released.wait(30)
        return True

    web.fault = stall
    store, target, seen = open_store(web.url, QUICK), tmp_path / "t", bytearray()
    with pytest.raises(StalledError, match="nothing came for 0.5 s") as raised:
        store.download("x", str(target), sink=seen.extend, stall_timeout=0.5)
    assert isinstance(raised.value, TimeoutError)
    kept = target.stat().st_size
    assert target.read_bytes() == seen == data[:kept]
    assert kept <= sent
    released.set()
    web.fault = None
    assert store.download("x", str(target), offset=kept, stall_timeout=30) == len(data)
    assert target.read_bytes() == data


def test_a_place_says_how_long_its_server_may_be_silent(web: WebServer) -> None:
    released = threading.Event()
    web.fault = lambda handler, path: bool(released.wait(50))
    plain = open_store(replace(Location.parse(web.url, QUICK), patience_s=0.3))
    stores: list[Store] = [plain, pickle.loads(pickle.dumps(plain))]
    calls: list[Callable[[Store], Any]] = [
        lambda s: s.get("x"),
        lambda s: s.head("x"),
        lambda s: s.get_range("x", 5, 9),
    ]
    # Of fsspec, a range comes at once, however long it takes.
    renewed = open_store(replace(Location.parse(web.url, lambda: QUICK), patience_s=0.3))
    vendor = open_store(replace(Location.parse(f"fsspec+{web.url}"), patience_s=0.3))
    for store, call in [*product([*stores, renewed], calls), *product([vendor], calls[:2])]:
        with pytest.raises(StalledError, match="nothing came for 0.3 s"):
            call(store)
    released.set()


def test_a_silent_server_is_noticed(web: WebServer, tmp_path: Path) -> None:
    released = threading.Event()
    web.fault = lambda handler, path: released.wait(30)
    with pytest.raises(StalledError):
        open_store(web.url, QUICK).download("x", str(tmp_path / "t"), stall_timeout=0.5)
    released.set()


def test_slow_is_not_silent(web: WebServer, tmp_path: Path) -> None:
    data = os.urandom(400_000)

    def slow(handler: Any, path: str) -> bool:
        partial_body(handler, data, 0)
        for i in range(0, len(data), 100_000):
            time.sleep(0.2)
            handler.wfile.write(data[i : i + 100_000])
        return True

    web.fault = slow
    assert open_store(web.url, QUICK).download("x", str(tmp_path / "t"), stall_timeout=0.6) == len(data)


def test_total_timeout(web: WebServer, tmp_path: Path) -> None:
    web.objects["x"] = bytes(3 << 20)
    with pytest.raises(StalledError, match="within"):
        open_store(web.url).download("x", str(tmp_path / "t"), stall_timeout=30, total_timeout=-1)


@pytest.mark.parametrize("by", ["download", "get"])
def test_a_short_body_fails(web: WebServer, tmp_path: Path, by: str) -> None:
    data = os.urandom(500_000)

    def cut(handler: Any, path: str) -> bool:
        partial_body(handler, data, 300_000)
        return True

    web.fault = cut
    store, target = open_store(web.url, QUICK), tmp_path / "t"
    fetch = store.get if by == "get" else lambda path: store.download(path, str(target), stall_timeout=1)
    with pytest.raises(UnavailableError):
        fetch("x")
    if by == "download":
        kept = target.read_bytes()
        assert data.startswith(kept)
        web.fault = None
        web.objects["x"] = data
        store.download("x", str(target), offset=len(kept), stall_timeout=30)
        assert target.read_bytes() == data


def test_a_dropped_connection_is_retried_at_once(web: WebServer) -> None:
    web.objects["x"] = b"1"
    dropped: list[str] = []

    def drop_first(handler: Any, path: str) -> bool:
        if dropped:
            return False
        dropped.append(path)
        handler.close_connection = True
        return True

    web.fault = drop_first
    assert open_store(web.url).get("x") == b"1"
    assert len(web.requests) == 2


def test_an_object_that_shrank(web: WebServer, tmp_path: Path) -> None:
    web.objects["x"] = b"short"
    (tmp_path / "t").write_bytes(bytes(100))
    with pytest.raises(StorageError, match=r"5 bytes, fewer than the 100"):
        open_store(web.url).download("x", str(tmp_path / "t"), offset=100, stall_timeout=30)


def test_web_servers_cannot_be_listed(web: WebServer) -> None:
    with pytest.raises(StorageError, match="cannot be listed"):
        open_store(web.url).list()


def test_a_web_root_that_is_not_there(web: WebServer) -> None:
    store = open_store(f"{web.url}/none")
    assert not store.exists_root()
    with pytest.raises(ObjectNotFoundError, match="no such place"):
        store.check_writable()
    web.fault = answering(403)
    assert store.exists_root()


def test_secrets_of_a_url_are_sent_and_never_shown(web: WebServer, closed_port: str) -> None:
    web.objects["x"] = b"1"
    place = f"user:{SECRET}@{web.url[7:]}"
    store = open_store(f"http://{place}?sig={SECRET}", {"headers": {"x-extra": SECRET}})
    assert store.get("x") == b"1"
    _, target, headers = web.requests[-1]
    assert target == f"/x?sig={SECRET}"
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["authorization"].startswith("Basic ")
    assert sent["x-extra"] == SECRET
    shown = [repr(store), str(store)]
    web.fault = answering(404)
    bad = open_store(f"http://user:{SECRET}@{closed_port[7:]}/?sig={SECRET}", QUICK)
    for failing in (store, bad):
        with pytest.raises(StorageError) as raised:
            failing.get("x")
        shown += ["".join(traceback.format_exception(raised.value)), repr(raised.value), repr(failing)]
    assert SECRET not in "\n".join(shown)
