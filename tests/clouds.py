"""Emulators of clouds on loopback, each a process of its own: what a test needs to reach one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hubs import DATABRICKS_TOKEN, HF_TOKEN, Databricks, Hub, Oracle, databricks_server, hub_server, oracle_server
from servers import s3_server
from sftp import sftp_server

__all__ = ["FAMILIES", "Clouds", "Place", "account_signature", "azure_server", "clear_credentials", "google_server"]

AZURE_ACCOUNT = "devstoreaccount1"
# Azurite's own, which everyone knows.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_AZURE_VERSION = "2021-12-02"

_PREFIXES = (
    "AWS_",
    "S3_",
    "GCS_",
    "GOOGLE_",
    "AZURE_",
    "OCI_",
    "MOSAICML_",
    "CLOUDSDK_",
    "COMPOSER_",
    "HF_",
    "DATABRICKS_",
)

# Google's XML interface is close to S3's: what differs is translated, so that an S3 server answers.
_GOOGLE_PROGRAM = """
import logging, sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
inner = DomainDispatcherApplication(create_backend_app)

def shim(environ, start_response):
    environ["HTTP_AUTHORIZATION"] = (
        "AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
    )
    if environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None) == "0":
        environ["HTTP_IF_NONE_MATCH"] = "*"

    def start(status, headers, *rest):
        return start_response(status, [*headers, ("x-goog-generation", "1")], *rest)

    return inner(environ, start)

