"""The Hugging Face Hub and Databricks: who may, what is missing, and what stays out of sight."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from streaming import StreamingDataset
from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    EmptyDatasetError,
    MissingDependencyError,
    ObjectNotFoundError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage.providers.vendors import client as vendor
from streaming.storage.registry import open_store

from clouds import clear_credentials
from hubs import (
    CLIENT,
    DATABRICKS_TOKEN,
    HF_TOKEN,
    Databricks,
    Hub,
    Oracle,
    databricks_server,
    hub_server,
    oracle_server,
)
from sample_data import write_dataset

REPO = "datasets/owner/name"


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_credentials(monkeypatch, tmp_path)
    vendor._clients.made.clear()


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
    assert [info.etag for info in store.list()] == [store.head("a").etag, store.head("b").etag]
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
        # The hub's client has read HF_HOME when it was imported.
        monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
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
    with pytest.raises(ObjectNotFoundError, match="Check the path"):
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
    with pytest.raises(ConfigError, match="no none profile"):
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
    with pytest.raises(AccessDeniedError, match="invalid_client"):
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


def test_what_is_read_is_of_one_commit(hub: Hub) -> None:
    store = open_store(f"hf://{REPO}/data")
    assert store.get("a") == b"small"
    hub.files[f"{REPO}@main/data/a"] = b"newer"
    sent = pickle.loads(pickle.dumps(store))
    assert (store.get("a"), sent.get("a"), sent.head("a").bytes) == (b"small", b"small", 5)
    assert open_store(f"hf://{REPO}/data").get("a") == b"newer"


def test_a_store_that_writes_follows_the_revision(hub: Hub) -> None:
    store = open_store(f"hf://{REPO}/data", {"token": HF_TOKEN})
    assert store.get("a") == b"small"
    store.put("a", b"own")
    assert (store.get("a"), store.head("a").bytes) == (b"own", 3)
    store.delete("a")
    assert [info.path for info in store.list()] == ["b"]


def test_buckets_of_the_hub(hub: Hub) -> None:
    hub.buckets.add("owner/bin")
    hub.files["buckets/owner/bin/data/a"] = b"small"
    hub.files["buckets/owner/bin/data/deep/b"] = bytes(50_000)
    store = open_store("hf://buckets/owner/bin/data")
    assert (store.get("a"), store.get_range("deep/b", 1, 5), store.head("deep/b").bytes) == (b"small", bytes(4), 50_000)
    assert [info.path for info in store.list()] == ["a", "deep/b"]
    assert store.exists_root()
    assert not open_store("hf://buckets/owner/none").exists_root()
    with pytest.raises(ObjectNotFoundError, match=r"none\.txt"):
        store.get("none.txt")


@pytest.mark.parametrize("kind", ["dataset", "model", "space", "bucket"])
def test_kinds_of_the_hub_are_plural(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"hf://{kind}s/owner/name"):
        open_store(f"hf://{kind}/owner/name")


def test_a_missing_model_may_be_a_dataset(hub: Hub) -> None:
    with pytest.raises(ObjectNotFoundError, match="a dataset is hf://datasets/owner/name"):
        open_store("hf://owner/name/data").get("a")


def test_revisions_with_slashes(hub: Hub) -> None:
    store = open_store(f"hf://{REPO}@refs/convert/parquet/x")
    with pytest.raises(ObjectNotFoundError):
        store.get("a")
    assert hub.requests[-1][1].endswith("/resolve/refs%2Fconvert%2Fparquet/x/a")


@pytest.mark.parametrize("family", ["hf", "volume", "dbfs"])
def test_what_servers_say_back_is_not_shown(hub: Hub, workspace: Databricks, family: str) -> None:
    store, state = opened(hub, workspace, family)
    state.faults.append(500)
    state.echo = True
    with pytest.raises(UnavailableError) as raised:
        store.get("a")
    assert HF_TOKEN not in str(raised.value)
    assert DATABRICKS_TOKEN not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_hub_in_offline_mode(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableError, match="HF_HUB_OFFLINE is set"):
        open_store(f"hf://{REPO}/data").get("a")


def test_a_wait_that_the_workspace_asks_for_is_not_the_clients(workspace: Databricks) -> None:
    # The client would sleep for as long as the reply says.
    store = open_store("dbfs:/Volumes/c/s/v/data", {"host": workspace.url, "token": DATABRICKS_TOKEN})
    workspace.faults.append(429)
    workspace.retry_after = "86400"
    with pytest.raises(ThrottledError):
        store.get("a")


def test_every_login_of_databricks_is_tried(workspace: Databricks, monkeypatch: pytest.MonkeyPatch) -> None:
    for auth_type in ("databricks-cli", "azure-cli", "metadata-service"):
        monkeypatch.setenv("DATABRICKS_AUTH_TYPE", auth_type)
        with pytest.raises(AccessDeniedError, match=f"{auth_type}|auth"):
            open_store("dbfs:/Volumes/c/s/v/data").get("a")


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch, workspace: Databricks, hub: Hub) -> None:
    for name, url, extra in [
        ("huggingface_hub", f"hf://{REPO}/data", "hf"),
        ("databricks.sdk", "dbfs:/Volumes/c/s/v/data", "databricks"),
        ("oci", "oci://bucket@space/data", "oci"),
    ]:
        monkeypatch.setitem(sys.modules, name, None)
        if name == "oci":
            (Path.home() / ".oci").mkdir()
            (Path.home() / ".oci" / "config").write_text("[DEFAULT]\nuser=u\nkey_file=k\nregion=us-ashburn-1\n")
        with pytest.raises(MissingDependencyError, match=rf"streaming-dataset\[{extra}\]"):
            open_store(url).get("a")


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Oracle]:
    with oracle_server() as server:
        server.files["space/bucket/data/a"] = b"small"
        monkeypatch.setenv("OCI_CONFIG_FILE", server.profile(tmp_path))
        monkeypatch.setenv("OCI_ENDPOINT_URL", server.url)
        yield server


def test_api_keys_of_oracle_sign(oracle: Oracle) -> None:
    assert open_store("oci://bucket@space/data").get("a") == b"small"
    # The namespace is asked for where nobody names it.
    assert [info.path for info in open_store("oci://bucket/data").list()] == ["a"]
    assert all(key.startswith("ocid1.tenancy.oc1..a/ocid1.user.oc1..a/ab:ab") for key in oracle.signed)
    assert not open_store("oci://none@space/data").exists_root()


def test_sessions_of_oracle_sign(oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("session-token\n")
    with open(tmp_path / "config", "a") as file:
        file.write(f"security_token_file={tmp_path / 'token'}\n")
    assert open_store("oci://bucket@space/data").get("a") == b"small"
    assert oracle.signed == {"ST$session-token"}


def test_customer_secret_keys_of_oracle_go_first(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("OCI_SECRET_ACCESS_KEY", "s")
    with pytest.raises(AccessDeniedError):
        open_store("oci://bucket@space/data").get("a")
    assert not oracle.signed


def test_a_profile_of_oracle_that_cannot_sign(oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("SECRET")
    with pytest.raises(ConfigError, match=r"'DEFAULT'.*not one to sign with") as raised:
        open_store("oci://bucket@space/data").get("a")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AccessDeniedError), (429, ThrottledError), (500, UnavailableError), (400, StorageError)]
)
def test_failures_of_oracle(oracle: Oracle, status: int, kind: type[Exception]) -> None:
    store = open_store("oci://bucket@space/data")
    oracle.faults.append(status)
    oracle.echo = True
    with pytest.raises(kind, match=str(status)) as raised:
        store.get("a")
    assert "ocid1.user" not in str(raised.value)
    assert store.get("a") == b"small"
