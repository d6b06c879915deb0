"""What becomes of the answers of each cloud: missing, denied, expired, throttled; and tokens that run out."""

from __future__ import annotations

import base64
import json
import os
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from streaming.core.errors import AccessDeniedError, ObjectNotFoundError, StorageError, ThrottledError
from streaming.storage.helper.runtime import declare_worker
from streaming.storage.logins import family
from streaming.storage.registry import open_store
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store

from clouds import AZURE_ACCOUNT, Clouds, account_signature, clear_credentials
from servers import WebServer

SECRET = "hunter2SECRET"
HMAC = {"key": "k", "secret": SECRET}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_credentials(monkeypatch, tmp_path)
    monkeypatch.setattr(family, "_MACHINE", str(tmp_path / "no-machine"))


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gs": ("gs://bucket/data", {"token": SECRET, "allow_http": True}),
    "gs-hmac": ("gs://bucket/data", HMAC),
    "azure": ("az://box/data", {"account_name": "acct", "account_key": "aHVudGVy"}),
    "oci": ("oci://bucket@space/data", HMAC),
}


def at(name: str, web: WebServer) -> Store:
    url, options = CASES[name]
    return open_store(url, {**options, "endpoint": web.url, "retry_config": {"max_retries": 0}})


def answering(status: int, code: str) -> Callable[[Any, str], bool]:
    body = f"<Error><Code>{code}</Code><Message>No.\nRequestId:1</Message><Key>{SECRET}</Key></Error>"

    def fault(handler: Any, path: str) -> bool:
        handler.reply(status, body.encode())
        return True

    return fault


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize(
    ("status", "code", "kind", "text"),
    [
        (404, "NoSuchKey", ObjectNotFoundError, "Check the path"),
        (404, "NoSuchBucket", ObjectNotFoundError, "[Bb]ucket|container"),
        (403, "AccessDenied", AccessDeniedError, "Credentials came from the storage options"),
        (401, "ExpiredToken", AccessDeniedError, "current|allow"),
        (429, "SlowDown", ThrottledError, "fewer workers"),
        (503, "ServerBusy", ThrottledError, "fewer workers"),
    ],
)
def test_answers(name: str, status: int, code: str, kind: type[StorageError], text: str, web: WebServer) -> None:
    web.fault = answering(status, code)
    store = at(name, web)
    for operation in (lambda: store.get("x/a"), lambda: store.put("x/a", b"1")):
        with pytest.raises(kind, match=text) as raised:
            operation()
        assert type(raised.value) is kind
        assert f"{CASES[name][0]}/x/a" in str(raised.value)
        shown = "".join(traceback.format_exception(raised.value))
        assert SECRET not in shown
        assert "RequestId" not in shown


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_what_servers_say_back_is_not_shown(name: str, status: int, web: WebServer) -> None:
    sent: list[str] = []

    def echo(handler: Any, path: str) -> bool:
        authorization = handler.headers.get("Authorization", "")
        sent.append(authorization.rpartition("=")[2] if "=" in authorization else authorization.rpartition(":")[2])
        said = f"We were sent {authorization} and x-amz-security-token={SECRET}"
        handler.reply(status, f"<Error><Code>Odd</Code><Message>{said}</Message></Error>".encode())
        return True

    web.fault = echo
    store = at(name, web)
    for operation in (lambda: store.get("x/a"), lambda: store.put("x/a", b"1")):
        with pytest.raises(StorageError) as raised:
            operation()
        shown = "".join(traceback.format_exception(raised.value))
        assert SECRET not in shown
        assert all(part.split()[-1] not in shown for part in sent if part)


@pytest.mark.parametrize("name", list(CASES))
def test_throttling_passes(name: str, web: WebServer) -> None:
    store, waits = at(name, web), []
    web.fault = answering(503, "SlowDown")

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            web.fault = None

    call_with_retries(lambda: store.put("a", b"1"), RetryPolicy(), sleep)
    assert len(waits) == 2
    assert waits[0] >= 2  # four times that of other failures, less the jitter


@pytest.mark.parametrize("name", list(CASES))
def test_a_public_bucket_is_read_whatever_the_credentials(name: str, web: WebServer) -> None:
    def fault(handler: Any, path: str) -> bool:
        if "authorization" not in handler.headers:
            return False
        handler.reply(403)
        return True

    path = "box/data/a" if name == "azure" else "bucket/data/a"
    web.objects[path] = b"1"
    web.fault = fault
    store = at(name, web)
    assert store.get("a") == b"1"
    with pytest.raises(AccessDeniedError):
        at(name, web).put("a", b"2")
    assert web.objects[path] == b"1"


def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*pem).decode()


class TokenServer:
    """Gives tokens that hold for a second, and lets in only the newest."""

    def __init__(self, web: WebServer) -> None:
        self.given = 0
        web.fault = self.answer

    def answer(self, handler: Any, path: str) -> bool:
        if handler.command == "POST" or path.endswith("/token"):
            self.given += 1
            token = {"access_token": f"token{self.given}", "expires_in": 1, "token_type": "Bearer"}
            handler.reply(200, json.dumps(token).encode(), Content_Type="application/json", Metadata_Flavor="Google")
            return True
        if handler.headers.get("authorization") == f"Bearer token{self.given}":
            return False
        handler.reply(401)
        return True


