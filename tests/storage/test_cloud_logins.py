"""Where the credentials for Google, Azure and Oracle come from, and what their URLs mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streaming.core.errors import AccessDeniedError, ConfigError, MissingDependencyError
from streaming.storage.logins import family
from streaming.storage.logins.azure_url import azure_place
from streaming.storage.providers.azure import resolve_azure
from streaming.storage.providers.builders import build_store
from streaming.storage.providers.gcs import resolve_gcs
from streaming.storage.providers.oci import resolve_oci
from streaming.storage.providers.s3 import resolve_s3
from streaming.storage.registry import open_store

from clouds import clear_credentials
from servers import WebServer

SECRET = "hunter2SECRET"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_credentials(monkeypatch, tmp_path)
    monkeypatch.setattr(family, "_MACHINE", str(tmp_path / "no-machine"))


def google(**options: Any) -> Any:
    return resolve_gcs("gs://bucket/some/path", options, False)


# -- Google ----------------------------------------------------------------------------------------


def test_google_without_anything_is_unsigned() -> None:
    spec = google()
    assert spec.settings["skip_signature"]
    assert (spec.settings["bucket"], spec.settings["prefix"]) == ("bucket", "some/path")
    assert spec.settings["endpoint"] == "https://storage.googleapis.com"
    assert "nowhere" in spec.hints["denied"]


def test_google_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = {"type": "service_account", "client_email": "a", "private_key": SECRET}
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account))
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text('{"type": "authorized_user"}')
    assert "gcloud" in google().hints["denied"]
    assert "application_default" in google().settings["application_credentials"]
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    assert json.loads(google().settings["service_account_key"]) == account
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", "{}")
    assert google().settings["service_account_key"] == "{}"
    monkeypatch.setenv("GCS_KEY", "k")
    assert "service_account_key" in google().settings
    monkeypatch.setenv("GCS_SECRET", SECRET)
    spec = google()
    assert (spec.settings["access_key_id"], spec.settings["region"]) == ("k", "auto")
    assert spec.builder == "streaming.storage.providers.builders:build_s3"
    assert google(token="t").settings["token"] == "t"
    assert google(skip_signature=True).settings["skip_signature"]
    assert SECRET not in repr(spec)


def test_google_projects_pay_by_a_header() -> None:
    options = google(user_project="me", headers=None).settings["client_options"]
    assert options["default_headers"] == {"x-goog-user-project": "me"}


def test_google_on_its_machines(monkeypatch: pytest.MonkeyPatch, web: WebServer) -> None:
    """A machine without an account reads what is public."""
    web.objects["bucket/x"] = b"1"
    web.fault = lambda handler, path: path.startswith("computeMetadata/") and (handler.reply(404), True)[1]
    monkeypatch.setenv("GCE_METADATA_HOST", web.url.removeprefix("http://"))
    assert "machine's service account" in google().hints["denied"]
    assert open_store("gs://bucket", {"endpoint": web.url}).get("x") == b"1"
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert "nowhere" in google().hints["denied"]


def test_google_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    for content in (SECRET, f'["{SECRET}"]'):
        path.write_text(content)
        with pytest.raises(AccessDeniedError, match=r"x\.json, from the storage options, is not a JSON") as raised:
            google(service_account=str(path))
        assert SECRET not in str(raised.value)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(AccessDeniedError, match="cannot be read: No such file"):
        google()


def test_google_federation_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"type": "external_account"}')
    spec = google(application_credentials=str(path))
    assert spec.settings["sign_in"] == ("google_file", str(path))
    monkeypatch.setitem(sys.modules, "obstore.auth.google", None)
    with pytest.raises(MissingDependencyError, match=r"streaming-dataset\[gcp\]"):
        build_store("GCSStore", bucket="b", sign_in=spec.settings["sign_in"])


# -- Azure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("az://box/a/b", "acct", ("box", "a/b", None)),
        ("az://box", None, ("box", "", None)),
        ("azure-dl://box/a", "acct", ("box", "a", None)),
        ("azure://acct/box/a", None, ("box", "a", "acct")),
        ("azure://acct/box/a", "acct", ("box", "a", "acct")),
        ("azure://box/a", "acct", ("box", "a", None)),
        ("azure://acct.blob.core.windows.net/box/a/b", "other", ("box", "a/b", "acct")),
        ("abfss://box@acct.dfs.core.windows.net/a%20b", None, ("box", "a b", "acct")),
        ("az://box@acct.blob.core.windows.net", None, ("box", "", "acct")),
        ("abfss://box/a", "acct", ("box", "a", None)),
    ],
)
def test_azure_urls(url: str, given: str | None, expected: tuple[str, str, str | None]) -> None:
    place = azure_place(url, given)
    assert (place.container, place.prefix, place.account) == expected


@pytest.mark.parametrize(
    "url", ["az://", "azure://acct", "azure://acct.blob.core.windows.net", "az://Box/a", "az://-/a"]
)
def test_azure_urls_without_a_container(url: str) -> None:
    with pytest.raises(ConfigError, match="container"):
        open_store(url)


def azure(url: str = "az://box/a", **options: Any) -> Any:
    return resolve_azure(url, {"account_name": "acct", **options}, False)


def test_azure_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert azure().settings["skip_signature"]
    assert azure().settings["endpoint"] == "https://acct.blob.core.windows.net"
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", "/token")
    monkeypatch.setenv("AZURE_CLIENT_ID", "c")
    monkeypatch.setenv("AZURE_TENANT_ID", "t")
    assert azure().settings["federated_token_file"] == "/token"
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    assert azure().settings["client_secret"] == SECRET
    text = f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={SECRET}==;EndpointSuffix=core.chinacloudapi.cn"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    assert azure().settings["account_key"] == f"{SECRET}=="
    assert azure().settings["endpoint"] == "https://acct.blob.core.chinacloudapi.cn"
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1")
    assert azure().settings["sas_key"] == "sv=1"
    monkeypatch.setenv("AZURE_ACCOUNT_ACCESS_KEY", "K")
    assert azure().settings["account_key"] == "K"
    assert azure("az://box/a?sv=2&sig=x").settings["sas_key"] == "sv=2&sig=x"
    assert azure(sas_key="?sv=3").settings["sas_key"] == "sv=3"
    assert "public" not in repr(azure())
    assert azure().public.settings["skip_signature"]
    for name in ("AZURE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.setenv(name, "fromenv")
        assert resolve_azure("az://box/a", {}, False).settings["account_name"] == "fromenv"
        monkeypatch.delenv(name)


AZD = """#!/bin/sh
echo '{"token": "SECRET", "expiresOn": "2099-01-01T00:00:00Z"}'
"""
READ = "from streaming.storage.registry import open_store; print(open_store('az://box/data').get('a'))"


def test_azure_by_microsofts_library(tmp_path: Path, web: WebServer) -> None:
    """The developer's command line is one of the logins that only the library knows."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "azd").write_text(AZD.replace("SECRET", SECRET))
    (tmp_path / "bin" / "azd").chmod(0o755)
    web.objects["box/data/a"] = b"1"
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "AZURE_ACCOUNT_NAME": "acct", "AZURE_STORAGE_ENDPOINT": web.url}
    done = subprocess.run(
        [sys.executable, "-c", READ], env=env, capture_output=True, text=True, timeout=110, check=True
    )
    assert done.stdout.strip() == "b'1'"
    headers = {name.lower(): value for name, value in web.requests[0][2].items()}
    assert headers["authorization"] == f"Bearer {SECRET}"