server = make_server("127.0.0.1", 0, shim, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Place:
    """An empty place in a cloud.

    Attributes:
        url: Its root.
        env: What a process needs in its environment to use it.
        options: The storage options that do the same.
    """

    url: str
    env: dict[str, str]
    options: dict[str, Any] = field(repr=False)


def clear_credentials(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Make this a process that knows no cloud."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))


class Clouds:
    """The emulators, started on first use."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[str, Any] = {}

    def __enter__(self) -> Clouds:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def place(self, family: str) -> Place:
        """Return an empty place; skips the test where its emulator is not installed."""
        return FAMILIES[family](self)

    def server(self, start: Callable[[], Any]) -> Any:
        """Return what a server's context manager gives."""
        name = start.__name__
        if name not in self._running:
            self._running[name] = self._stack.enter_context(start())
        return self._running[name]

    def forget(self) -> None:
        """Have the servers that are threads of this process let go of what one test gave them."""
        for server in self._running.values():
            if isinstance(server, (Hub, Databricks, Oracle)):
                server.files.clear()
                server.requests.clear()
            if isinstance(server, Hub):
                server.commits.clear()


def _bucket_name() -> str:
    return f"test{uuid.uuid4().hex[:12]}"


def _s3(clouds: Clouds) -> tuple[str, str, str, str]:
    server, bucket = clouds.server(s3_server), _bucket_name()
    server.create_bucket(bucket)
    return server.endpoint, bucket, "testing", "testing-secret"


def _google(clouds: Clouds) -> Place:
    endpoint, bucket = clouds.server(google_server), _bucket_name()
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT"), timeout=30):
        pass
    account = {
        "gcs_base_url": endpoint,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    options = {"service_account_key": account, "allow_http": True}
    path = os.path.join(tempfile.mkdtemp(dir=clouds.server(_scratch)), "account.json")
    Path(path).write_text(json.dumps(account))
    env = {"GOOGLE_APPLICATION_CREDENTIALS": path, "GCS_ENDPOINT_URL": endpoint}
    return Place(f"gs://{bucket}/some/prefix", env, options)


def _google_hmac(clouds: Clouds) -> Place:
    endpoint, bucket, key, secret = _s3(clouds)
    env = {"GCS_KEY": key, "GCS_SECRET": secret, "GCS_ENDPOINT_URL": endpoint}
    options = {"key": key, "secret": secret, "endpoint": endpoint}
    return Place(f"gs://{bucket}/some/prefix", env, options)


def _oracle(clouds: Clouds) -> Place:
    endpoint, bucket, key, secret = _s3(clouds)
    env = {"OCI_ACCESS_KEY_ID": key, "OCI_SECRET_ACCESS_KEY": secret, "OCI_ENDPOINT_URL": endpoint}
    options = {"access_key_id": key, "secret_access_key": secret, "endpoint": endpoint}
    return Place(f"oci://{bucket}@namespace/some/prefix", env, options)


def _oracle_native(clouds: Clouds) -> Place:
    server = clouds.server(oracle_server)
    file = server.profile(Path(tempfile.mkdtemp(dir=clouds.server(_scratch))))
    env = {"OCI_CONFIG_FILE": file, "OCI_ENDPOINT_URL": server.url}
    return Place(f"oci://{_bucket_name()}@space/some/prefix", env, {"config_file": file, "endpoint": server.url})


def _azure(clouds: Clouds) -> tuple[str, str]:
    endpoint, container = clouds.server(azure_server), _bucket_name()
    azure_request("PUT", endpoint, f"/{container}", {"restype": "container"})
    return f"{endpoint}/{AZURE_ACCOUNT}", container


def _azure_blob(clouds: Clouds) -> Place:
    endpoint, container = _azure(clouds)
    env = {
        "AZURE_ACCOUNT_NAME": AZURE_ACCOUNT,
        "AZURE_ACCOUNT_ACCESS_KEY": AZURE_KEY,
        "AZURE_STORAGE_ENDPOINT": endpoint,
    }
    options = {"account_name": AZURE_ACCOUNT, "account_key": AZURE_KEY, "endpoint": endpoint}
    return Place(f"azure://{AZURE_ACCOUNT}/{container}/some/prefix", env, options)


def _azure_lake(clouds: Clouds) -> Place:
    endpoint, container = _azure(clouds)
    text = f"AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};BlobEndpoint={endpoint}"
    env = {"AZURE_STORAGE_CONNECTION_STRING": text}
    return Place(f"azure-dl://{container}/some/prefix", env, {"connection_string": text})


def _sftp(clouds: Clouds) -> Place:
    server = clouds.server(sftp_server)
    key, known = server.file("key"), server.file("known_hosts")
    env = {"COMPOSER_SFTP_KEY_FILE": key, "COMPOSER_SFTP_KNOWN_HOSTS_FILE": known}
    return Place(server.url(f"{_bucket_name()}/some/prefix"), env, {"key_file": key, "known_hosts_file": known})


def _by_fsspec(clouds: Clouds) -> Place:
    folder = tempfile.mkdtemp(dir=clouds.server(_scratch))
    return Place(f"fsspec+file://{folder}/some/prefix", {}, {})


def _hugging_face(clouds: Clouds) -> Place:
    hub, name = clouds.server(hub_server), _bucket_name()
    hub.repos.add(f"datasets/owner/{name}")
    options = {"endpoint": hub.url, "token": HF_TOKEN}
    return Place(f"hf://datasets/owner/{name}/some/prefix", {"HF_ENDPOINT": hub.url, "HF_TOKEN": HF_TOKEN}, options)


def _databricks(clouds: Clouds, root: str) -> Place:
    workspace = clouds.server(databricks_server)
    env = {"DATABRICKS_HOST": workspace.url, "DATABRICKS_TOKEN": DATABRICKS_TOKEN}
    options = {"host": workspace.url, "token": DATABRICKS_TOKEN}
    return Place(f"dbfs:{root}/{_bucket_name()}/some/prefix", env, options)


FAMILIES: dict[str, Callable[[Clouds], Place]] = {
    "gs": _google,
    "gs-hmac": _google_hmac,
    "azure": _azure_blob,
    "azure-dl": _azure_lake,
    "oci": _oracle,
    "oci-native": _oracle_native,
    "hf": _hugging_face,
    "volumes": lambda clouds: _databricks(clouds, "/Volumes/catalog/schema"),
    "dbfs": lambda clouds: _databricks(clouds, "/data"),
    "sftp": _sftp,
    "fsspec": _by_fsspec,
}


@contextmanager
def _scratch() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield folder


@contextmanager
def google_server() -> Iterator[str]:
    """Run a server of Google's XML interface; gives its endpoint."""
    with subprocess.Popen(
        [sys.executable, "-c", _GOOGLE_PROGRAM], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@contextmanager
def azure_server() -> Iterator[str]:
    """Run azurite; gives its endpoint. Skips the test where it is not installed."""
    folder = os.path.join(sys.prefix, "azurite", "node_modules", ".bin")
    program = shutil.which("azurite-blob", path=f"{folder}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("azurite is not installed: `make .venv/.azurite` installs it where npm is")
    arguments = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--blobPort", "0"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [program, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "successfully listens on" in line:
                    yield line.split()[-1]
                    break
            else:
                raise RuntimeError("azurite ended before it listened")
        finally:
            process.kill()


def azure_request(method: str, endpoint: str, path: str, query: dict[str, str]) -> None:
    """Send a request signed with the account's key."""
    headers = {"x-ms-date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()), "x-ms-version": _AZURE_VERSION}
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}{path}"
    lines = [method, *[""] * 11, *(f"{name}:{value}" for name, value in sorted(headers.items())), resource]
    lines += [f"{name}:{value}" for name, value in sorted(query.items())]
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{_azure_hmac(lines)}"
    url = f"{endpoint}/{AZURE_ACCOUNT}{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(url, method=method, headers=headers, data=b"" if method == "PUT" else None)
    request.add_unredirected_header("Content-Type", "")
    with urllib.request.urlopen(request, timeout=30):
        pass


def account_signature(permissions: str, expires: str = "2099-01-01T00:00:00Z") -> str:
    """Return a shared access signature for azurite's account."""
    lines = [AZURE_ACCOUNT, permissions, "b", "co", "", expires, "", "", _AZURE_VERSION, "", ""]
    parts = {"sv": _AZURE_VERSION, "ss": "b", "srt": "co", "sp": permissions, "se": expires, "sig": _azure_hmac(lines)}
    return urllib.parse.urlencode(parts)


def _azure_hmac(lines: list[str]) -> str:
    digest = hmac.digest(base64.b64decode(AZURE_KEY), "\n".join(lines).encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()
