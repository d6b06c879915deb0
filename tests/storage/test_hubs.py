"""The Hugging Face Hub and Databricks: who may, what is missing, and what stays out of sight."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataset
from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    EmptyDatasetError,
    ObjectNotFoundError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage import databricks_login
from streaming.storage.registry import open_store

from clouds import clear_credentials
from hubs import CLIENT, DATABRICKS_TOKEN, HF_TOKEN, Databricks, Hub, databricks_server, hub_server
from sample_data import write_dataset

REPO = "datasets/owner/name"


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_credentials(monkeypatch, tmp_path)
    databricks_login._tokens.clear()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as server:
        server.repos.add(REPO)
        server.files[f"{REPO}@main/data/a"] = b"small"
        server.files[f"{REPO}@main/data/b"] = bytes(50_000)
        server.files[f"{REPO}@v1/data/a"] = b"older"
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Databricks]:
    with databricks_server() as server:
        server.files["/Volumes/c/s/v/data/a"] = b"volume"
        server.files["/data/a"] = b"dbfs"
        monkeypatch.setenv("DATABRICKS_HOST", server.url)
        yield server


def test_public_repository_needs_no_token(hub: Hub) -> None:
    store = open_store(f"hf://{REPO}/data")
    assert (store.get("a"), store.get_range("b", 5, 9), store.head("b").bytes) == (b"small", bytes(4), 50_000)
    assert [info.path for info in store.list()] == ["a", "b"]
    assert not any("authorization" in headers for _, _, headers in hub.requests)


def test_revisions(hub: Hub) -> None:
    assert open_store(f"hf://{REPO}@v1/data").get("a") == b"older"
    assert open_store(f"hf://{REPO}/data", {"revision": "v1"}).get("a") == b"older"


@pytest.mark.parametrize("url", ["hf://owner/name/data", "hf://models/owner/name/data"])
def test_models(hub: Hub, url: str) -> None:
    hub.repos.add("models/owner/name")
    hub.files["models/owner/name@main/data/x"] = b"1"
    store = open_store(url)
    assert store.get("x") == b"1"
    assert [info.path for info in store.list()] == ["x"]


@pytest.mark.parametrize("how", ["variable", "file", "option"])
def test_gated_repository(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str) -> None:
    hub.gated.add(REPO)
    with pytest.raises(AccessDeniedError, match=r"HF_TOKEN.*terms"):
        open_store(f"hf://{REPO}/data").get("a")
    options: dict[str, Any] = {}
    if how == "variable":
        monkeypatch.setenv("HF_TOKEN", HF_TOKEN)
    elif how == "file":
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(HF_TOKEN + "\n")
    else:
        options["token"] = HF_TOKEN
    assert open_store(f"hf://{REPO}/data", options).get("a") == b"small"
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    if how != "option":
        with pytest.raises(AccessDeniedError, match="accept its terms") as raised:
            open_store(f"hf://{REPO}/data").get("a")
        assert "hf_wrong" not in str(raised.value)


def test_a_token_goes_to_no_other_host(hub: Hub) -> None:
    store = open_store(f"hf://{REPO}/data", {"token": HF_TOKEN})
    assert store.get("b") == bytes(50_000)
    assert store.get_range("b", 1, 3) == bytes(2)
    at_hub = [headers for _, path, headers in hub.requests if not path.startswith("/large/")]
    elsewhere = [headers for _, path, headers in hub.requests if path.startswith("/large/")]
    assert elsewhere
    assert all(headers["authorization"] == f"Bearer {HF_TOKEN}" for headers in at_hub)
    assert not any("authorization" in headers for headers in elsewhere)


@pytest.mark.parametrize("url", ["hf://datasets/owner/none/x", f"hf://{REPO}/none"])
def test_missing_dataset(hub: Hub, tmp_path: Path, url: str) -> None:
    with pytest.raises(ObjectNotFoundError, match="404"):
        open_store(url).get("a")
    with pytest.raises(EmptyDatasetError, match=r"index\.json"):
        StreamingDataset(remote=url, local=str(tmp_path / "cache"))


@pytest.mark.parametrize("url", ["hf://", "hf://datasets/owner", "hf://datasets"])
def test_no_repository(url: str) -> None:
    with pytest.raises(ConfigError, match="names no repository"):
        open_store(url)


def test_volume_by_token(workspace: Databricks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", DATABRICKS_TOKEN)
    for url in ("dbfs:/Volumes/c/s/v/data", "dbfs:///Volumes/c/s/v/data"):
        assert open_store(url).get("a") == b"volume"
    assert open_store("dbfs:/data").get("a") == b"dbfs"
    assert not open_store("dbfs:/data/none").exists_root()


def test_profiles(workspace: Databricks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DATABRICKS_HOST")
    (tmp_path / ".databrickscfg").write_text(
        f"[DEFAULT]\nhost = {workspace.url}\ntoken = wrong\n[team]\nhost = {workspace.url}\ntoken = {DATABRICKS_TOKEN}\n"
    )
    assert open_store("dbfs:/data", {"profile": "team"}).get("a") == b"dbfs"
    with pytest.raises(AccessDeniedError, match="DATABRICKS_TOKEN"):
        open_store("dbfs:/data").get("a")
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "team")
    assert open_store("dbfs:/data").get("a") == b"dbfs"
    with pytest.raises(ConfigError, match="no profile 'none'"):
        open_store("dbfs:/data", {"profile": "none"}).get("a")


def test_service_principal_whose_token_expires(workspace: Databricks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", CLIENT[0])
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", CLIENT[1])
    store = open_store("dbfs:/Volumes/c/s/v/data")
    assert (store.get("a"), store.get("a"), workspace.made) == (b"volume", b"volume", 1)
    workspace.tokens.clear()  # it has expired
    store.put("b", b"new")
    assert (store.get("b"), workspace.made) == (b"new", 2)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "wrong")
    databricks_login._tokens.clear()
    with pytest.raises(AccessDeniedError, match="401"):
        store.get("a")


def test_no_login(workspace: Databricks, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccessDeniedError, match="DATABRICKS_TOKEN"):
        open_store("dbfs:/data").get("a")
    monkeypatch.delenv("DATABRICKS_HOST")
    with pytest.raises(ConfigError, match="DATABRICKS_HOST"):
        open_store("dbfs:/data").get("a")


@pytest.mark.parametrize("url", ["dbfs:/", "dbfs:/Volumes/c/s"])
def test_no_volume(url: str) -> None:
    with pytest.raises(ConfigError, match="expected dbfs:/Volumes"):
        open_store(url)


@pytest.mark.parametrize("family", ["hf", "volume", "dbfs"])
@pytest.mark.parametrize(("status", "kind"), [(429, ThrottledError), (500, UnavailableError), (503, UnavailableError)])
def test_failures(hub: Hub, workspace: Databricks, family: str, status: int, kind: type[Exception]) -> None:
    store, state = opened(hub, workspace, family)
    state.faults.append(status)
    with pytest.raises(kind, match=str(status)):
        store.get("a")
    assert store.get("a") in (b"small", b"volume", b"dbfs")


@pytest.mark.parametrize("family", ["hf", "volume", "dbfs"])
def test_an_epoch_in_spite_of_failures(hub: Hub, workspace: Databricks, family: str, tmp_path: Path) -> None:
    _, state = opened(hub, workspace, family)
    url, options = urls(hub, workspace)[family]
    write_dataset(f"{url}/ds", 300, storage_options=options)
    state.faults += [503, 429, 500]
    dataset = StreamingDataset(
        remote=f"{url}/ds", local=str(tmp_path / "c"), storage_options=options, batch_size=4, download_retry=4
    )
    assert sorted(s["id"] for s in dataset) == list(range(300))


@pytest.mark.parametrize("family", ["hf", "volume", "dbfs"])
def test_secrets_stay_out_of_sight(
    hub: Hub, workspace: Databricks, family: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, state = opened(hub, workspace, family)
    with caplog.at_level(logging.DEBUG):
        state.faults.append(403)
        if family != "hf":
            state.faults.append(403)
        with pytest.raises(AccessDeniedError) as raised:
            store.get("a")
    shown = repr(store) + str(raised.value) + caplog.text + repr(pickle.dumps(store))
    assert HF_TOKEN not in shown
    assert DATABRICKS_TOKEN not in shown


def urls(hub: Hub, workspace: Databricks) -> dict[str, tuple[str, dict[str, str]]]:
    login = {"host": workspace.url, "token": DATABRICKS_TOKEN}
    return {
        "hf": (f"hf://{REPO}/data", {"endpoint": hub.url, "token": HF_TOKEN}),
        "volume": ("dbfs:/Volumes/c/s/v/data", login),
        "dbfs": ("dbfs:/data", login),
    }


def opened(hub: Hub, workspace: Databricks, family: str) -> tuple[Any, Any]:
    url, options = urls(hub, workspace)[family]
    return open_store(url, options), hub if family == "hf" else workspace