def test_azure_by_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_ID", "TENANT_ID", "CLIENT_CERTIFICATE_PATH"):
        monkeypatch.setenv(f"AZURE_{name}", "/x")
    spec = azure()
    assert spec.settings["sign_in"] == ("azure_default",)
    assert spec.environ["AZURE_CLIENT_CERTIFICATE_PATH"] == "/x"
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(MissingDependencyError, match=r"streaming-dataset\[azure\]"):
        build_store("AzureStore", container_name="c", sign_in=("azure_default",))


def test_azure_without_an_account() -> None:
    with pytest.raises(ConfigError, match="AZURE_ACCOUNT_NAME"):
        open_store("az://box/a").get("x")


def test_a_signature_in_the_url_is_not_shown() -> None:
    store = open_store(f"azure://acct/box/a?sig={SECRET}")
    assert repr(store) == "azure://acct/box/a"
    assert repr(open_store("abfss://box@acct.dfs.core.windows.net/a")) == "abfss://box@acct.dfs.core.windows.net/a"
    with pytest.raises(ConfigError) as raised:
        open_store("az://box/a", {"connection_string": SECRET}).get("x")
    assert SECRET not in str(raised.value)


# -- Oracle ----------------------------------------------------------------------------------------


def test_oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(url: str = "oci://bucket@space/a", **options: Any) -> Any:
        return resolve_oci(url, options, False)

    with pytest.raises(ConfigError, match="region of Oracle's object storage is not known; set OCI_REGION"):
        resolve()
    (tmp_path / ".oci").mkdir()
    config = tmp_path / ".oci" / "config"
    config.write_text("[DEFAULT]\nregion=eu-frankfurt-1\n[other]\nregion=us-ashburn-1\nnamespace=mine\n")
    settings = resolve().settings
    assert settings["endpoint"] == "https://space.compat.objectstorage.eu-frankfurt-1.oraclecloud.com"
    assert (settings["bucket"], settings["prefix"], settings["region"]) == ("bucket", "a", "eu-frankfurt-1")
    assert settings["skip_signature"]
    with pytest.raises(ConfigError, match="namespace of Oracle's object storage is not known"):
        resolve("oci://bucket/a")
    assert "mine.compat" in resolve("oci://bucket/a", profile="other").settings["endpoint"]
    monkeypatch.setenv("OCI_NAMESPACE", "env")
    assert "env.compat" in resolve("oci://bucket/a").settings["endpoint"]
    monkeypatch.setenv("OCI_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("OCI_SECRET_ACCESS_KEY", SECRET)
    assert resolve().settings["secret_access_key"] == SECRET
    assert repr(open_store("oci://bucket@space/a")) == "oci://bucket@space/a"
    with pytest.raises(ConfigError, match="'none' is not in"):
        resolve(profile="none")
    config.write_text(SECRET)
    with pytest.raises(ConfigError, match="not a valid configuration file") as raised:
        resolve()
    assert SECRET not in str(raised.value)


# -- S3's relatives --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "region", "asked"),
    [
        ("https://acct.r2.cloudflarestorage.com", "auto", "https://acct.r2.cloudflarestorage.com"),
        ("https://s3.us-west-004.backblazeb2.com", "us-west-004", "https://s3.us-west-004.backblazeb2.com"),
        ("https://s3.eu-west-3.amazonaws.com", "eu-west-3", "https://s3.eu-west-3.amazonaws.com"),
        ("https://object.ord1.coreweave.com", "ord1", "https://object.ord1.coreweave.com"),
        ("https://cwobject.com", "us-east-1", "https://bucket.cwobject.com"),
        ("http://minio:9000/", "us-east-1", "http://minio:9000"),
    ],
)
def test_endpoints_of_s3(endpoint: str, region: str, asked: str) -> None:
    settings = resolve_s3("s3://bucket/a", {"endpoint": endpoint}, False).settings
    assert (settings["region"], settings["endpoint"]) == (region, asked)


