from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from streaming.core.errors import AccessDeniedError, ConfigError, MissingDependencyError
from streaming.storage.logins import family
from streaming.storage.logins.aws import find_login, read_profile
from streaming.storage.logins.login import Login
from streaming.storage.providers.s3 import resolve_s3
from streaming.storage.registry import open_store

from servers import S3Server, WebServer

KEYS = {"AWS_ACCESS_KEY_ID": "ENVKEY", "AWS_SECRET_ACCESS_KEY": "ENVSECRET"}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_", "MOSAICML_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(family, "_MACHINE", str(tmp_path / "no-machine"))


def write_profiles(home: Path, shared: str, config: str = "") -> None:
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / "credentials").write_text(shared)
    (home / ".aws" / "config").write_text(config)


def login(environ: dict[str, str] | None = None, **options: Any) -> Login:
    env = {**os.environ, **(environ or {})}
    return find_login(options, env, read_profile(options, env))


def test_nothing_found_means_unsigned() -> None:
    assert login().settings == {"skip_signature": True}


def test_environment() -> None:
    assert login(KEYS).settings == {"access_key_id": "ENVKEY", "secret_access_key": "ENVSECRET"}
    assert login({**KEYS, "AWS_SESSION_TOKEN": "T"}).settings["session_token"] == "T"
    identity = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn"}
    assert login(identity).settings == {"web_identity_token_file": "/token", "role_arn": "arn"}


def test_container() -> None:
    uri = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}
    assert login(uri).settings == {"container_credentials_relative_uri": "/v2/x"}
    token = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/t"}
    assert login(token).settings == {"skip_signature": True}


def test_options_go_first(tmp_path: Path) -> None:
    assert login(KEYS, skip_signature=True).settings == {"skip_signature": True}
    assert login(KEYS, access_key_id="a", secret_access_key="b").settings == {}


def test_profiles(tmp_path: Path) -> None:
    write_profiles(
        tmp_path,
        "[default]\naws_access_key_id = D\naws_secret_access_key = DS\n"
        "[other]\naws_access_key_id=O\naws_secret_access_key=O%S\naws_session_token=OT\n",
        "[default]\nregion = eu-north-1\n[profile other]\nregion=eu-west-3\nendpoint_url=https://minio\n"
        "s3 =\n  addressing_style = path\n[profile role]\nrole_arn = arn\nsource_profile = default\n",
    )
    assert login().settings == {"access_key_id": "D", "secret_access_key": "DS"}
    other = {"access_key_id": "O", "secret_access_key": "O%S", "session_token": "OT"}
    assert login({"AWS_PROFILE": "other"}).settings == other
    # As for boto3: keys in the environment go before AWS_PROFILE, a profile asked for in code before them.
    assert login({**KEYS, "AWS_PROFILE": "other"}).settings["access_key_id"] == "ENVKEY"
    assert login(KEYS, profile="other").settings == other
    assert login(profile="role").settings == {"sign_in": ("aws_profile", "role")}
    assert "DS" not in repr(login())
    assert "DS" not in repr(read_profile({}, dict(os.environ)))

    spec = resolve_s3("s3://b/x", {"profile": "other"}, False)
    assert (spec.settings["region"], spec.settings["endpoint"]) == ("eu-west-3", "https://minio")
    assert resolve_s3("s3://b/x", {}, False).settings["region"] == "eu-north-1"
    assert "DS" not in repr(spec)


def test_missing_profiles(tmp_path: Path) -> None:
    with pytest.raises(AccessDeniedError, match="'gone' is in neither"):
        login({"AWS_PROFILE": "gone"})
    write_profiles(tmp_path, "", "[profile empty]\nregion = x\n")
    with pytest.raises(AccessDeniedError, match="'empty' has no credentials"):
        login(profile="empty")


def test_damaged_profile_files(tmp_path: Path) -> None:
    write_profiles(tmp_path, "aws_secret_access_key = SECRET\n")
    with pytest.raises(ConfigError, match="not a valid AWS profile file") as raised:
        login()
    assert "SECRET" not in str(raised.value)
    assert raised.value.__cause__ is None


ROLES = "latest/meta-data/iam/security-credentials/"


