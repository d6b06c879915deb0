from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import obstore.store
import pytest

from streaming.core.errors import AccessDeniedError, ConfigError, UnavailableError
from streaming.storage.helper.runtime import declare_worker
from streaming.storage.location import Location
from streaming.storage.options import seal
from streaming.storage.registry import open_store
from streaming.storage.store import Store

from clouds import Clouds
from servers import S3Server, WebServer

SECRET = "hunter2SECRET"
KEYS = {"access_key_id": "testing", "secret_access_key": SECRET}


@pytest.fixture
def endpoint(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A server whose address and keys nothing in the environment tells."""
    for name in s3.env:
        monkeypatch.delenv(name)
    return s3.endpoint


def answer_by_token(web: WebServer, good: list[str]) -> None:
    """Have a web server let in only those who send one of the tokens."""

    def fault(handler: Any, path: str) -> bool:
        if handler.headers.get("authorization") in good:
            return False
        handler.reply(403)
        return True

    web.fault = fault


def module_options() -> dict[str, str]:
    return {"endpoint": os.environ["TEST_ENDPOINT"], "access_key_id": "testing", "secret_access_key": SECRET}


class Provider:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    def __call__(self) -> dict[str, Any]:
        return self.options


def get_in_worker(store: Store) -> bytes:
    declare_worker()
    return store.get("a")


def ready_store(endpoint: str, bucket: str) -> Any:
    return obstore.store.S3Store(bucket, config=KEYS, endpoint=endpoint, client_options={"allow_http": True})


@pytest.mark.parametrize("form", ["mapping", "function", "object", "store"])
def test_the_three_forms_here_and_in_a_spawned_process(
    form: str, endpoint: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.create_bucket(f"options-{form}")
    monkeypatch.setenv("TEST_ENDPOINT", endpoint)
    options = {
        "mapping": {**KEYS, "endpoint": endpoint},
        "function": module_options,
        "object": Provider({**KEYS, "endpoint": endpoint}),
        "store": ready_store(endpoint, bucket.removeprefix("s3://")),
    }[form]
    store = open_store(f"{bucket}/data", options)
    store.put("a", b"1")
    assert store.get("a") == b"1"
    assert [info.path for info in store.list()] == ["a"]
    data = pickle.dumps(store)
    assert SECRET.encode() not in data
    assert SECRET not in repr(store) + repr(vars(store))
    for same in (pickle.loads(data), copy.deepcopy(store), copy.copy(store)):
        assert same.get("a") == b"1"
        assert repr(same) == repr(store) == f"{bucket}/data"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(get_in_worker, store).result(60) == b"1"


def test_a_pickle_elsewhere_says_what_is_missing(endpoint: str, tmp_path: Path) -> None:
    path = tmp_path / "store.pickle"
    path.write_bytes(pickle.dumps(open_store("s3://bucket/x", {**KEYS, "endpoint": endpoint})))
    code = f"import pickle; pickle.load(open({str(path)!r}, 'rb')).get('a')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "ConfigError" in done.stderr
    assert "access_key_id, endpoint, secret_access_key" in done.stderr
    assert "a function of a module" in done.stderr
    assert SECRET not in done.stderr


def test_what_is_no_secret_is_pickled() -> None:
    data = pickle.dumps(seal({"region": "eu-west-1", "anon": True}))
    assert b"eu-west-1" in data
    assert pickle.loads(data).reveal() == {"region": "eu-west-1", "anon": True}
    assert b"hunter2" not in pickle.dumps(seal({"endpoint": "https://me:hunter2@host"}))


def test_a_nested_function_cannot_be_sent(endpoint: str) -> None:
    store = open_store("s3://bucket/x", lambda: {"region": "x"})
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(ConfigError, match="top level of a module"):
            pool.submit(get_in_worker, store).result(60)


def test_a_function_is_called_again_when_refused(web: WebServer, tmp_path: Path) -> None:
    calls: list[int] = []

    def options() -> dict[str, Any]:
        calls.append(1)
        return {"headers": {"authorization": f"token {len(calls)}"}}

    web.objects["d/a"] = b"x" * 100_000
    good = ["token 1"]
    answer_by_token(web, good)
    store = open_store(f"{web.url}/d", options)
    assert calls == []
    assert store.get("a") == store.get("a") == web.objects["d/a"]
    assert len(calls) == 1
    good[:] = ["token 2"]
    assert store.download("a", str(tmp_path / "t")) == 100_000
    assert store.get_range("a", 0, 3) == b"xxx"
    assert len(calls) == 2
    good[:] = []
    with pytest.raises(AccessDeniedError, match="/d/a"):
        store.get("a")
    assert len(calls) == 3
    good[:] = ["token 4"]
    store.put("b", b"1")
    assert store.head("b").bytes == 1
    store.delete("b")
    assert len(calls) == 4


def test_a_function_that_fails(web: WebServer) -> None:
    def fails() -> dict[str, Any]:
        raise KeyError("mine")

    with pytest.raises(UnavailableError, match="failed with KeyError"):
        open_store(web.url, fails).get("a")
    with pytest.raises(ConfigError, match="must return a mapping.*returned a str"):
        open_store(web.url, lambda: SECRET).get("a")  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigError, match="Unknown storage option 'colour'.*headers"):
        open_store(web.url, lambda: {"colour": 1}).get("a")


def test_credentials_renewed_outside_are_found(s3: S3Server, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", web.url)
    web.objects["bucket/a"] = b"1"

    def fault(handler: Any, path: str) -> bool:
        if "Credential=NEW/" in handler.headers.get("authorization", ""):
            return False
        handler.reply(403)
        return True

    store = open_store("s3://bucket")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OLD")
    assert store.get("a") == b"1"
    web.fault = fault
    with pytest.raises(AccessDeniedError):
        store.get("a")
    web.fault = None
    assert store.get("a") == b"1"
    web.fault = fault
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NEW")
    assert store.get("a") == b"1"


def test_a_store_of_the_user_keeps_its_prefix(endpoint: str, s3: S3Server) -> None:
    bucket = s3.create_bucket("options-prefix").removeprefix("s3://")
    given = obstore.store.S3Store(
        bucket, prefix="own", config=KEYS, endpoint=endpoint, client_options={"allow_http": True}
    )
    open_store(f"s3://{bucket}/data/train", given).put("a", b"1")
    plain = open_store(f"s3://{bucket}", {**KEYS, "endpoint": endpoint})
    assert [info.path for info in plain.list()] == ["own/data/train/a"]


def test_an_azure_store_of_the_user_has_the_container(clouds: Clouds) -> None:
    place = clouds.place("azure")
    container = place.url.split("/")[3]
    open_store(place.url, place.options).put("a", b"1")
    given = obstore.store.AzureStore(container, config=place.options, client_options={"allow_http": True})
    store = open_store(place.url, given)
    assert store.get("a") == b"1"
    assert b"Eby8" not in pickle.dumps(store)


def test_an_http_store_of_the_user(web: WebServer) -> None:
    web.objects["base/d/a"] = b"1"
    answer_by_token(web, ["Bearer x"])
    headers = {"authorization": "Bearer x"}
    given = obstore.store.HTTPStore(f"{web.url}/base", client_options={"allow_http": True, "default_headers": headers})
    assert open_store(f"{web.url}/d", given).get("a") == b"1"


def test_what_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got a str"):
        open_store("s3://bucket", SECRET)
    with pytest.raises(ConfigError, match="MemoryStore"):
        open_store("s3://bucket", obstore.store.MemoryStore())
    for options in ({"region": "x"}, dict):
        with pytest.raises(ConfigError, match="takes no storage options"):
            open_store(str(tmp_path), options)
    among_others = Location.parse(str(tmp_path), {"region": "x"})
    assert repr(open_store(among_others)) == str(tmp_path)
    provider = lambda: {"token": None}  # noqa: E731
    given = obstore.store.S3Store("b", credential_provider=provider)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="credential provider"):
        open_store("s3://b", given)