def test_buckets_in_the_hosts_name(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy answers for every host.
    through = {"proxy_url": web.url}
    web.objects["http://bucket.store.test/a"] = b"1"
    options = {"endpoint": "http://store.test", "anon": True, "client_options": through}
    assert open_store("s3://bucket", {**options, "virtual_hosted_style_request": True}).get("a") == b"1"
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    assert open_store("s3://bucket", options).get("a") == b"1"
    monkeypatch.delenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    assert open_store("s3://bucket", options).get("a") == b"1"
    web.objects["http://store.test/bucket/a"] = b"2"
    assert open_store("s3://bucket", {**options, "virtual_hosted_style_request": False}).get("a") == b"2"


def test_the_acl_is_part_of_what_is_signed(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"endpoint": web.url, "access_key_id": "k", "secret_access_key": "s"}
    open_store("s3://bucket", {**options, "acl": "bucket-owner-full-control"}).put("a", b"1")
    monkeypatch.setenv("S3_CANNED_ACL", "public-read")
    store = open_store("s3://bucket", options)
    store.put("a", b"1")
    store.get("a")
    first, second, read = (headers for _, _, headers in web.requests)
    assert (first["x-amz-acl"], second["x-amz-acl"]) == ("bucket-owner-full-control", "public-read")
    assert "x-amz-acl" in first["authorization"]
    assert "x-amz-acl" not in read


@pytest.mark.parametrize(("url", "path"), [("gs://bucket", "/bucket/a"), ("oci://bucket@n", "/bucket/a")])
def test_relatives_of_s3_delete_one_by_one(url: str, path: str, web: WebServer) -> None:
    web.objects["bucket/a"] = b"1"
    open_store(url, {"key": "k", "secret": "s", "endpoint": web.url}).delete("a")
    assert [(method, where) for method, where, _ in web.requests] == [("DELETE", path)]
    assert not web.objects


def test_options_by_two_names() -> None:
    with pytest.raises(ConfigError, match="'access_key_id' is given twice"):
        open_store("s3://bucket", {"key": "a", "access_key_id": "b"})
