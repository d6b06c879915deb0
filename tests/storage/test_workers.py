"""Workers of a DataLoader, however they are started, whose parent has read by the same clients and logins."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streaming import Stream, StreamingDataLoader, StreamingDataset
from streaming.storage.helper import runtime
from streaming.storage.registry import open_store

from clouds import Clouds, clear_credentials
from sample_data import write_dataset
from servers import S3Server, WebServer

SAMPLES = 40
TOKEN = "hunter2SECRET"
AZD = f"""#!/bin/sh
echo '{{"token": "{TOKEN}", "expiresOn": "2099-01-01T00:00:00Z"}}'
"""
PROFILE = """[profile proc]
credential_process = echo '{"Version": 1, "AccessKeyId": "P", "SecretAccessKey": "PS"}'
"""


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_credentials(monkeypatch, tmp_path)


Place = tuple[str, dict[str, Any]]


def by_boto3(s3: S3Server, home: Path) -> Place:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(PROFILE)
    bucket = s3.create_bucket(f"workers{os.urandom(4).hex()}")
    return f"{bucket}/data", {"profile": "proc", "endpoint": s3.endpoint}


def by_google_auth(web: WebServer, home: Path) -> Place:
    (home / "subject").write_text("subject token")
    account = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{web.url}/token",
        "credential_source": {"file": str(home / "subject")},
    }
    (home / "account.json").write_text(json.dumps(account))
    return "gs://google/data", {"application_credentials": str(home / "account.json"), "endpoint": web.url}


def by_azure_identity(web: WebServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (home / "bin").mkdir()
    (home / "bin" / "azd").write_text(AZD)
    (home / "bin" / "azd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    if runtime._state.helper is not None:
        runtime._state.helper.close()  # the next one begins with this path
    return "az://box/data", {"account_name": "acct", "endpoint": web.url}


@pytest.fixture
def places(
    s3_session: S3Server, web: WebServer, clouds: Clouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Place]:
    """A dataset behind each client and login."""

    def answer(handler: Any, path: str) -> bool:
        if path == "token":
            token = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
            handler.reply(200, json.dumps(token).encode(), Content_Type="application/json")
        elif handler.headers.get("authorization") == f"Bearer {TOKEN}":
            return False
        else:
            handler.reply(401)
        return True

    web.fault = answer
    found = {family: clouds.place(family) for family in ("hf", "volumes", "dbfs", "oci-native")}
    return {
        **{family: (place.url, place.options) for family, place in found.items()},
        "boto3": by_boto3(s3_session, tmp_path),
        "google-auth": by_google_auth(web, tmp_path),
        "azure-identity": by_azure_identity(web, tmp_path, monkeypatch),
    }


@pytest.mark.usefixtures("_fresh_forkserver")
@pytest.mark.parametrize(
    "start", ["fork", *(pytest.param(start, marks=pytest.mark.long) for start in ("spawn", "forkserver"))]
)
def test_workers_whose_parent_has_read(start: str, places: dict[str, Place], tmp_path: Path) -> None:
    write_dataset(str(tmp_path / "made"), SAMPLES)
    streams: list[Stream] = []
    for name, (url, options) in places.items():
        store = open_store(url, options)
        for file in (tmp_path / "made").iterdir():
            store.put(file.name, str(file))
        assert store.get("index.json") == (tmp_path / "made" / "index.json").read_bytes()
        streams.append(Stream(remote=url, local=str(tmp_path / f"cache-{name}"), storage_options=options))
    dataset = StreamingDataset(streams=streams, batch_size=4, shuffle=True)
    workers = 2 if start == "fork" else 1  # one that is not forked takes seconds
    loader = StreamingDataLoader(
        dataset, batch_size=4, num_workers=workers, multiprocessing_context=start, timeout=100, persistent_workers=False
    )
    ids = Counter(i for batch in loader for i in batch["id"].tolist())
    assert ids == dict.fromkeys(range(SAMPLES), len(places))
    # The parent goes on with what it had.
    for url, options in places.values():
        assert open_store(url, options).get("index.json") == (tmp_path / "made" / "index.json").read_bytes()
