"""What the host that a web server redirects to is told: nothing of what the first one was given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataset
from streaming.core.errors import ObjectNotFoundError, StorageError, UnavailableError
from streaming.storage.registry import open_store

from sample_data import write_dataset
from servers import WebServer, web_server

SECRET = "signature-of-the-first-host"


@pytest.fixture
def other() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def sends_to(place: str, status: int = 302) -> Any:
    """A fault that sends those who ask for an object there."""

    def fault(handler: Any, path: str) -> bool:
        handler.reply(status, Location=f"{place}/{path.rpartition('/')[2]}")
        return True

    return fault


def there(server: WebServer) -> str:
    """The same server by another name, so another host."""
    return server.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("{host}/data?sig=" + SECRET, {}),
        ("user:" + SECRET + "@{host}/data", {}),
        ("{host}/data", {"headers": {"X-Api-Key": SECRET}}),
        ("{host}/data", {"client_options": {"default_headers": {"x-token": SECRET}}}),
    ],
    ids=["query", "user", "headers", "client_options"],
)
def test_secrets_stay_with_their_host(
    web: WebServer, other: WebServer, address: str, options: dict[str, Any], status: int, tmp_path: Path
) -> None:
    web.fault = sends_to(there(other), status)
    other.objects["a"] = b"12345"
    store = open_store("http://" + address.format(host=web.url.removeprefix("http://")), options)
    assert (store.get("a"), store.get_range("a", 1, 3), store.head("a").bytes) == (b"12345", b"23", 5)
    assert store.head("a").path == "a"
    assert store.download("a", str(tmp_path / "t")) == 5
    told = repr(other.requests).lower()
    assert SECRET not in told
    assert "authorization" not in told
    assert "referer" not in told
    assert len(other.requests) >= 5


def test_a_server_that_answers_itself_is_asked_twice_once(web: WebServer) -> None:
    web.objects["data/a"] = b"12345"
    store = open_store(f"{web.url}/data?sig={SECRET}")
    assert [store.get_range("a", at, at + 1) for at in range(3)] == [b"1", b"2", b"3"]
    assert len(web.requests) == 4


def test_without_secrets_nobody_looks_first(web: WebServer, other: WebServer) -> None:
    web.fault = sends_to(there(other))
    other.objects["a"] = b"1"
    assert open_store(f"{web.url}/data").get("a") == b"1"
    assert len(web.requests) == 1


def test_the_next_hosts_own_query_is_kept_from_the_one_after(web: WebServer, other: WebServer) -> None:
    with web_server() as last:
        web.fault = lambda handler, path: (handler.reply(302, Location=f"{there(other)}/x/a?own={SECRET}"), True)[1]
        other.fault = sends_to(last.url)
        last.objects["a"] = b"1"
        assert open_store(f"{web.url}/data?sig=first").get("a") == b"1"
        assert SECRET not in repr(last.requests)
        assert SECRET in repr(other.requests)


def test_a_redirection_to_itself_and_on_to_another(web: WebServer, other: WebServer) -> None:
    def fault(handler: Any, path: str) -> bool:
        target = f"{there(other)}/a" if path == "moved/a" else f"/moved/a?sig={SECRET}"
        handler.reply(302, Location=target)
        return True

    web.fault = fault
    other.objects["a"] = b"1"
    assert open_store(f"{web.url}/data?sig={SECRET}").get("a") == b"1"
    assert SECRET not in repr(other.requests)


def test_circles_and_what_is_no_web_server(web: WebServer) -> None:
    web.fault = sends_to(f"{web.url}/data")
    with pytest.raises(StorageError, match="redirected more than 10 times") as raised:
        open_store(f"{web.url}/data?sig={SECRET}").get("a")
    web.fault = lambda handler, path: (handler.reply(302, Location="file:///etc/passwd"), True)[1]
    with pytest.raises(StorageError, match="which is no web server"):
        open_store(f"{web.url}/data?sig={SECRET}").get("a")
    assert SECRET not in str(raised.value)


def test_nobody_answers() -> None:
    with pytest.raises(UnavailableError, match="refused") as raised:
        open_store(f"http://127.0.0.1:9/data?sig={SECRET}").get("a")
    assert SECRET not in str(raised.value)


def test_an_epoch_from_another_host(web: WebServer, other: WebServer, tmp_path: Path) -> None:
    write_dataset(str(tmp_path / "remote"), 50)
    for path in (tmp_path / "remote").iterdir():
        other.objects[path.name] = path.read_bytes()
    web.fault = sends_to(there(other))
    dataset = StreamingDataset(remote=f"{web.url}?sig={SECRET}", local=str(tmp_path / "cache"), batch_size=5)
    assert sorted(sample["id"] for sample in dataset) == list(range(50))
    assert SECRET not in repr(other.requests)


def test_what_is_missing_elsewhere(web: WebServer, other: WebServer) -> None:
    web.fault = sends_to(there(other))
    with pytest.raises(ObjectNotFoundError):
        open_store(f"{web.url}/data?sig={SECRET}").get("a")