def test_google_service_accounts_sign_themselves(web: WebServer) -> None:
    account = {
        "type": "service_account",
        "client_email": "me@project",
        "private_key": private_key(),
        "private_key_id": "1",
        "gcs_base_url": web.url,
    }
    store = open_store("gs://bucket/d", {"service_account_key": account, "allow_http": True})
    store.put("a", b"1")
    _, path, headers = web.requests[-1]
    assert unquote(path) == "/bucket/d/a"
    payload = headers["authorization"].removeprefix("Bearer ").split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "==="))["iss"] == "me@project"


def put_wait_get(env: dict[str, str]) -> bytes:
    os.environ.update(env)
    declare_worker()
    store = open_store("gs://bucket/d")
    store.put("a", b"1")
    time.sleep(1.1)
    return store.get("a")


def test_google_machines_renew_their_tokens(web: WebServer) -> None:
    server = TokenServer(web)
    env = {"GCE_METADATA_HOST": web.url.removeprefix("http://"), "GCS_ENDPOINT_URL": web.url}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(put_wait_get, env).result(60) == b"1"
    assert server.given >= 2


def test_google_federation(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("google.auth", reason="google-auth is not installed (extra gcp)")
    server = TokenServer(web)
    (tmp_path / "subject").write_text("subject token")
    account = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{web.url}/token",
        "credential_source": {"file": str(tmp_path / "subject")},
    }
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    store = open_store("gs://bucket/d", {"endpoint": web.url})
    store.put("a", b"1")
    time.sleep(1.1)
    assert store.get("a") == b"1"
    assert server.given >= 2


def test_azure_tokens_are_renewed(web: WebServer) -> None:
    server = TokenServer(web)
    options = {"client_id": "c", "client_secret": SECRET, "tenant_id": "t", "authority_host": web.url}
    options.update(account_name="acct", endpoint=web.url)
    store = open_store("az://box/d", options)
    store.put("a", b"1")
    time.sleep(1.1)
    assert store.get("a") == b"1"
    assert server.given >= 2


@pytest.mark.parametrize("family_name", ["gs", "azure"])
def test_a_token_that_runs_out_is_asked_for_again(family_name: str, web: WebServer) -> None:
    good, asked = ["t1"], []

    def fault(handler: Any, path: str) -> bool:
        if handler.headers.get("authorization") == f"Bearer {good[0]}":
            return False
        handler.reply(401)
        return True

    def options() -> dict[str, Any]:
        asked.append(1)
        return {**rest, "token": f"t{len(asked)}", "endpoint": web.url, "allow_http": True}

    web.fault = fault
    url, rest = {"gs": ("gs://b/d", {}), "azure": ("az://box/d", {"account_name": "acct"})}[family_name]
    store = open_store(url, options)
    store.put("a", b"1")
    good[0] = "t2"
    assert store.get("a") == b"1"
    assert len(asked) == 2


def test_azure_by_signature(clouds: Clouds) -> None:
    place = clouds.place("azure")
    open_store(place.url, place.options).put("a", b"1")
    rest = {"account_name": AZURE_ACCOUNT, "endpoint": place.options["endpoint"]}
    reader = open_store(place.url, {**rest, "sas_token": account_signature("rl")})
    assert reader.get("a") == b"1"
    assert [info.path for info in reader.list()] == ["a"]
    with pytest.raises(AccessDeniedError, match=r"az[a-z]*://.*sas_token"):
        reader.put("b", b"1")
    in_url = open_store(f"{place.url}?{account_signature('rl')}", rest)
    assert in_url.get("a") == b"1"
    assert "sig=" not in repr(in_url)
    expired = open_store(place.url, {**rest, "sas_token": account_signature("rl", "2020-01-01T00:00:00Z")})
    with pytest.raises(AccessDeniedError, match="current"):
        expired.get("a")


def test_azure_container_means_the_same_in_every_form(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> None:
    place = clouds.place("azure")
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    container = place.url.split("/")[3]
    open_store(f"azure://{container}/d").put("a", b"1")
    for url in (f"azure://{AZURE_ACCOUNT}/{container}/d", f"az://{container}/d", f"azure-dl://{container}/d"):
        assert open_store(url).get("a") == b"1"
    assert not open_store("azure://nosuchcontainer/d").exists_root()
    with pytest.raises(ObjectNotFoundError, match="'nosuchcontainer' of the account 'devstoreaccount1'"):
        open_store("azure://nosuchcontainer/d").check_writable()
    for wrong in ("aHVudGVy", "not base64!"):
        monkeypatch.setenv("AZURE_ACCOUNT_ACCESS_KEY", wrong)
        with pytest.raises(AccessDeniedError, match="came from AZURE_ACCOUNT_ACCESS_KEY"):
            open_store(f"az://{container}/d").get("a")