def test_instance_role(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": web.url}
    assert login(endpoint).settings == {"metadata_endpoint": web.url}
    assert login({**endpoint, "AWS_EC2_METADATA_DISABLED": "true"}).settings == {"skip_signature": True}
    reply = '{"AccessKeyId": "R", "SecretAccessKey": "RS", "Token": "RT", "Expiration": "2099-01-01T00:00:00Z"}'
    web.objects.update({ROLES: b"my-role", f"{ROLES}my-role": reply.encode(), "bucket/x": b"1"})
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", web.url)
    assert open_store("s3://bucket", {"endpoint": web.url}).get("x") == b"1"
    assert "Credential=R/" in sent_headers(web)["authorization"]
    assert sent_headers(web)["x-amz-security-token"] == "RT"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_instance_without_a_role_reads_what_is_public(
    web: WebServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    web.objects["bucket/x"] = b"1"
    web.fault = lambda handler, path: path.startswith("latest/") and (handler.reply(status), True)[1]
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", web.url)
    store = open_store("s3://bucket", {"endpoint": web.url})
    assert store.get("x") == b"1"
    assert "authorization" not in sent_headers(web)
    with pytest.raises(AccessDeniedError, match="the instance's role"):
        open_store("s3://bucket", {"endpoint": web.url}).put("x", b"2")


def test_profiles_need_amazons_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: WebServer) -> None:
    """Who asks for one is told; where the files merely lie there, what needs no login works."""
    write_profiles(tmp_path, "[default]\naws_access_key_id = D\naws_secret_access_key = DS\n")
    monkeypatch.setitem(sys.modules, "botocore.configloader", None)
    web.objects["bucket/x"] = b"1"
    assert open_store("s3://bucket", {"endpoint": web.url}).get("x") == b"1"
    web.fault = lambda handler, path: (handler.reply(403), True)[1]
    with pytest.raises(AccessDeniedError, match=r"profile 'default' needs .*pip install 'streaming-dataset\[aws\]'"):
        open_store("s3://bucket", {"endpoint": web.url}).get("x")
    monkeypatch.setenv("AWS_PROFILE", "default")
    with pytest.raises(MissingDependencyError, match=r"streaming-dataset\[aws\]"):
        open_store("s3://bucket", {"endpoint": web.url}).get("x")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE")
    assert login().settings["access_key_id"] == "ENVKEY"


def test_endpoints_and_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    def settings(**options: Any) -> Any:
        return resolve_s3("s3://b/p/q", options, False).settings

    assert settings()["region"] == "us-east-1"
    assert "endpoint" not in settings()
    assert (settings()["bucket"], settings()["prefix"]) == ("b", "p/q")
    assert not settings()["client_options"]["allow_http"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://one:1/")
    assert settings()["endpoint"] == "http://one:1"
    assert settings()["client_options"]["allow_http"]
    monkeypatch.setenv("S3_ENDPOINT_URL", "https://s3.eu-west-1.amazonaws.com")
    assert settings()["region"] == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert settings()["region"] == "ap-south-1"
    assert settings(region="x", endpoint="https://two")["region"] == "x"
    assert settings(region="x", endpoint="https://two")["endpoint"] == "https://two"
    monkeypatch.setenv("S3_ENDPOINT_URL", "minio:9000")
    with pytest.raises(ConfigError, match="S3_ENDPOINT_URL is 'minio:9000'"):
        settings()


def test_names_of_boto3_are_understood(web: WebServer) -> None:
    web.objects["b/x"] = b"1"
    options = {"endpoint_url": web.url, "aws_access_key_id": "K", "aws_secret_access_key": "S", "region_name": "r-1"}
    assert open_store("s3://b", options).get("x") == b"1"
    headers = {name.lower(): value for name, value in web.requests[-1][2].items()}
    assert "Credential=K/" in headers["authorization"]
    assert "/r-1/s3/" in headers["authorization"]


def sent_headers(web: WebServer) -> dict[str, str]:
    return {name.lower(): value for name, value in web.requests[-1][2].items()}


def test_what_is_sent(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    web.objects["bucket/x"] = b"1"
    monkeypatch.setenv("S3_ENDPOINT_URL", web.url)
    open_store("s3://bucket").get("x")
    assert "authorization" not in sent_headers(web)

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOKEN")
    open_store("s3://bucket").get("x")
    assert "Credential=ENVKEY/" in sent_headers(web)["authorization"]
    assert sent_headers(web)["x-amz-security-token"] == "TOKEN"
    assert "x-amz-request-payer" not in sent_headers(web)

    # Keys from elsewhere do not get the environment's token.
    open_store("s3://bucket", {"access_key_id": "O", "secret_access_key": "S"}).get("x")
    assert "Credential=O/" in sent_headers(web)["authorization"]
    assert "x-amz-security-token" not in sent_headers(web)

    monkeypatch.delenv("AWS_SESSION_TOKEN")
    monkeypatch.setenv("MOSAICML_STREAMING_AWS_REQUESTER_PAYS", "other, bucket")
    monkeypatch.setenv("S3_CANNED_ACL", "public-read")
    store = open_store("s3://bucket")
    store.get("x")
    assert sent_headers(web)["x-amz-request-payer"] == "requester"
    assert "x-amz-security-token" not in sent_headers(web)
    assert "x-amz-acl" not in sent_headers(web)
    store.put("y", b"2")
    assert sent_headers(web)["x-amz-acl"] == "public-read"
    assert "x-amz-acl" in sent_headers(web)["authorization"]


def test_the_buckets_region_is_found(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    web.objects["bucket/x"] = b"1"

    def regional(handler: Any, path: str) -> bool:
        if path == "bucket":
            handler.reply(403, x_amz_bucket_region="eu-south-9")
        elif "/eu-south-9/" in handler.headers.get("Authorization", ""):
            return False
        else:
            handler.reply(301, b"<Error><Code>PermanentRedirect</Code></Error>")
        return True

    web.fault = regional
    store = open_store("s3://bucket", {"endpoint": web.url})
    assert store.get("x") == b"1"
    before = len(web.requests)
    assert store.get("x") == b"1"
    assert len(web.requests) == before + 1


def test_a_region_that_the_server_tells_is_asked_of_nobody(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    web.objects["bucket/x"] = b"1"
    wrong = (
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region "
        b"'us-east-1' is wrong; expecting 'eu-south-9'</Message><Region>eu-south-9</Region></Error>"
    )
    web.fault = lambda handler, path: (
        "/eu-south-9/" not in handler.headers.get("Authorization", "") and (handler.reply(400, wrong), True)[1]
    )
    assert open_store("s3://bucket", {"endpoint": web.url}).get("x") == b"1"
    assert [path for _, path, _ in web.requests] == ["/bucket/x"] * 2


def test_renewed_credentials_are_found(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    web.objects["bucket/x"] = b"1"
    web.fault = lambda handler, path: (
        "NEWKEY" not in handler.headers.get("Authorization", "") and (handler.reply(403), True)[1]
    )
    monkeypatch.setenv("S3_ENDPOINT_URL", web.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OLDKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S")
    store = open_store("s3://bucket")
    with pytest.raises(AccessDeniedError, match="AWS_ACCESS_KEY_ID"):
        store.get("x")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NEWKEY")
    assert store.get("x") == b"1"


def test_keys_renewed_in_a_file_are_found(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[default]\naws_access_key_id = {}\naws_secret_access_key = S\n"
    web.objects["bucket/x"] = b"1"
    web.fault = lambda handler, path: (
        "NEWKEY" not in handler.headers.get("Authorization", "") and (handler.reply(403), True)[1]
    )
    write_profiles(tmp_path, text.format("OLDKEY"))
    store = open_store("s3://bucket", {"endpoint": web.url})
    with pytest.raises(AccessDeniedError, match="profile 'default'"):
        store.get("x")
    write_profiles(tmp_path, text.format("NEWKEY"))
    assert store.get("x") == b"1"


def test_a_profile_that_cannot_sign_in(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profiles(tmp_path, "", "[profile proc]\ncredential_process = sh -c 'echo token=HUNTER2 >&2; exit 3'\n")
    web.fault = lambda handler, path: (handler.reply(403), True)[1]
    with pytest.raises(AccessDeniedError, match=r"AWS profile 'proc'.*custom-process") as raised:
        open_store("s3://bucket", {"endpoint": web.url, "profile": "proc"}).get("x")
    assert "HUNTER2" not in str(raised.value)


def test_a_profile_that_needs_the_sdk(s3_session: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3")
    reply = '{"Version": 1, "AccessKeyId": "P", "SecretAccessKey": "PS"}'
    write_profiles(tmp_path, "", f"[profile proc]\ncredential_process = echo '{reply}'\n")
    url = s3_session.create_bucket("sdk-profile")
    monkeypatch.setenv("S3_ENDPOINT_URL", s3_session.endpoint)
    monkeypatch.setenv("AWS_PROFILE", "proc")
    store = open_store(url)
    store.put("x", b"1")
    assert store.get("x") == b"1"
